"""What a DICOM CT file says of each image in it: where it lies, and how its values become HU.

The headers are read here rather than by the folder scan of GDCM: that scan leaves out a file that
it cannot read without a word, so that a series cut short looks like a shorter one.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from client.imaging.errors import ImagingError
from client.imaging.native_pixels import NativePixels, are_plain, find_pixels

_TAGS = (
    *("SeriesInstanceUID", "FrameOfReferenceUID", "Modality", "SOPClassUID", "NumberOfFrames"),
    *("Rows", "Columns", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType", "PhotometricInterpretation"),
    *("SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit", "BurnedInAnnotation"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
)
# Keywords would be looked up anew for every file, which takes a quarter of reading it.
_TAG_NUMBERS = [Tag(keyword) for keyword in _TAGS]
_POSITION = Tag("ImagePositionPatient")
# In enhanced multi-frame CT each frame's own values lie in these groups (PS3.3, C.7.6.16).
_GROUPS = {
    "PixelSpacing": "PixelMeasuresSequence",
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
}
_NEEDED = {
    "ImagePositionPatient": ("position in space", 3),
    "ImageOrientationPatient": ("orientation in space", 6),
    "PixelSpacing": ("pixel spacing", 2),
    "RescaleSlope": ("rescale slope: its values are not HU", 1),
    "RescaleIntercept": ("rescale intercept: its values are not HU", 1),
}
# Units that are HU, or that writers of HU leave unspecified; others are iodine, density and such.
_HU_TYPES = frozenset({"", "HU", "HU_MOD", "US"})
_DISPLAY = "PhotometricInterpretation"
_MOST_SPACING_MM = 20.0
_MOST_PIXELS = 1 << 14
_MOST_POSITION_MM = 1e5
_MOST_HU = 1e6


@dataclass(frozen=True)
class Slice:
    """One image of a CT series.

    Attributes
    ----------
    file : Path
    frame : int or None
        Which image of a multi-frame file; None in a file of one image.
    series, space : str
        UIDs of the series and of the frame of reference; empty where absent.
    size : tuple of int
        Columns and rows.
    spacing_mm : tuple of float
        Between columns and between rows.
    position_mm : tuple of float, length 3
        Centre of the first pixel.
    orientation : tuple of float, length 6
        Direction along a row, then along a column.
    slope, intercept : float
        HU = stored * slope + intercept.
    stored : tuple of int
        The least and the greatest value that its bits can hold.
    padding : tuple of float or None
        The least and the greatest stored value that mark pixels outside the field of view.
    inverted : bool
        MONOCHROME1: displayed inverted; the stored values mean the same.
    syntax : UID
        How the pixels are encoded.
    native : NativePixels or None
        Where the pixels lie in the file, where they can be taken from it as they are.
    """

    file: Path
    frame: int | None
    series: str
    space: str
    size: tuple[int, int]
    spacing_mm: tuple[float, float]
    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    slope: float
    intercept: float
    stored: tuple[int, int]
    padding: tuple[float, float] | None
    inverted: bool
    syntax: pydicom.uid.UID
    native: NativePixels | None

    @property
    def hu_range(self) -> tuple[float, float]:
        """The least and the greatest HU that it can hold."""
        ends = [value * self.slope + self.intercept for value in self.stored]
        return min(ends), max(ends)


class _Header(NamedTuple):
    """What was read of a file, and where its pixels lie if they lie there as they are."""

    values: pydicom.FileDataset
    pixels: NativePixels | None


def read_slices(files: Sequence[Path]) -> list[Slice]:
    """Read the headers of files: each one image, or the frames of an enhanced CT.

    The slices of a series say the same but for their positions: what was understood and checked
    once is taken over for others that hold the same bytes.

    Raises
    ------
    ImagingError
        Not DICOM, not CT, or without what places it in space and makes HU of its values.
    """
    known: dict[Hashable, Slice] = {}
    slices: list[Slice] = []
    for file in files:
        header = _header(file)
        try:
            alike = _all_but_position(header)
            if alike in known:
                slices.append(_moved(known[alike], header, file))
                continue
            read = _slices(header, file)
        except ImagingError:
            raise
        except Exception as error:  # pydicom converts a value when it is asked for, and raises then
            raise ImagingError("a value of its header is damaged", file) from error
        slices += read
        if alike is not None:
            known[alike] = read[0]
    return slices


def _header(file: Path) -> _Header:
    try:
        with file.open("rb") as stream:
            # Forced, because some archives leave out the preamble; what is no DICOM has no series.
            values = pydicom.dcmread(
                stream, stop_before_pixels=True, force=True, specific_tags=_TAG_NUMBERS
            )
            pixels = find_pixels(stream, values)
        readable = "SeriesInstanceUID" in values  # empty where it was anonymised away
    except Exception as error:  # pydicom raises what its parsing happens to meet
        raise ImagingError("is not readable DICOM: repair or remove it", file) from error
    if not readable:
        raise ImagingError("is not readable DICOM: repair or remove it", file)
    return _Header(values, pixels)


def _all_but_position(header: _Header) -> Hashable | None:
    """Return what a header of one image says, but for its position, in its own bytes."""
    said: list[Hashable] = [header.values.file_meta.get("TransferSyntaxUID")]
    said.append(header.pixels and header.pixels.length)
    for element in header.values.elements():
        if not isinstance(element, RawDataElement):
            return None  # a sequence, as in enhanced CT
        if element.tag != _POSITION:
            said.append((element.tag, element.VR, element.value))
    return (header.values.original_encoding, *said)


def _moved(one: Slice, header: _Header, file: Path) -> Slice:
    """Return a slice that says the same as another, at its own place."""
    return replace(
        one,
        file=file,
        position_mm=_position([header.values], file),
        native=one.native and header.pixels,
    )


def _slices(read: _Header, file: Path) -> tuple[Slice, ...]:
    header, pixels = read
    if (header.get("Modality") or "CT") != "CT":
        raise ImagingError("is not a CT image", file)
    shades = ("MONOCHROME1", "MONOCHROME2", "", None)
    if int(header.get("SamplesPerPixel") or 1) != 1 or header.get(_DISPLAY) not in shades:
        raise ImagingError("is a colour picture, not a CT image", file)
    if str(header.get("BurnedInAnnotation") or "").upper() == "YES":
        raise ImagingError(
            "its pixels are said to hold burned-in annotations, which may name a person", file
        )
    groups = header.get("PerFrameFunctionalGroupsSequence")
    count = int(header.get("NumberOfFrames") or 1)
    if groups is None:
        if count > 1:
            raise ImagingError(
                "holds several frames without a place for each: export it as single slices", file
            )
        one = _slice(header, [header], None, file)
        plain = pixels is not None and are_plain(pixels, header)
        return (replace(one, native=pixels) if plain else one,)
    if len(groups) != count:
        raise ImagingError(f"is damaged: {count} frames, {len(groups)} of them described", file)
    shared = list(header.get("SharedFunctionalGroupsSequence") or [])
    return tuple(
        _slice(header, _functional(group, shared), index, file)
        for index, group in enumerate(groups)
    )


def _functional(group: pydicom.Dataset, shared: Sequence[pydicom.Dataset]) -> list[Any]:
    """Return the items of a frame's own groups, then those that all frames share."""
    names = sorted(set(_GROUPS.values()))
    return [item[name].value[0] for item in (group, *shared) for name in names if item.get(name)]


def _slice(
    header: pydicom.Dataset, sources: Sequence[pydicom.Dataset], frame: int | None, file: Path
) -> Slice:
    numbers = {tag: _numbers(sources, tag, file) for tag in _NEEDED}
    spacing = numbers["PixelSpacing"]
    slope, intercept = numbers["RescaleSlope"][0], numbers["RescaleIntercept"][0]
    rows, columns = int(header.Rows), int(header.Columns)
    sound = all(0 < x < _MOST_SPACING_MM for x in spacing) and slope != 0
    if not (sound and 0 < rows <= _MOST_PIXELS and 0 < columns <= _MOST_PIXELS):
        raise ImagingError("its header makes no sense: size, spacing or slope", file)
    stored = _stored_range(header, file)
    if max(abs(value * slope + intercept) for value in stored) > _MOST_HU:
        raise ImagingError("its header makes no sense: rescale slope or intercept", file)
    unit = next((str(u) for u in (s.get("RescaleType") for s in sources) if u), "")
    if unit.strip().upper() not in _HU_TYPES:
        raise ImagingError("its values are not HU: a map of something else", file)
    return Slice(
        file=file,
        frame=frame,
        series=str(header.SeriesInstanceUID),
        space=str(header.get("FrameOfReferenceUID") or ""),
        size=(columns, rows),
        spacing_mm=(spacing[1], spacing[0]),
        position_mm=_position(sources, file),
        orientation=numbers["ImageOrientationPatient"],
        slope=slope,
        intercept=intercept,
        stored=stored,
        padding=_padding(header, stored),
        inverted=header.get(_DISPLAY) == "MONOCHROME1",
        syntax=header.file_meta.get("TransferSyntaxUID") or pydicom.uid.ImplicitVRLittleEndian,
        native=None,
    )


def _position(sources: Sequence[pydicom.Dataset], file: Path) -> tuple[float, ...]:
    position = _numbers(sources, "ImagePositionPatient", file)
    if not max(map(abs, position)) < _MOST_POSITION_MM:
        raise ImagingError("its header makes no sense: position in space", file)
    return position


def _numbers(sources: Sequence[pydicom.Dataset], tag: str, file: Path) -> tuple[float, ...]:
    name, length = _NEEDED[tag]
    value = next((v for v in (s.get(tag) for s in sources) if v not in (None, "")), None)
    if value is None:
        raise ImagingError(f"a slice has no {name}", file)
    numbers = tuple(float(x) for x in (value if length > 1 else [value]))
    if len(numbers) != length or not all(map(math.isfinite, numbers)):
        raise ImagingError("a slice's geometry is not made of numbers", file)
    return numbers


def _stored_range(header: pydicom.Dataset, file: Path) -> tuple[int, int]:
    bits, allocated = int(header.BitsStored), int(header.BitsAllocated)
    # CT has 16 (PS3.3, C.8.2.1); of 32 a decoder would read beyond what is there.
    if allocated not in (8, 16) or not 1 < bits <= allocated:
        raise ImagingError("its header makes no sense: bits of a pixel", file)
    if int(header.PixelRepresentation):
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1


def _padding(header: pydicom.Dataset, stored: tuple[int, int]) -> tuple[float, float] | None:
    """Return the padding values as stored values.

    The dictionary leaves open whether they are signed, and writers get it wrong: -2000 stands
    there as 63536.
    """
    ends = []
    for tag in ("PixelPaddingValue", "PixelPaddingRangeLimit"):
        value = header.get(tag)
        if isinstance(value, bytes):
            value = int.from_bytes(value, "little" if header.is_little_endian else "big")
        if value in (None, ""):
            continue
        span = stored[1] - stored[0] + 1
        outside = stored[0] < 0 and not stored[0] <= int(value) <= stored[1]
        bits = 16 if span <= 1 << 16 else 32
        ends.append(float(int(value) - (1 << bits) if outside and int(value) > 0 else int(value)))
    return (min(ends), max(ends)) if header.get("PixelPaddingValue") not in (None, "") else None
