"""Small DICOM series for tests and benchmarks: good ones, and ones with a stated defect."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    RTStructureSetStorage,
    SegmentationStorage,
    generate_uid,
)

SYNTAXES = (
    *(ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian),
    *(DeflatedExplicitVRLittleEndian, RLELossless, JPEGLosslessSV1, JPEGLSLossless),
    JPEG2000Lossless,
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
    advance_mm: Sequence[float] | None = None,
    names: Sequence[str] | None = None,
    syntax: str = ExplicitVRLittleEndian,
    change: Change | None = None,
) -> list[Path]:
    """Write a volume, shape (D, H, W), slice by slice; return the files in the order of slices.

    `advance_mm` leads from a slice to the next; by default along the normal. `change` alters a
    slice's header before it is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    step = np.cross(*axes) * spacing_mm[2] if advance_mm is None else np.array(advance_mm)
    files = []
    for number, plane in enumerate(hu):
        position = np.array(origin_mm) + step * number
        header = _header(number, plane.shape)
        header.ImagePositionPatient = [f"{x:.5f}" for x in position]
        header.ImageOrientationPatient = [f"{x:.10f}" for x in (*axes[0], *axes[1])]
        header.PixelSpacing = [spacing_mm[1], spacing_mm[0]]
        header.RescaleSlope, header.RescaleIntercept = 1, -1024
        if change is not None:
            change(number, header)
        slope = float(header.get("RescaleSlope", 1))
        intercept = float(header.get("RescaleIntercept", 0))
        stored = ((plane - intercept) / slope).round()
        header.PixelData = stored.astype("<i2" if header.PixelRepresentation else "<u2").tobytes()
        files.append(folder / (names[number] if names else f"{number:04d}.dcm"))
        save(header, files[-1], syntax)
    return files


def save(header: FileDataset, path: Path, syntax: str) -> None:
    """Write a file whose pixels are not encoded yet in a transfer syntax."""
    if syntax in (RLELossless, JPEGLSLossless):
        header.compress(syntax, generate_instance_uid=False)
    elif syntax in (JPEG2000Lossless, JPEGLosslessSV1):
        header.PixelData = _encapsulated(header, path, syntax)
        header["PixelData"].VR = "OB"
        header["PixelData"].is_undefined_length = True
    elif syntax == ExplicitVRBigEndian:
        header.PixelData = np.frombuffer(header.PixelData, "<u2").astype(">u2").tobytes()
    header.file_meta.TransferSyntaxUID = UID(syntax)
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    pydicom.dcmwrite(path, header, implicit_vr=implicit, little_endian=little, force_encoding=True)


def _encapsulated(header: FileDataset, path: Path, syntax: str) -> bytes:
    """Encode the pixels by GDCM, which has the encoders that pydicom has not."""
    kind = "<i2" if header.PixelRepresentation else "<u2"
    stored = np.frombuffer(header.PixelData, kind).reshape(header.Rows, header.Columns)
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(path.with_suffix(".encoded.dcm")))
    writer.SetUseCompression(True)
    writer.SetCompressor("JPEG2000" if syntax == JPEG2000Lossless else "JPEG")
    writer.Execute(sitk.GetImageFromArray(stored))
    encoded = pydicom.dcmread(writer.GetFileName())
    assert encoded.file_meta.TransferSyntaxUID == syntax
    Path(writer.GetFileName()).unlink()
    pixels: bytes = encoded.PixelData
    return pixels


def write_enhanced(
    path: Path,
    hu: NDArray[Any],
    *,
    spacing_mm: Sequence[float] = (1.5, 1.5, 3.0),
    origin_mm: Sequence[float] = (0.0, 0.0, 0.0),
    axes: tuple[Sequence[float], Sequence[float]] = ((1, 0, 0), (0, 1, 0)),
    order: Sequence[int] | None = None,
    slopes: Sequence[float] | None = None,
    change: Callable[[FileDataset], None] | None = None,
    syntax: str = ExplicitVRLittleEndian,
) -> None:
    """Write a volume as one enhanced multi-frame CT, its frames in any order of slices."""
    header = _header(0, hu.shape[1:])
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    measures = _item(PixelSpacing=[spacing_mm[1], spacing_mm[0]], SliceThickness=spacing_mm[2])
    orientation = _item(ImageOrientationPatient=[*axes[0], *axes[1]])
    header.SharedFunctionalGroupsSequence = Items(
        [
            _item(
                PixelMeasuresSequence=Items([measures]),
                PlaneOrientationSequence=Items([orientation]),
            )
        ]
    )
    groups, frames = [], []
    for number in order if order is not None else range(len(hu)):
        position = np.array(origin_mm) + np.cross(*axes) * spacing_mm[2] * number
        slope = slopes[number] if slopes is not None else 1.0
        place = _item(ImagePositionPatient=[f"{x:.5f}" for x in position])
        rescale = _item(RescaleSlope=slope, RescaleIntercept=-1024, RescaleType="HU")
        groups.append(
            _item(
                PlanePositionSequence=Items([place]),
                PixelValueTransformationSequence=Items([rescale]),
            )
        )
        frames.append(((hu[number] + 1024) / slope).round().astype("<i2"))
    header.PerFrameFunctionalGroupsSequence = Items(groups)
    header.NumberOfFrames = len(frames)
    header.PixelData = np.stack(frames).tobytes()
    if change is not None:
        change(header)
    path.parent.mkdir(parents=True, exist_ok=True)
    save(header, path, syntax)


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
    told: bool = True,
    space: str = "",
) -> None:
    """Write a DICOM SEG of named masks, shape (D, H, W); slices that a mask leaves are left out.

    `told`: whether the slices' distance is written, which the standard leaves optional.
    """
    header = _header(0, segments[0][1].shape[1:])
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    header.Modality, header.SegmentationType = "SEG", kind
    if space:
        header.FrameOfReferenceUID = space
    measures = _item(PixelSpacing=[spacing_mm[1], spacing_mm[0]])
    if told:
        measures.SpacingBetweenSlices = spacing_mm[2]
    header.SegmentSequence = Items(
        _item(SegmentNumber=number, SegmentLabel=name)
        for number, (name, _) in enumerate(segments, start=1)
    )
    header.SharedFunctionalGroupsSequence = Items(
        [
            _item(
                PlaneOrientationSequence=Items([_item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]),
                PixelMeasuresSequence=Items([measures]),
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


def write_structures(
    path: Path,
    regions: Sequence[tuple[str, Sequence[NDArray[np.float64]]]],
    *,
    series: str = "",
    space: str = "",
    kind: str = "CLOSED_PLANAR",
) -> None:
    """Write an RTSTRUCT of named regions, each of contours, shape (n, 3), in mm."""
    header = _header(0, (1, 1))
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = RTStructureSetStorage
    header.Modality = "RTSTRUCT"
    for tag in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"):
        delattr(header, tag)
    referred = _item(SeriesInstanceUID=series)
    study = _item(RTReferencedSeriesSequence=Items([referred] if series else []))
    frame = _item(RTReferencedStudySequence=Items([study]))
    if space:
        frame.FrameOfReferenceUID = space
    header.ReferencedFrameOfReferenceSequence = Items([frame])
    header.StructureSetROISequence = Items(
        _item(ROINumber=number, ROIName=name) for number, (name, _) in enumerate(regions, start=1)
    )
    header.ROIContourSequence = Items(
        _item(
            ReferencedROINumber=number,
            ContourSequence=Items(
                _item(
                    ContourGeometricType=kind,
                    NumberOfContourPoints=len(points),
                    ContourData=[f"{x:.6f}" for x in np.ravel(points)],
                )
                for points in contours
            ),
        )
        for number, (_, contours) in enumerate(regions, start=1)
    )
    header.save_as(path, enforce_file_format=True)


def _item(**elements: Any) -> pydicom.Dataset:
    item = pydicom.Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    return item
