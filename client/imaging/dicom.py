"""A DICOM series in a folder: which files belong to it, in what order, and where they lie.

The headers are read once, here, rather than by the folder scan of GDCM: that scan leaves out a
file that it cannot read without a word, so that a series cut short looks like a shorter one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray

from client.imaging.errors import ImagingError
from client.imaging.grid import Box, Grid

# What a slice may lie off the regular grid: a share of the slices' distance, or what headers
# round away; always less than a missing slice, which shifts others by a third of it or more.
_IRREGULARITY = 0.05
_ROUNDING_MM = 0.1
_MOST_IRREGULARITY = 0.25
# What the last slice may be shifted in its plane against the first; a tilted gantry shifts more.
_MOST_DRIFT_MM = 1.0
_SAME_DIRECTION = 1e-4

_TAGS = (
    *("SeriesInstanceUID", "Modality", "Rows", "Columns", "PixelSpacing", "NumberOfFrames"),
    *("ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept"),
)
_NEEDED = {
    "ImagePositionPatient": "position in space",
    "ImageOrientationPatient": "orientation in space",
    "PixelSpacing": "pixel spacing",
    "RescaleSlope": "rescale slope: its values are not HU",
    "RescaleIntercept": "rescale intercept: its values are not HU",
}
# What viewers, archives and operating systems leave beside slices.
_OTHER_NAMES = frozenset({"dicomdir", "thumbs.db", "desktop.ini", "license", "readme", "version"})
_OTHER_SUFFIXES = frozenset(
    {".txt", ".xml", ".json", ".csv", ".pdf", ".jpg", ".jpeg", ".png", ".html", ".md", ".ini"}
)


@dataclass(frozen=True)
class DicomSeries:
    """A regular stack of slices; only the slices of a box are decoded.

    Attributes
    ----------
    folder : Path
    files : tuple of Path
        In the order of space, along the slices' normal.
    grid : Grid
    whole_hu : bool
        Whether every slice is rescaled to whole numbers.
    """

    folder: Path
    files: tuple[Path, ...]
    grid: Grid
    whole_hu: bool

    def read(self, box: Box) -> NDArray[Any]:
        """Return the HU of a box, shape (d, h, w).

        Raises
        ------
        ImagingError
            A slice is damaged or cut short.
        """
        files = self.files[box[0]]
        try:
            image = self._decode(files)
        except RuntimeError as error:
            raise ImagingError(
                "cannot be decoded: it is damaged or cut short", self._culprit(files)
            ) from error
        return np.array(sitk.GetArrayViewFromImage(image)[:, box[1], box[2]])

    def _decode(self, files: Sequence[Path]) -> sitk.Image:
        names = [str(file) for file in files]
        # The first slice's type would be taken for all, and cut off halves of a HU in others.
        return sitk.ReadImage(names) if self.whole_hu else sitk.ReadImage(names, sitk.sitkFloat32)

    def _culprit(self, files: Sequence[Path]) -> Path:
        for file in files:
            try:
                self._decode([file])
            except RuntimeError:
                return file
        return self.folder


def open_series(folder: Path) -> DicomSeries:
    """Read the headers of the one CT series in a folder, under any file names.

    Raises
    ------
    ImagingError
        As `open_files`, or the folder holds no DICOM or more than one series.
    """
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not is_other(path)]
    return open_files(files, folder)


def open_files(files: Sequence[Path], folder: Path | None = None) -> DicomSeries:
    """Read the headers of one CT series of which every file is given, in any order.

    Parameters
    ----------
    files : sequence of Path
        All slices of one series; a folder of mixed series holds others beside them.
    folder : Path, optional
        Named in errors that are no single file's; by default the first file's own.

    Raises
    ------
    ImagingError
        No DICOM, an unreadable file, more than one series, not CT, or slices that do not make a
        regular stack: missing, doubled, tilted against one another or along a tilted gantry.
    """
    folder = folder or (files[0].parent if files else Path())
    headers = {file: _header(file) for file in files}
    if not headers:
        raise ImagingError("no readable DICOM series in this folder", folder)
    series = {str(header.get("SeriesInstanceUID", "")) for header in headers.values()}
    if len(series) > 1:
        raise ImagingError(
            f"{len(series)} series in one folder: leave only the one of this phase", folder
        )
    for file, header in headers.items():
        _check_slice(header, file)
    if len(files) < 2:
        raise ImagingError("has a single slice: not a volume", folder)
    return _stack(headers, folder)


def is_other(path: Path) -> bool:
    """Return whether a file's name says that it is no slice: a directory, a note, a picture."""
    name = path.name.lower()
    return name.startswith(".") or name in _OTHER_NAMES or path.suffix.lower() in _OTHER_SUFFIXES


def _header(file: Path) -> pydicom.Dataset:
    try:
        # Forced, because some archives leave out the preamble; what is no DICOM has no series.
        header = pydicom.dcmread(
            file, stop_before_pixels=True, force=True, specific_tags=list(_TAGS)
        )
        readable = "SeriesInstanceUID" in header
    except Exception as error:  # pydicom raises what its parsing happens to meet
        raise ImagingError("is not readable DICOM: repair or remove it", file) from error
    if not readable:
        raise ImagingError("is not readable DICOM: repair or remove it", file)
    return header


def _check_slice(header: pydicom.Dataset, file: Path) -> None:
    modality = header.get("Modality") or "CT"
    if modality != "CT":
        raise ImagingError("is not a CT image", file)
    if int(header.get("NumberOfFrames") or 1) > 1:
        raise ImagingError("holds several frames: export it as single slices", file)
    for tag, name in _NEEDED.items():
        if header.get(tag) in (None, ""):
            raise ImagingError(f"a slice has no {name}", file)


def _stack(headers: dict[Path, pydicom.Dataset], folder: Path) -> DicomSeries:
    """Order slices along their normal and check that they make a regular stack."""
    files = list(headers)
    try:
        positions, orientations, spacings, rescales = (
            np.array([numbers(header) for header in headers.values()], np.float64)
            for numbers in (_position, _orientation, _in_plane, _rescale)
        )
    except (TypeError, ValueError) as error:
        raise ImagingError("a slice's geometry is not made of numbers", folder) from error
    _check_alike(orientations, "of several orientations", _SAME_DIRECTION, files)
    _check_alike(spacings, "of several sizes or pixel spacings", 1e-4, files)
    row, column = orientations[0].reshape(2, 3)
    if abs(np.dot(row, column)) > _SAME_DIRECTION or not np.allclose(
        [np.linalg.norm(row), np.linalg.norm(column)], 1, atol=1e-3
    ):
        raise ImagingError("a slice's orientation is not made of two perpendicular axes", folder)
    normal = np.cross(row, column)
    order = np.argsort(positions @ normal, kind="stable")
    positions = positions[order]
    step = _regular_step(positions, normal, folder)
    height, width = int(spacings[0][0]), int(spacings[0][1])
    grid = Grid(
        (width, height, len(files)),
        (float(spacings[0][3]), float(spacings[0][2]), step),
        (float(positions[0][0]), float(positions[0][1]), float(positions[0][2])),
        tuple(float(x) for x in np.stack([row, column, normal], axis=1).ravel()),
    )
    whole = bool((rescales == rescales.round()).all())
    return DicomSeries(folder, tuple(files[index] for index in order), grid, whole)


def _regular_step(
    positions: NDArray[np.float64], normal: NDArray[np.float64], folder: Path
) -> float:
    """Return the distance of slices in mm; positions in order, shape (n, 3)."""
    heights = positions @ normal
    steps = np.diff(heights)
    step = float((heights[-1] - heights[0]) / (len(heights) - 1))
    away = heights - heights[0] - step * np.arange(len(heights))
    limit_mm = min(max(_IRREGULARITY * step, _ROUNDING_MM), _MOST_IRREGULARITY * step)
    if steps.min() <= 0 or np.abs(away).max() > limit_mm:
        raise ImagingError(
            f"slices are not evenly spaced: {steps.min():.2f} to {steps.max():.2f} mm apart;"
            " some are missing or doubled",
            folder,
        )
    drift = positions - positions[0] - np.outer(heights - heights[0], normal)
    drift_mm = float(np.linalg.norm(drift, axis=1).max())
    if drift_mm > _MOST_DRIFT_MM:
        raise ImagingError(
            f"slices are shifted in their plane by up to {drift_mm:.1f} mm: the gantry was tilted,"
            " and the series must be reconstructed upright",
            folder,
        )
    return step


def _check_alike(
    values: NDArray[np.float64], what: str, tolerance: float, files: Sequence[Path]
) -> None:
    unlike = np.abs(values - values[0]).max(axis=1) > tolerance
    if unlike.any():
        raise ImagingError(f"slices {what} in one series", files[int(np.argmax(unlike))])


def _position(header: pydicom.Dataset) -> list[float]:
    return [float(x) for x in header.ImagePositionPatient]


def _orientation(header: pydicom.Dataset) -> list[float]:
    return [float(x) for x in header.ImageOrientationPatient]


def _in_plane(header: pydicom.Dataset) -> list[float]:
    return [float(header.Rows), float(header.Columns), *(float(x) for x in header.PixelSpacing)]


def _rescale(header: pydicom.Dataset) -> list[float]:
    return [float(header.RescaleSlope), float(header.RescaleIntercept)]
