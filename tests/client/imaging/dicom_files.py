"""Small DICOM series for tests and benchmarks: good ones, and ones with a stated defect."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    SegmentationStorage,
    generate_uid,
)

SERIES = "1.2.826.0.1.3680043.8.498.1"
# Called with a slice's number and header before it is written.
Change = Callable[[int, pydicom.Dataset], None]


def write_series(
    folder: Path,
    hu: NDArray[Any],
    *,
    spacing_mm: Sequence[float] = (1.5, 1.5, 3.0),
    origin_mm: Sequence[float] = (0.0, 0.0, 0.0),
    axes: tuple[Sequence[float], Sequence[float]] = ((1, 0, 0), (0, 1, 0)),
    names: Sequence[str] | None = None,
    change: Change | None = None,
) -> list[Path]:
    """Write a volume, shape (D, H, W), slice by slice; return the files in the order of slices."""
    folder.mkdir(parents=True, exist_ok=True)
    normal = np.cross(*axes)
    files = []
    for number, plane in enumerate(hu):
        position = np.array(origin_mm) + normal * number * spacing_mm[2]
        header = _header(number, plane.shape)
        header.ImagePositionPatient = [f"{x:.5f}" for x in position]
        header.ImageOrientationPatient = [*axes[0], *axes[1]]
        header.PixelSpacing = [spacing_mm[1], spacing_mm[0]]
        header.RescaleSlope, header.RescaleIntercept = 1, -1024
        if change is not None:
            change(number, header)
        slope = float(header.get("RescaleSlope", 1))
        intercept = float(header.get("RescaleIntercept", 0))
        header.PixelData = ((plane - intercept) / slope).round().astype("<i2").tobytes()
        files.append(folder / (names[number] if names else f"{number:04d}.dcm"))
        header.save_as(files[-1], enforce_file_format=True)
    return files


def _header(number: int, shape: tuple[int, ...]) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[SERIES, str(number)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    header.SOPClassUID = CTImageStorage
    header.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    header.StudyInstanceUID, header.SeriesInstanceUID = f"{SERIES}.0", f"{SERIES}.1"
    header.Modality, header.InstanceNumber = "CT", number + 1
    header.Rows, header.Columns = shape
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit, header.PixelRepresentation = 15, 1
    return header


def write_segmentation(
    path: Path,
    segments: Sequence[tuple[str, NDArray[np.bool_]]],
    *,
    spacing_mm: Sequence[float] = (1.5, 1.5, 3.0),
    origin_mm: Sequence[float] = (0.0, 0.0, 0.0),
    kind: str = "BINARY",
) -> None:
    """Write a DICOM SEG of named masks, shape (D, H, W); slices that a mask leaves are left out."""
    header = _header(0, segments[0][1].shape[1:])
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    header.Modality, header.SegmentationType = "SEG", kind
    header.SegmentSequence = Items(
        _item(SegmentNumber=number, SegmentLabel=name)
        for number, (name, _) in enumerate(segments, start=1)
    )
    header.SharedFunctionalGroupsSequence = Items(
        [
            _item(
                PlaneOrientationSequence=Items([_item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]),
                PixelMeasuresSequence=Items(
                    [
                        _item(
                            PixelSpacing=[spacing_mm[1], spacing_mm[0]],
                            SpacingBetweenSlices=spacing_mm[2],
                        )
                    ]
                ),
            )
        ]
    )
    groups, frames = [], []
    for number, (_, mask) in enumerate(segments, start=1):
        for level in np.flatnonzero(mask.any(axis=(1, 2))):
            position = [*origin_mm[:2], origin_mm[2] + float(level) * spacing_mm[2]]
            segment = _item(ReferencedSegmentNumber=number)
            groups.append(
                _item(
                    PlanePositionSequence=Items([_item(ImagePositionPatient=position)]),
                    SegmentIdentificationSequence=Items([segment]),
                )
            )
            frames.append(mask[level])
    header.PerFrameFunctionalGroupsSequence = Items(groups)
    header.NumberOfFrames = len(frames)
    header.BitsAllocated = header.BitsStored = 1
    header.HighBit = header.PixelRepresentation = 0
    packed = np.packbits(np.stack(frames).ravel(), bitorder="little").tobytes()
    header.PixelData = packed + b"\0" * (len(packed) % 2)
    header.save_as(path, enforce_file_format=True)


def _item(**elements: Any) -> pydicom.Dataset:
    item = pydicom.Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    return item
