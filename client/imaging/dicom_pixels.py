"""From the encoded pixels of CT slices to HU.

SimpleITK (GDCM) decodes; what it does not, or does otherwise than the standard says, pydicom
does: frames of enhanced CT, and MONOCHROME1, whose values GDCM inverts although the photometric
interpretation is about display alone (PS3.3, C.11.1: the modality LUT is applied to the stored
values).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from scipy import ndimage

from client.imaging.dicom_header import Slice
from client.imaging.errors import ImagingError
from client.imaging.grid import AIR_HU

# Rows and columns to keep.
Part = tuple[slice, slice]
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
    by_gdcm = all(s.frame is None and not s.inverted for s in slices)
    try:
        hu = (_by_gdcm if by_gdcm else _by_pydicom)(slices, pixel_id, part)
    except RuntimeError:
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


def _by_gdcm(slices: Sequence[Slice], pixel_id: int, part: Part) -> NDArray[Any]:
    image = sitk.ReadImage([str(s.file) for s in slices], pixel_id)
    size = (*slices[0].size, len(slices))
    if image.GetSize() != size:
        raise RuntimeError("decoded to another size")
    # Copied while the image lives, which its view does not see to.
    return np.array(sitk.GetArrayViewFromImage(image)[:, part[0], part[1]])


def _by_pydicom(slices: Sequence[Slice], pixel_id: int, part: Part) -> NDArray[Any]:
    dtype = {sitk.sitkInt16: np.int16, sitk.sitkInt32: np.int32}.get(pixel_id, np.float32)
    hu = np.empty((len(slices), *slices[0].size[::-1]), dtype)
    for plane, one in zip(hu, slices, strict=True):
        try:
            stored = pixel_array(one.file, index=one.frame, raw=True)
        except Exception as error:  # pydicom and its decoders raise what they happen to meet
            raise RuntimeError from error
        if stored.shape != plane.shape:
            raise RuntimeError("decoded to another size")
        plane[:] = stored * one.slope + one.intercept
    return np.ascontiguousarray(hu[:, part[0], part[1]])


def _one_by_one(slices: Sequence[Slice], pixel_id: int, part: Part) -> NDArray[Any]:
    """Decode each slice by whatever can, and name the one that nothing can."""
    planes = []
    for one in slices:
        attempts = (
            [_by_pydicom] if one.inverted or one.frame is not None else [_by_gdcm, _by_pydicom]
        )
        for attempt in attempts:
            try:
                planes.append(attempt([one], pixel_id, part))
                break
            except RuntimeError:
                continue
        else:
            raise ImagingError(_why(one), one.file)
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
