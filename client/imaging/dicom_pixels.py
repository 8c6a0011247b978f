"""From the encoded pixels of CT slices to HU.

Values that are not encoded are read as they are. Else SimpleITK (GDCM) decodes; what it does not,
or does otherwise than the standard says, pydicom does: frames of enhanced CT; run lengths, for
whose missing end GDCM takes gigabytes; and MONOCHROME1, whose values GDCM inverts although the
photometric interpretation is about display alone (PS3.3, C.11.1: the modality LUT is applied to
the stored values).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import RLELossless
from scipy import ndimage

from client.imaging.dicom_header import Slice
from client.imaging.errors import ImagingError
from client.imaging.grid import AIR_HU
from client.imaging.native_pixels import read_rows

# Rows and columns to keep.
Part = tuple[slice, slice]
Decoder = Callable[[Sequence[Slice], int, Part], NDArray[Any]]
# Whole slices are decoded for the part of each that is kept: so many are in memory at a time.
_AT_ONCE = 16
_DAMAGED = "cannot be decoded: it is damaged or cut short"


def read_hu(slices: Sequence[Slice], rows: slice, columns: slice) -> NDArray[Any]:
    """Return a part of slices of one size as HU, shape (n, h, w); nothing is below -1024.

    Raises
    ------
    ImagingError
        A slice is damaged, cut short, or encoded in a way that nothing here decodes.
    """
    padded = any(_is_padded(one) for one in slices)
    # Which padding is outside the field of view is told by the edge of the slice.
    part = (slice(None), slice(None)) if padded else (rows, columns)
    pixel_id = _pixel_id(slices)
    hu = _first_of(_decoders(slices), slices, pixel_id, part)
    if hu is None:
        hu = _one_by_one(slices, pixel_id, part)
    if padded:
        _fill_padding(hu, slices)
        hu = np.ascontiguousarray(hu[:, rows, columns])
    np.maximum(hu, AIR_HU, out=hu)
    return hu


def _pixel_id(slices: Sequence[Slice]) -> int:
    """Return SimpleITK's type that holds the HU of every slice.

    It would take the first slice's type for all, and cut off what others have beyond it.
    """
    if any(value != round(value) for s in slices for value in (s.slope, s.intercept)):
        return int(sitk.sitkFloat32)
    low, high = min(s.hu_range[0] for s in slices), max(s.hu_range[1] for s in slices)
    limits = np.iinfo(np.int16)
    return int(sitk.sitkInt16 if limits.min <= low and high <= limits.max else sitk.sitkInt32)


def _decoders(slices: Sequence[Slice]) -> list[Decoder]:
    """Return what can decode slices, the fastest first."""
    decoders: list[Decoder] = [_by_pydicom]
    if all(_suits_gdcm(one) for one in slices):
        decoders.insert(0, _by_gdcm)
    if all(one.native for one in slices):
        decoders.insert(0, _as_stored)
    return decoders


def _suits_gdcm(one: Slice) -> bool:
    return one.frame is None and not one.inverted and one.syntax != RLELossless


def _first_of(
    decoders: Sequence[Decoder], slices: Sequence[Slice], pixel_id: int, part: Part
) -> NDArray[Any] | None:
    for decode in decoders:
        try:
            return decode(slices, pixel_id, part)
        except RuntimeError:
            continue
    return None


def _as_stored(slices: Sequence[Slice], pixel_id: int, part: Part) -> NDArray[Any]:
    hu = _empty(slices, pixel_id, part)
    width, height = slices[0].size
    rows = slice(*part[0].indices(height)[:2])
    for plane, one in zip(hu, slices, strict=True):
        if one.native is None:
            raise RuntimeError("is encoded")
        stored = read_rows(one.file, one.native, width, rows, one.stored)[:, part[1]]
        plane[:] = stored * one.slope + one.intercept
    return hu


def _by_gdcm(slices: Sequence[Slice], pixel_id: int, part: Part) -> NDArray[Any]:
    hu = _empty(slices, pixel_id, part)
    for start in range(0, len(slices), _AT_ONCE):
        files = [str(one.file) for one in slices[start : start + _AT_ONCE]]
        image = sitk.ReadImage(files, pixel_id)
        if image.GetSize() != (*slices[0].size, len(files)):
            raise RuntimeError("decoded to another size")
        # Copied while the image lives, which its view does not see to.
        hu[start : start + len(files)] = sitk.GetArrayViewFromImage(image)[:, part[0], part[1]]
    return hu


def _by_pydicom(slices: Sequence[Slice], pixel_id: int, part: Part) -> NDArray[Any]:
    hu = _empty(slices, pixel_id, part)
    for plane, one in zip(hu, slices, strict=True):
        try:
            stored = pixel_array(one.file, index=one.frame, raw=True)
        except Exception as error:  # pydicom and its decoders raise what they happen to meet
            raise RuntimeError from error
        if stored.shape != one.size[::-1]:
            raise RuntimeError("decoded to another size")
        plane[:] = stored[part] * one.slope + one.intercept
    return hu


def _empty(slices: Sequence[Slice], pixel_id: int, part: Part) -> NDArray[Any]:
    """Return room for a part of slices, shape (n, h, w), of the type that holds their HU."""
    width, height = slices[0].size
    shape = [
        len(range(*cut.indices(count))) for cut, count in zip(part, (height, width), strict=True)
    ]
    kinds: dict[int, type[Any]] = {sitk.sitkInt16: np.int16, sitk.sitkInt32: np.int32}
    return np.empty((len(slices), *shape), kinds.get(pixel_id, np.float32))


def _one_by_one(slices: Sequence[Slice], pixel_id: int, part: Part) -> NDArray[Any]:
    """Decode each slice by whatever can, and name the one that nothing can."""
    planes = []
    for one in slices:
        plane = _first_of(_decoders([one]), [one], pixel_id, part)
        if plane is None:
            raise ImagingError(_why(one), one.file)
        planes.append(plane)
    return np.concatenate(planes)


def _is_padded(one: Slice) -> bool:
    """Return whether a slice's padding is anything but air after clipping."""
    return one.padding is not None and any(
        value * one.slope + one.intercept > AIR_HU for value in one.padding
    )


def _fill_padding(hu: NDArray[Any], slices: Sequence[Slice]) -> None:
    """Make air of what lies outside the field of view.

    Padding below air is clipped anyhow. Where it has the value of a tissue, which happens, only
    what hangs together with the edge of the slice is outside; the same value within the body is
    the body.
    """
    for plane, one in zip(hu, slices, strict=True):
        if one.padding is None or not _is_padded(one):
            continue
        ends = [value * one.slope + one.intercept for value in one.padding]
        margin = abs(one.slope) / 4  # for what a float rounds away
        marked = (plane >= min(ends) - margin) & (plane <= max(ends) + margin)
        parts, _ = ndimage.label(marked)
        edge = np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]])
        outside = np.unique(edge[edge > 0])
        if len(outside):
            plane[np.isin(parts, outside)] = AIR_HU


def _why(one: Slice) -> str:
    try:
        decodable = get_decoder(one.syntax).is_available
    except NotImplementedError:
        decodable = False
    if decodable:
        return _DAMAGED
    return f"cannot be decoded: damaged, or its encoding ({one.syntax.name}) is not supported"
