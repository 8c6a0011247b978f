"""What the headers of a patient's files say, so far as the choice of phases needs it.

A slice's header is reduced here, once, to the fields below. None of them identifies a person by
itself, and the two that might, the description and the identifiers, never leave memory as they
are: descriptions are shown as understood (`client.series.description`), identifiers as digests.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.tag import Tag

from client.imaging.dicom import is_other
from client.imaging.links import leads_nowhere
from client.series.maker import maker_of
from client.series.timing import time_of_day_s
from shared.evidence.description import Maker

_TAGS = (
    *("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"),
    *("FrameOfReferenceUID", "Modality", "SeriesDescription", "ImageType", "ConvolutionKernel"),
    *("SeriesNumber", "AcquisitionNumber", "InstanceNumber", "TemporalPositionIdentifier"),
    *("AcquisitionTime", "AcquisitionDateTime", "TriggerTime", "ContrastBolusStartTime"),
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
    *("Rows", "Columns", "NumberOfFrames", "BurnedInAnnotation", "Manufacturer"),
)
# Keywords would be looked up anew for every file.
_TAG_NUMBERS = [Tag(keyword) for keyword in _TAGS]
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_IMAGES = frozenset({"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1"})

Vector = tuple[float, ...]


@dataclass(frozen=True)
class SliceHeader:
    """One file of a patient's folder.

    Attributes
    ----------
    file : Path
    instance_uid, series_uid, study_uid, frame_uid : str
    patient : str
        A digest of the header's patient, only to see whether all files are of one.
    description : str
        Free text; never shown or kept as it is.
    modality : str
    is_image : bool
        CT, of one or of several frames; no secondary capture, report or segmentation.
    is_capture : bool
    image_type : tuple of str
    kernel : str
    series_number, acquisition_number, instance_number : int or None
    temporal_position : int or None
    acquired_s, contrast_s : float or None
        Seconds since midnight of acquisition, and of the start of the injection.
    trigger_s : float or None
        Seconds since the series' own trigger.
    position_mm, orientation, spacing_mm : tuple of float
        Empty where the header does not tell.
    thickness_mm : float or None
    shape : tuple of int
        Rows, columns.
    frames : int
    burned_in : bool
        The pixels are said to hold annotations, which may name a person.
    maker : Maker
        Of the scanner.
    """

    file: Path
    instance_uid: str
    series_uid: str
    study_uid: str
    frame_uid: str
    patient: str
    description: str
    modality: str
    is_image: bool
    is_capture: bool
    image_type: tuple[str, ...]
    kernel: str
    series_number: int | None
    acquisition_number: int | None
    instance_number: int | None
    temporal_position: int | None
    acquired_s: float | None
    contrast_s: float | None
    trigger_s: float | None
    position_mm: Vector
    orientation: Vector
    spacing_mm: Vector
    thickness_mm: float | None
    shape: tuple[int, int]
    frames: int
    burned_in: bool
    maker: Maker

    def __repr__(self) -> str:
        # A traceback or a log must not show what a header holds.
        return f"SliceHeader({digest_of(self.series_uid)})"


def digest_of(uid: str) -> str:
    """Return a short name for an identifier, the same whenever the identifier is."""
    return hashlib.blake2b(uid.encode(), digest_size=4).hexdigest()


def dicom_candidates(folder: Path, leave_out: Sequence[Path] = ()) -> list[Path]:
    """Return every file at any depth below a folder that may be DICOM, in a fixed order.

    Links are followed, as they lead into an archive; one that leads nowhere may be such a file.
    """
    left_out = set(leave_out)
    return sorted(
        path
        for path in _below(folder, frozenset())
        if path not in left_out and (path.is_file() or leads_nowhere(path)) and not is_other(path)
    )


def _below(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    """Yield what lies below a folder, but not again what a link leads back to."""
    place = folder.resolve()
    if place in above or not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.is_dir():
            yield from _below(path, above | {place})
        else:
            yield path


def has_dicom_mark(file: Path) -> bool:
    """Return whether a file begins as a DICOM file does (PS3.10, 7.1)."""
    try:
        with file.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_headers(files: Sequence[Path]) -> tuple[list[SliceHeader], list[Path]]:
    """Read headers; the second list holds the files that are no readable DICOM."""
    headers, unreadable = [], []
    for file in files:
        header = _read(file)
        if header is None:
            unreadable.append(file)
        else:
            headers.append(header)
    return headers, unreadable


def _read(file: Path) -> SliceHeader | None:
    try:
        dataset = pydicom.dcmread(
            file, stop_before_pixels=True, force=True, specific_tags=_TAG_NUMBERS
        )
        return _reduce(file, dataset) if "SeriesInstanceUID" in dataset else None
    except Exception:  # pydicom raises what its parsing happens to meet
        return None


def _reduce(file: Path, dataset: pydicom.Dataset) -> SliceHeader:
    sop_class = str(dataset.get("SOPClassUID") or "")
    modality = str(dataset.get("Modality") or "CT")
    kernel = dataset.get("ConvolutionKernel") or ""
    acquired = time_of_day_s(dataset.get("AcquisitionDateTime"))
    return SliceHeader(
        file=file,
        instance_uid=str(dataset.get("SOPInstanceUID") or file),
        series_uid=str(dataset.SeriesInstanceUID),
        study_uid=str(dataset.get("StudyInstanceUID") or ""),
        frame_uid=str(dataset.get("FrameOfReferenceUID") or ""),
        patient=digest_of(str(dataset.get("PatientID") or "").strip().upper()),
        description=str(dataset.get("SeriesDescription") or ""),
        modality=modality,
        is_image=modality == "CT" and sop_class in ("", *_IMAGES),
        is_capture=sop_class.startswith(_SECONDARY_CAPTURE),
        image_type=tuple(str(word).upper() for word in _values(dataset.get("ImageType"))),
        kernel=str(kernel if isinstance(kernel, str) else next(iter(kernel), "")),
        series_number=_whole(dataset.get("SeriesNumber")),
        acquisition_number=_whole(dataset.get("AcquisitionNumber")),
        instance_number=_whole(dataset.get("InstanceNumber")),
        temporal_position=_whole(dataset.get("TemporalPositionIdentifier")),
        acquired_s=time_of_day_s(dataset.get("AcquisitionTime")) if acquired is None else acquired,
        contrast_s=time_of_day_s(dataset.get("ContrastBolusStartTime")),
        trigger_s=_seconds(dataset.get("TriggerTime")),
        position_mm=_vector(dataset.get("ImagePositionPatient"), 3),
        orientation=_vector(dataset.get("ImageOrientationPatient"), 6),
        spacing_mm=_vector(dataset.get("PixelSpacing"), 2),
        thickness_mm=_number(dataset.get("SliceThickness")),
        shape=(_whole(dataset.get("Rows")) or 0, _whole(dataset.get("Columns")) or 0),
        frames=_whole(dataset.get("NumberOfFrames")) or 1,
        burned_in=str(dataset.get("BurnedInAnnotation") or "").upper() == "YES",
        maker=maker_of(str(dataset.get("Manufacturer") or "")),
    )


def _values(value: object) -> list[object]:
    if value is None or isinstance(value, str):
        return [value] if value else []
    return list(value) if isinstance(value, Sequence) else [value]


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _whole(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _seconds(milliseconds: object) -> float | None:
    number = _number(milliseconds)
    return None if number is None else number / 1000


def _vector(value: object, length: int) -> Vector:
    numbers = [_number(part) for part in _values(value)]
    if len(numbers) != length:
        return ()
    return tuple(number for number in numbers if number is not None)
