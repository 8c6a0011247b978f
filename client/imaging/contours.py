"""RTSTRUCT to a label map: contours in the patient's space to voxels of the CT they are drawn on.

A voxel is inside where its centre is, by the even-odd rule over all contours of one region in
one slice: a contour within another is a hole, whether written as one of its own or joined to the
outer one by a keyhole.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from client.imaging.dicom import DicomSeries
from client.imaging.errors import ImagingError
from client.imaging.grid import Grid, Volume
from client.imaging.labels import label_of
from client.imaging.stack import stack_planes

FloatArray = NDArray[np.float64]

# A contour may lie off its slice by this share of the slices' distance, or this much.
_OFF_PLANE = 0.05
_ROUNDING_MM = 0.1
# Pixels of a grid made for contours whose CT is absent.
_OWN_SPACING_MM = 0.75
_CLOSED = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR", ""})


@dataclass(frozen=True, eq=False)
class _Structures:
    """What a structure set says.

    Attributes
    ----------
    regions : dict of int to list of ndarray, shape (n, 3), mm
        The closed contours of each label's regions: one list a region.
    series : frozenset of str
        UIDs of the series it refers to.
    space : str
        Its frame of reference; empty where absent.
    """

    regions: tuple[tuple[int, tuple[FloatArray, ...]], ...]
    series: frozenset[str]
    space: str


def read_contours(path: Path, series: Sequence[DicomSeries]) -> Volume:
    """Read an RTSTRUCT: regions of the liver are 1, of tumours or lesions 2, others nothing.

    Parameters
    ----------
    path : Path
    series : sequence of DicomSeries
        The patient's, among which the one is looked for that the contours were drawn on: the one
        that is referred to, else the first on whose slices all contours lie. Where there is
        none, the contours' own planes make the grid.

    Raises
    ------
    ImagingError
        Not an RTSTRUCT, or its contours cannot be placed.
    """
    try:
        structures = _structures(pydicom.dcmread(path, force=True), path)
    except ImagingError:
        raise
    except Exception as error:  # pydicom raises what it happens to meet
        raise ImagingError("is not an RTSTRUCT that can be read", path) from error
    contours = [contour for _, region in structures.regions for contour in region]
    if not contours:
        raise ImagingError("no region in it is called liver or tumour, or has contours", path)
    grid = _grid(structures, contours, series, path)
    voxels = np.zeros(grid.size[::-1], np.uint8)
    for label, region in structures.regions:
        _fill(voxels, label, region, grid)
    return Volume(voxels, grid)


def _structures(dataset: pydicom.Dataset, path: Path) -> _Structures:
    if dataset.get("Modality") != "RTSTRUCT":
        raise ImagingError("is not an RTSTRUCT", path)
    names = {
        int(roi.ROINumber): str(roi.get("ROIName") or "") for roi in dataset.StructureSetROISequence
    }
    regions = []
    for item in dataset.ROIContourSequence:
        number = int(item.ReferencedROINumber)
        label = label_of((names[number],), number, path)
        if label:
            regions.append((label, _contours(item, number, path)))
    frames = list(dataset.get("ReferencedFrameOfReferenceSequence") or [])
    space = next((str(f.FrameOfReferenceUID) for f in frames if "FrameOfReferenceUID" in f), "")
    referred = (
        str(series.SeriesInstanceUID)
        for frame in frames
        for study in frame.get("RTReferencedStudySequence") or []
        for series in study.get("RTReferencedSeriesSequence") or []
    )
    return _Structures(tuple(regions), frozenset(referred), space)


def _contours(item: pydicom.Dataset, number: int, path: Path) -> tuple[FloatArray, ...]:
    found: dict[bytes, FloatArray] = {}
    for contour in item.get("ContourSequence") or []:
        kind = str(contour.get("ContourGeometricType") or "")
        if kind == "POINT":
            continue
        if kind not in _CLOSED:
            raise ImagingError(f"region {number} has contours that are not closed", path)
        points = np.array([float(x) for x in contour.ContourData], np.float64).reshape(-1, 3)
        if not np.isfinite(points).all() or len(points) < 3:
            raise ImagingError(f"region {number} has a contour of no area", path)
        # One that is written twice would cancel itself out.
        found[points.tobytes()] = points
    return tuple(found.values())


def _grid(
    structures: _Structures,
    contours: Sequence[FloatArray],
    series: Sequence[DicomSeries],
    path: Path,
) -> Grid:
    """Return the grid of the CT that contours were drawn on."""
    for one in series:
        if one.uid and one.uid in structures.series:
            if not _lie_on_slices(contours, one.grid):
                raise ImagingError(
                    "its contours do not lie on the slices of the series that it refers to", path
                )
            return one.grid
    for one in series:
        alike = not structures.space or one.grid.space in (None, structures.space)
        if alike and _lie_on_slices(contours, one.grid):
            return one.grid
    return _own_grid(contours, structures.space, path)


def _lie_on_slices(contours: Sequence[FloatArray], grid: Grid) -> bool:
    off = max(_OFF_PLANE, _ROUNDING_MM / grid.spacing_mm[2])
    for contour in contours:
        indices = grid.indices(contour)
        place = indices[:, 2].mean().round()
        inside = 0 <= place < grid.size[2] and _meets(indices, grid)
        if not inside or np.abs(indices[:, 2] - place).max() > off:
            return False
    return True


def _meets(indices: FloatArray, grid: Grid) -> bool:
    """Return whether a contour lies within a slice, to half a pixel beyond its edge."""
    ends = np.array(grid.size[:2]) - 0.5
    return bool(((indices[:, :2] >= -1) & (indices[:, :2] <= ends + 0.5)).all())


def _own_grid(contours: Sequence[FloatArray], space: str, path: Path) -> Grid:
    """Return a grid of axial planes at the contours' own heights."""
    heights = np.array([contour[:, 2].mean() for contour in contours])
    flat = max(float(np.ptp(contour[:, 2])) for contour in contours)
    if flat > _ROUNDING_MM:
        raise ImagingError("the series that its contours were drawn on is absent", path)
    points = np.concatenate(contours)
    low, high = points.min(axis=0), points.max(axis=0)
    positions = np.stack([np.full(len(heights), x) for x in low[:2]] + [heights], axis=1)
    orientations = np.tile(np.array([1.0, 0, 0, 0, 1, 0]), (len(heights), 1))
    stack = stack_planes(positions, orientations, [path] * len(heights), sparse=True)
    if stack.step_mm <= 0:
        raise ImagingError(
            "has contours in one plane, and the series that they were drawn on is absent", path
        )
    width, height = (int(np.ceil(x / _OWN_SPACING_MM)) + 1 for x in (high - low)[:2])
    return Grid(
        size=(width, height, int(stack.places.max()) + 1),
        spacing_mm=(_OWN_SPACING_MM, _OWN_SPACING_MM, stack.step_mm),
        origin_mm=stack.origin_mm,
        direction=stack.direction,
        space=space or None,
    )


def _fill(
    voxels: NDArray[np.uint8], label: int, contours: Sequence[FloatArray], grid: Grid
) -> None:
    """Mark the voxels inside a region's contours; a higher label covers a lower one."""
    slices: dict[int, list[FloatArray]] = defaultdict(list)
    for contour in contours:
        indices = grid.indices(contour)
        slices[int(indices[:, 2].mean().round())].append(indices[:, :2])
    for place, polygons in slices.items():
        inside = inside_polygons(polygons, (grid.size[1], grid.size[0]))
        np.maximum(voxels[place], inside * np.uint8(label), out=voxels[place])


def inside_polygons(polygons: Sequence[FloatArray], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which pixels of a plane, shape (H, W), lie inside polygons by the even-odd rule.

    Each edge is crossed by the rows between its ends; a crossing flips every pixel from there to
    the end of its row.

    Parameters
    ----------
    polygons : sequence of ndarray, shape (n, 2)
        Corners as (x, y) in pixels; the last is joined to the first.
    shape : tuple of int
    """
    height, width = shape
    flips = np.zeros((height, width + 1), np.int64)
    for polygon in polygons:
        for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            first, last = np.ceil(min(y0, y1)), np.ceil(max(y0, y1))
            rows = np.arange(max(first, 0), min(last, height)).astype(np.int64)
            if len(rows):
                crossings = np.ceil(x0 + (rows - y0) * (x1 - x0) / (y1 - y0))
                np.add.at(flips, (rows, np.clip(crossings, 0, width).astype(np.int64)), 1)
    inside: NDArray[Any] = np.cumsum(flips, axis=1)[:, :width] % 2 == 1
    return inside
