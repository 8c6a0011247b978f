"""DICOM SEG to a label map."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray

from client.imaging.dicom import DicomSeries
from client.imaging.errors import ImagingError
from client.imaging.grid import Grid, Volume
from client.imaging.labels import label_of
from client.imaging.stack import Stack, stack_planes

# Frames may lie off a series' slices by this share of their distance: rounding in headers.
_OFF_PLANE = 0.05
_SAME_DIRECTION = 1e-3
_DEFAULT_STEP_MM = 1.0


@dataclass(frozen=True, eq=False)
class _Frames:
    """Frames of a segmentation as its headers give them, one entry a frame.

    Attributes
    ----------
    masks : ndarray, shape (n, H, W)
    labels : sequence of int
    positions : ndarray, shape (n, 3), mm
    orientations : ndarray, shape (n, 6)
    spacing_mm : tuple of float
        Of rows, of columns.
    distance_mm, thickness_mm : float
        Of slices, from centre to centre and from side to side; 0 where it is not told.
    space : str
        The frame of reference; empty where absent.
    """

    masks: NDArray[np.bool_]
    labels: Sequence[int]
    positions: NDArray[np.float64]
    orientations: NDArray[np.float64]
    spacing_mm: tuple[float, float]
    distance_mm: float
    thickness_mm: float
    space: str


def read_segmentation(path: Path, series: Sequence[DicomSeries] = ()) -> Volume:
    """Read a DICOM SEG: segments of the liver are 1, of tumours or lesions 2, others nothing.

    The grid runs from the first to the last frame; slices without a frame are empty. Fractional
    segmentations are refused: which probability is a tumour is for whoever made it to say.

    Parameters
    ----------
    path : Path
    series : sequence of DicomSeries
        The patient's: one of them may tell how far slices are apart, which frames alone may not.

    Raises
    ------
    ImagingError
        Not a binary DICOM SEG, or its frames cannot be placed in space.
    """
    try:
        dataset = pydicom.dcmread(path)
        kind = str(dataset.get("SegmentationType", "absent"))
        frames = _frames(dataset, path) if kind == "BINARY" else None
    except ImagingError:
        raise
    except Exception as error:  # pydicom and its decoders raise what they happen to meet
        raise ImagingError("is not a DICOM SEG that can be placed in space", path) from error
    if frames is None:
        raise ImagingError("is not a binary DICOM SEG: export each segment as yes or no", path)
    return _assemble(frames, series, path)


def _frames(dataset: pydicom.Dataset, path: Path) -> _Frames:
    groups = list(dataset.PerFrameFunctionalGroupsSequence)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    measures = _functional(shared, groups[0], "PixelMeasuresSequence")
    segments = {int(item.SegmentNumber): _label(item, path) for item in dataset.SegmentSequence}
    return _Frames(
        masks=dataset.pixel_array.reshape(len(groups), dataset.Rows, dataset.Columns) > 0,
        labels=[
            segments[int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)]
            for group in groups
        ],
        positions=_vectors(shared, groups, "PlanePositionSequence", "ImagePositionPatient"),
        orientations=_vectors(
            shared, groups, "PlaneOrientationSequence", "ImageOrientationPatient"
        ),
        spacing_mm=(float(measures.PixelSpacing[0]), float(measures.PixelSpacing[1])),
        distance_mm=float(measures.get("SpacingBetweenSlices") or 0),
        thickness_mm=float(measures.get("SliceThickness") or 0),
        space=str(dataset.get("FrameOfReferenceUID") or ""),
    )


def _vectors(
    shared: pydicom.Dataset, groups: Sequence[pydicom.Dataset], sequence: str, tag: str
) -> NDArray[np.float64]:
    """Return one vector a frame, shape (n, length)."""
    found = [_functional(shared, group, sequence)[tag].value for group in groups]
    return np.array([[float(x) for x in vector] for vector in found], np.float64)


def _functional(shared: pydicom.Dataset, group: pydicom.Dataset, name: str) -> pydicom.Dataset:
    found: pydicom.Dataset = (group.get(name) or shared[name].value)[0]
    return found


def _label(segment: pydicom.Dataset, path: Path) -> int:
    """Return a segment's label by its name; where that says nothing, by its coded type."""
    types = segment.get("SegmentedPropertyTypeCodeSequence") or [pydicom.Dataset()]
    names = (str(segment.get("SegmentLabel", "")), str(types[0].get("CodeMeaning", "")))
    return label_of(names, int(segment.SegmentNumber), path)


def _assemble(frames: _Frames, series: Sequence[DicomSeries], path: Path) -> Volume:
    """Put frames of several segments onto one grid; a higher label covers a lower one."""
    stack = _stack(frames, series, path)
    volume = np.zeros((stack.places.max() + 1, *frames.masks.shape[1:]), np.uint8)
    for mask, label, place in zip(frames.masks, frames.labels, stack.places, strict=True):
        np.maximum(volume[place], mask * np.uint8(label), out=volume[place])
    grid = Grid(
        size=(volume.shape[2], volume.shape[1], volume.shape[0]),
        spacing_mm=(frames.spacing_mm[1], frames.spacing_mm[0], stack.step_mm),
        origin_mm=stack.origin_mm,
        direction=stack.direction,
        shear_mm=stack.shear_mm,
        space=frames.space or None,
    )
    return Volume(volume, grid)


def _stack(frames: _Frames, series: Sequence[DicomSeries], path: Path) -> Stack:
    """Place the frames.

    Frames that were left out may make the least gap several slices wide. What counts is the
    distance of the slices of a series on which all frames lie, then the told distance where all
    gaps are multiples of it, then the least gap. The thickness does not, since slices may
    overlap; only a single frame has nothing else.
    """
    files = [path] * len(frames.labels)
    told = [one.grid.spacing_mm[2] for one in series if _on_slices(frames, one.grid)]
    for step_mm in (*told, frames.distance_mm):
        if step_mm > 0:
            try:
                return stack_planes(
                    frames.positions, frames.orientations, files, step_mm=step_mm, sparse=True
                )
            except ImagingError:
                continue
    stack = stack_planes(frames.positions, frames.orientations, files, sparse=True)
    if stack.step_mm > 0:
        return stack
    return replace(stack, step_mm=frames.thickness_mm or _DEFAULT_STEP_MM)


def _on_slices(frames: _Frames, grid: Grid) -> bool:
    axes = np.array(grid.direction).reshape(3, 3)[:, :2].T.ravel()
    heights = grid.indices(frames.positions)[:, 2]
    return bool(
        np.abs(frames.orientations - axes).max() <= _SAME_DIRECTION
        and np.abs(heights - heights.round()).max() <= _OFF_PLANE
        and heights.min() > -0.5
        and heights.max() < grid.size[2] - 0.5
    )
