"""Files to images: a DICOM series, a volume file, a mask."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray

from client.imaging.errors import ImagingError
from client.imaging.nifti import read_nifti
from shared.tasks import Phase

VOLUME_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")
MASK_NAMES = ("mask.nii.gz", "seg.dcm")

# Slices may be off a regular grid by this share of their distance: rounding in headers.
_IRREGULARITY = 0.05
_GEOMETRY_TAGS = ("ImagePositionPatient", "ImageOrientationPatient")


def find_phase(case: Path, phase: Phase) -> Path | None:
    """Return a phase's folder or file in a patient's folder; None where it was not acquired."""
    for path in (case / phase, *(case / f"{phase}{suffix}" for suffix in VOLUME_SUFFIXES)):
        if path.exists():
            return path
    return None


def find_mask(case: Path) -> Path:
    """Return a patient's mask.

    Raises
    ------
    ImagingError
        There is none.
    """
    for name in MASK_NAMES:
        if (case / name).exists():
            return case / name
    raise ImagingError(f"no mask: expected {' or '.join(MASK_NAMES)}", case)


def series_files(path: Path) -> list[Path]:
    """Return the files behind a phase: its slices in the order of space, or the volume itself.

    Raises
    ------
    ImagingError
        No readable DICOM, more than one series, or missing or irregular slices.
    """
    if path.is_file():
        return [path]
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(path))
    if not series:
        raise ImagingError("no readable DICOM series in this folder", path)
    if len(series) > 1:
        raise ImagingError(
            f"{len(series)} series in one folder: leave only the one of this phase", path
        )
    files = [
        Path(name) for name in sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(path), series[0])
    ]
    _check_regular(files, path)
    return files


def read_image(path: Path) -> sitk.Image:
    """Read a phase as HU.

    Parameters
    ----------
    path : Path
        A folder that holds one DICOM series under any file names, or a volume file.

    Raises
    ------
    ImagingError
        Unreadable, not a volume, irregular, or with voxels that are not finite.
    """
    return read_files(series_files(path), path)


def read_files(files: Sequence[Path], path: Path) -> sitk.Image:
    """Read a phase from its files, as `series_files` gives them."""
    if path.name.endswith((".nii", ".nii.gz")):
        return read_nifti(path)
    names = [str(file) for file in files]
    try:
        image = sitk.ReadImage(names if path.is_dir() else names[0])
    except RuntimeError as error:
        reason = "cannot be read: it is damaged, cut short, or not an image"
        raise ImagingError(reason, path) from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise ImagingError("is not one three-dimensional volume of grey values", path)
    if np.issubdtype(voxels(image).dtype, np.floating) and not np.isfinite(voxels(image)).all():
        raise ImagingError("has voxels that are not numbers (NaN or infinite)", path)
    return image


def read_mask(path: Path) -> sitk.Image:
    """Read a label map: 0 background, 1 liver, 2 tumour.

    Raises
    ------
    ImagingError
        Unreadable, or with other labels.
    """
    image = read_segmentation(path) if path.suffix == ".dcm" else read_image(path)
    values = voxels(image)
    if values.min() < 0 or values.max() > 2:
        raise ImagingError("has labels other than 0 background, 1 liver, 2 tumour", path)
    return sitk.Cast(image, sitk.sitkUInt8)


def read_segmentation(path: Path) -> sitk.Image:
    """Read a DICOM SEG as a label map: segments named liver are 1, tumour or lesion are 2.

    Raises
    ------
    ImagingError
        Not a binary DICOM SEG, or without frame positions.
    """
    try:
        dataset = pydicom.dcmread(path)
        frames = np.atleast_3d(dataset.pixel_array)
        segments = {int(item.SegmentNumber): _label(item) for item in dataset.SegmentSequence}
        shared = dataset.SharedFunctionalGroupsSequence[0]
        groups = list(dataset.PerFrameFunctionalGroupsSequence)
        orientation = np.array(
            _plane(shared, groups[0], "PlaneOrientationSequence").ImageOrientationPatient, float
        )
        spacing = [
            float(x) for x in _plane(shared, groups[0], "PixelMeasuresSequence").PixelSpacing
        ]
        positions = np.array(
            [
                _plane(shared, group, "PlanePositionSequence").ImagePositionPatient
                for group in groups
            ],
            float,
        )
        numbers = [
            int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber) for group in groups
        ]
    except Exception as error:
        raise ImagingError("is not a DICOM SEG that can be placed in space", path) from error
    if frames.shape[0] != len(groups):
        frames = frames.reshape(len(groups), dataset.Rows, dataset.Columns)
    labels = [segments.get(number, 0) for number in numbers]
    return _assemble(frames > 0, labels, positions, orientation, spacing, path)


def voxels(image: sitk.Image) -> NDArray[np.generic]:
    """Return an image's voxels, shape (D, H, W), not copied: valid while the image lives."""
    view: NDArray[np.generic] = sitk.GetArrayViewFromImage(image)
    return view


def _check_regular(files: Sequence[Path], folder: Path) -> None:
    """Refuse slices that are missing, doubled or tilted against one another."""
    if len(files) < 2:
        raise ImagingError("has a single slice: not a volume", folder)
    positions, normal = [], None
    for file in files:
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(_GEOMETRY_TAGS))
        if any(tag not in header for tag in _GEOMETRY_TAGS):
            raise ImagingError("a slice has no position in space", file)
        row, column = np.reshape(np.array(header.ImageOrientationPatient, float), (2, 3))
        if normal is None:
            normal = np.cross(row, column)
        elif np.dot(normal, np.cross(row, column)) < 0.9999:
            raise ImagingError("slices of several orientations in one series", file)
        positions.append(float(np.dot(normal, np.array(header.ImagePositionPatient, float))))
    steps = np.abs(np.diff(positions))
    step = float(np.median(steps))
    if step == 0 or np.abs(steps - step).max() > _IRREGULARITY * step:
        raise ImagingError(
            f"slices are not evenly spaced: {steps.min():.2f} to {steps.max():.2f} mm apart;"
            " some are missing or doubled",
            folder,
        )


def _label(segment: pydicom.Dataset) -> int:
    name = str(segment.get("SegmentLabel", "")).lower()
    if any(word in name for word in ("tumo", "lesion", "neoplasm", "carcinoma", "mass")):
        return 2
    return 1 if "liver" in name else 0


def _plane(shared: pydicom.Dataset, group: pydicom.Dataset, name: str) -> pydicom.Dataset:
    sequence = group.get(name) or shared[name].value
    found: pydicom.Dataset = sequence[0]
    return found


def _assemble(
    frames: NDArray[np.bool_],
    labels: Sequence[int],
    positions: NDArray[np.float64],
    orientation: NDArray[np.float64],
    spacing: Sequence[float],
    path: Path,
) -> sitk.Image:
    """Put frames of several segments onto one grid; a higher label covers a lower one."""
    row, column = orientation.reshape(2, 3)
    normal = np.cross(row, column)
    heights = positions @ normal
    levels = np.unique(np.round(heights, 3))
    gaps = np.diff(levels)
    step = float(gaps.min()) if len(gaps) else 1.0
    indices = np.round((heights - levels[0]) / step).astype(int)
    if np.abs(heights - levels[0] - indices * step).max() > _IRREGULARITY * step:
        raise ImagingError("frames of the segmentation are not evenly spaced", path)
    volume = np.zeros((indices.max() + 1, *frames.shape[1:]), np.uint8)
    for frame, label, index in zip(frames, labels, indices, strict=True):
        np.maximum(volume[index], frame * np.uint8(label), out=volume[index])
    image = sitk.GetImageFromArray(volume)
    image.SetSpacing((spacing[1], spacing[0], step))
    image.SetOrigin([float(x) for x in positions[np.argmin(heights)]])
    image.SetDirection([float(x) for x in np.stack([row, column, normal], axis=1).ravel()])
    return image
