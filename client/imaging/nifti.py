"""Whether a NIfTI file holds what its header promises.

The reader behind SimpleITK fills what is missing from a file cut short with zeros, and turns NaN
into zero, both without a word: a wrong volume that looks like a right one.
"""

import gzip
import struct
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from client.imaging.errors import ImagingError

_HEADER_BYTES = 348
_FLOATS = {16: "f4", 64: "f8"}
_CHUNK_BYTES = 1 << 24


@dataclass(frozen=True)
class _Header:
    """Fields of NIfTI-1 (nifti.nimh.nih.gov/nifti-1) that say how many bytes must follow."""

    order: str
    data_offset: int
    data_bytes: int
    datatype: int
    scaled: bool

    @property
    def total_bytes(self) -> int:
        return self.data_offset + self.data_bytes


def check_nifti(path: Path, image: sitk.Image) -> None:
    """Compare what was read with what is in the file.

    A compressed file ends with a checksum of its content. Where the reader changed nothing, the
    checksum of header and voxels in memory must be the same: a fraction of the cost of reading.
    Otherwise the file is read once more, whole.

    Raises
    ------
    ImagingError
        Cut short, damaged, or with voxels that are not finite.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            start = stream.read(_HEADER_BYTES)
            header = _parse(start)
            start += stream.read(header.data_offset - _HEADER_BYTES)
    except (OSError, EOFError, zlib.error, struct.error, ValueError) as error:
        raise ImagingError("is damaged: it has no NIfTI header", path) from error
    if path.suffix == ".gz" and _checksum_holds(path, start, header, image):
        return
    if path.suffix != ".gz" and header.datatype not in _FLOATS:
        if path.stat().st_size < header.total_bytes:
            raise ImagingError("is cut short: fewer voxels than its header says", path)
        return
    _read_whole(path, header)


def _parse(start: bytes) -> _Header:
    order = "<" if struct.unpack_from("<i", start)[0] == _HEADER_BYTES else ">"
    if struct.unpack_from(f"{order}i", start)[0] != _HEADER_BYTES:
        raise ValueError("not NIfTI-1")
    dimensions = struct.unpack_from(f"{order}8h", start, 40)
    datatype, bits = struct.unpack_from(f"{order}2h", start, 70)
    offset, slope, intercept = struct.unpack_from(f"{order}3f", start, 108)
    counts = [max(1, count) for count in dimensions[1 : 1 + dimensions[0]]]
    return _Header(
        order=order,
        data_offset=int(offset),
        data_bytes=int(np.prod(counts, dtype=np.int64)) * bits // 8,
        datatype=datatype,
        scaled=slope not in (0.0, 1.0) or intercept != 0.0,
    )


def _checksum_holds(path: Path, start: bytes, header: _Header, image: sitk.Image) -> bool:
    if header.scaled or (header.order == "<") != (sys.byteorder == "little"):
        return False
    voxels = sitk.GetArrayViewFromImage(image)
    if voxels.nbytes != header.data_bytes:
        return False
    with path.open("rb") as stream:
        stream.seek(-8, 2)
        expected = struct.unpack("<2I", stream.read(8))
    found = zlib.crc32(voxels.data, zlib.crc32(start))
    return expected == (found, header.total_bytes & 0xFFFFFFFF)


def _read_whole(path: Path, header: _Header) -> None:
    dtype = np.dtype(f"{header.order}{_FLOATS.get(header.datatype, 'u1')}")
    left = header.data_bytes
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            stream.read(header.data_offset)
            while left > 0 and (chunk := stream.read(min(left, _CHUNK_BYTES))):
                left -= len(chunk)
                whole = len(chunk) // dtype.itemsize * dtype.itemsize
                if dtype.kind == "f" and not np.isfinite(np.frombuffer(chunk[:whole], dtype)).all():
                    raise ImagingError("has voxels that are not numbers (NaN or infinite)", path)
    except (OSError, EOFError, zlib.error) as error:
        raise ImagingError("is damaged or cut short", path) from error
    if left > 0:
        raise ImagingError("is cut short: fewer voxels than its header says", path)
