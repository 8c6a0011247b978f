"""NIfTI files, read so that a damaged one is never taken for a whole one.

The NIfTI reader behind SimpleITK fills what is missing from a file cut short with zeros, and
turns NaN into zero, both without a word: a wrong volume that looks like a right one. Here the
checksum of the compressed file is verified, the length compared with the header's promise, and
every voxel of a floating-point volume looked at. SimpleITK still says where the volume lies.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from isal import igzip, isal_zlib
from numpy.typing import NDArray

from client.imaging.errors import ImagingError

_HEADER_BYTES = 348
_GZIP_LEAST_BYTES = 18
# Codes of NIfTI-1 (nifti.nimh.nih.gov/nifti-1) for voxels of one grey value.
_DTYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}


@dataclass(frozen=True)
class _Header:
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]  # (D, H, W)
    offset: int
    slope: float
    intercept: float


def read_nifti(path: Path) -> sitk.Image:
    """Read ``.nii`` or ``.nii.gz``.

    Raises
    ------
    ImagingError
        Damaged, cut short, not a volume of grey values, or with voxels that are not finite.
    """
    try:
        raw = _unpacked(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, isal_zlib.IsalError) as error:  # type: ignore[misc]  # its stub
        raise ImagingError("is damaged or cut short", path) from error
    header = _parse(raw, path)
    image = sitk.GetImageFromArray(_voxels(raw, header, path))
    _place(image, path)
    return image


def _unpacked(content: bytes) -> bytes:
    """Return what gzip packed, its checksum verified, in one piece of memory if it can be."""
    if len(content) < _GZIP_LEAST_BYTES:
        raise EOFError("too short for gzip")
    # The last four bytes tell the size; a damaged file may tell any, deflate at most 1032 to 1.
    told = int.from_bytes(content[-4:], "little")
    raw = isal_zlib.decompress(content, 31, min(told, 1032 * len(content)) + 1)
    # A file of several parts, as bgzip writes, tells only the size of its last.
    return raw if len(raw) == told else bytes(igzip.decompress(content))


def _parse(raw: bytes, path: Path) -> _Header:
    if len(raw) < _HEADER_BYTES:
        raise ImagingError("is cut short: it has no whole header", path)
    order = next((o for o in "<>" if struct.unpack_from(f"{o}i", raw)[0] == _HEADER_BYTES), None)
    if order is None:
        raise ImagingError("is not NIfTI-1: convert it, or write .nrrd or .mha", path)
    dimensions = struct.unpack_from(f"{order}8h", raw, 40)
    (datatype,) = struct.unpack_from(f"{order}h", raw, 70)
    offset, slope, intercept = struct.unpack_from(f"{order}3f", raw, 108)
    if dimensions[0] != 3 or min(dimensions[1:4]) < 1 or datatype not in _DTYPES:
        raise ImagingError("is not one three-dimensional volume of grey values", path)
    if not (np.isfinite([offset, slope, intercept]).all() and offset >= _HEADER_BYTES):
        raise ImagingError("is damaged: its header makes no sense", path)
    return _Header(
        dtype=np.dtype(f"{order}{_DTYPES[datatype]}"),
        shape=dimensions[3:0:-1],
        offset=int(offset),
        # A slope of 0 means that values are stored as they are.
        slope=slope or 1.0,
        intercept=intercept if slope else 0.0,
    )


def _voxels(raw: bytes, header: _Header, path: Path) -> NDArray[np.generic]:
    count = int(np.prod(header.shape, dtype=np.int64))
    if len(raw) < header.offset + count * header.dtype.itemsize:
        raise ImagingError("is cut short: fewer voxels than its header says", path)
    stored = np.frombuffer(raw, header.dtype, count, header.offset).reshape(header.shape)
    if header.dtype.kind == "f" and not np.isfinite(stored).all():
        raise ImagingError("has voxels that are not numbers (NaN or infinite)", path)
    if (header.slope, header.intercept) == (1.0, 0.0):
        return stored.astype(header.dtype.newbyteorder("="), copy=False)
    scaled = stored.astype(np.float32) * np.float32(header.slope) + np.float32(header.intercept)
    return np.asarray(scaled, dtype=np.float32)


def _place(image: sitk.Image, path: Path) -> None:
    """Give the volume its place in the world, as SimpleITK understands the file's header."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise ImagingError("is damaged: its place in space cannot be read", path) from error
    if reader.GetSize() != image.GetSize():
        raise ImagingError("is damaged: its header makes no sense", path)
    image.SetSpacing(reader.GetSpacing())
    image.SetOrigin(reader.GetOrigin())
    image.SetDirection(reader.GetDirection())
