"""DICOM SEG to a label map."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray

from client.imaging.errors import ImagingError
from client.imaging.grid import Grid, Volume
from shared.tasks import LIVER_LABEL, TUMOUR_LABEL

_TUMOUR_WORDS = ("tumo", "lesion", "neoplasm", "carcinoma", "hcc", "mass")
_LIVER_WORDS = ("liver", "hepatic parenchyma")

# Frames may be off a regular grid by this share of their distance: rounding in headers.
_IRREGULARITY = 0.05
_SAME_DIRECTION = 1e-4
_MOST_DRIFT_MM = 1.0
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
    """

    masks: NDArray[np.bool_]
    labels: Sequence[int]
    positions: NDArray[np.float64]
    orientations: NDArray[np.float64]
    spacing_mm: tuple[float, float]
    distance_mm: float
    thickness_mm: float


def read_segmentation(path: Path) -> Volume:
    """Read a DICOM SEG: segments of the liver are 1, of tumours or lesions 2, others nothing.

    The grid runs from the first to the last frame; slices without a frame are empty.

    Raises
    ------
    ImagingError
        Not a binary DICOM SEG, or its frames cannot be placed in space.
    """
    try:
        dataset = pydicom.dcmread(path)
        kind = str(dataset.get("SegmentationType", "absent"))
        frames = _frames(dataset) if kind == "BINARY" else None
    except Exception as error:  # pydicom and its decoders raise what they happen to meet
        raise ImagingError("is not a DICOM SEG that can be placed in space", path) from error
    if frames is None:
        raise ImagingError("is not a binary DICOM SEG: export each segment as yes or no", path)
    return _assemble(frames, path)


def _frames(dataset: pydicom.Dataset) -> _Frames:
    groups = list(dataset.PerFrameFunctionalGroupsSequence)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    measures = _functional(shared, groups[0], "PixelMeasuresSequence")
    segments = {int(item.SegmentNumber): _label(item) for item in dataset.SegmentSequence}
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


def _label(segment: pydicom.Dataset) -> int:
    """Return a segment's label by its name; where that says nothing, by its coded type."""
    types = segment.get("SegmentedPropertyTypeCodeSequence") or [pydicom.Dataset()]
    for text in (segment.get("SegmentLabel", ""), types[0].get("CodeMeaning", "")):
        name = str(text).lower()
        if any(word in name for word in _TUMOUR_WORDS):
            return TUMOUR_LABEL
        if any(word in name for word in _LIVER_WORDS):
            return LIVER_LABEL
    return 0


def _assemble(frames: _Frames, path: Path) -> Volume:
    """Put frames of several segments onto one grid; a higher label covers a lower one."""
    unlike = np.abs(frames.orientations - frames.orientations[0]).max()
    if not unlike <= _SAME_DIRECTION:
        raise ImagingError("has frames of several orientations", path)
    row, column = frames.orientations[0].reshape(2, 3)
    normal = np.cross(row, column)
    heights = frames.positions @ normal
    lowest = int(np.argmin(heights))
    step = _step(heights - heights[lowest], frames)
    indices = np.round((heights - heights[lowest]) / step).astype(int)
    if np.abs(heights - heights[lowest] - indices * step).max() > _IRREGULARITY * step:
        raise ImagingError("has frames that are not evenly spaced", path)
    origin = frames.positions[lowest]
    drift = frames.positions - origin - np.outer(heights - heights[lowest], normal)
    if np.linalg.norm(drift, axis=1).max() > _MOST_DRIFT_MM:
        raise ImagingError("has frames that are shifted in their plane: a tilted gantry", path)
    volume = np.zeros((indices.max() + 1, *frames.masks.shape[1:]), np.uint8)
    for mask, label, index in zip(frames.masks, frames.labels, indices, strict=True):
        np.maximum(volume[index], mask * np.uint8(label), out=volume[index])
    grid = Grid(
        (volume.shape[2], volume.shape[1], volume.shape[0]),
        (frames.spacing_mm[1], frames.spacing_mm[0], step),
        (float(origin[0]), float(origin[1]), float(origin[2])),
        tuple(float(x) for x in np.stack([row, column, normal], axis=1).ravel()),
    )
    return Volume(volume, grid)


def _step(heights: NDArray[np.float64], frames: _Frames) -> float:
    """Return the distance of slices; heights above the lowest frame, shape (n,), in mm.

    Frames that were left out may make the least gap several slices wide: the told distance counts
    where all gaps are multiples of it. The thickness does not, since slices may overlap.
    """
    gaps = np.diff(np.unique(heights.round(3)))
    told = frames.distance_mm
    if not len(gaps):
        return told or frames.thickness_mm or _DEFAULT_STEP_MM
    if told > 0 and np.abs(heights / told - (heights / told).round()).max() <= _IRREGULARITY:
        return told
    return float(gaps.min())
