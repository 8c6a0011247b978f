"""Pixels that lie in a DICOM file as they are, neither encoded nor packed.

Most archives keep them so. No decoder is needed, and only the rows of a box are read. Everything
unusual about them (bits beyond those that are said to be used, a length that is not that of the
picture) is left to the decoders.
"""

import os
import struct
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

_TAG = b"\xe0\x7f\x10\x00"
_CELL_BITS = 16


class NativePixels(NamedTuple):
    """Where in a file its pixels lie, in bytes."""

    start: int
    length: int


def find_pixels(stream: IO[bytes], header: pydicom.FileDataset) -> NativePixels | None:
    """Return where pixels lie that are stored as they are, 16 bits little-endian each.

    Parameters
    ----------
    stream : file
        As pydicom leaves it when it stops before the pixels.
    header : FileDataset
    """
    syntax = header.file_meta.get("TransferSyntaxUID")
    if syntax not in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        return None
    implicit = syntax == ImplicitVRLittleEndian
    if header.original_encoding != (implicit, True):
        return None  # written otherwise than it says
    start = stream.tell()
    element = stream.read(8 if implicit else 12)
    if element[:4] != _TAG or not (implicit or element[4:6] in (b"OW", b"OB")):
        return None
    (length,) = struct.unpack("<I", element[-4:])
    return NativePixels(start + len(element), length)


def are_plain(pixels: NativePixels, header: pydicom.Dataset) -> bool:
    """Return whether pixels are one plane of values in 16 bits each and nothing else."""
    stored = int(header.BitsStored)
    return (
        pixels.length == 2 * int(header.Rows) * int(header.Columns)
        and header.BitsAllocated == _CELL_BITS
        and header.get("HighBit") == stored - 1
        and header.PixelRepresentation in (0, 1)
        and header.get("SamplesPerPixel") == 1
        and header.get("NumberOfFrames") in (None, 1)
    )


def read_rows(
    file: Path, pixels: NativePixels, width: int, rows: slice, stored: tuple[int, int]
) -> NDArray[Any]:
    """Return rows of a plane as stored, shape (h, width).

    Parameters
    ----------
    file : Path
    pixels : NativePixels
    width : int
        Pixels of a row.
    rows : slice
    stored : tuple of int
        The least and the greatest value that the bits in use can hold.

    Raises
    ------
    RuntimeError
        The file is cut short, wherever that is, or a value has more bits than are in use.
    """
    row_bytes = 2 * width
    count = rows.stop - rows.start
    buffer = bytearray(count * row_bytes)
    with file.open("rb", buffering=0) as stream:
        if os.fstat(stream.fileno()).st_size < pixels.start + pixels.length:
            raise RuntimeError("cut short")
        stream.seek(pixels.start + rows.start * row_bytes)
        if stream.readinto(buffer) != len(buffer):
            raise RuntimeError("cut short")
    values = np.frombuffer(buffer, "<i2" if stored[0] < 0 else "<u2").reshape(count, width)
    limits = np.iinfo(values.dtype)
    narrow = stored != (limits.min, limits.max)
    if narrow and values.size and not stored[0] <= values.min() <= values.max() <= stored[1]:
        raise RuntimeError("values of more bits than are in use")
    return values
