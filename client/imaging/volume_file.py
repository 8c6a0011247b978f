"""Volume files (NIfTI, NRRD, MetaImage), read so that a damaged one is never taken for whole.

The readers behind SimpleITK fill what is missing from a NIfTI file with zeros, turn its NaN into
zero, and return noise for a MetaImage whose checksum is wrong, all without an error: a wrong
volume that looks like a right one. Here checksums are verified, the length is compared with the
header's promise, and every voxel of a floating-point volume is looked at. SimpleITK still says
where the volume lies.

A packed file is unpacked whole and at once, by libdeflate, which costs about half of what the
readers behind SimpleITK take; what libdeflate cannot do at once, such as a file of several gzip
members, is unpacked piece by piece.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import imagecodecs
import numpy as np
import SimpleITK as sitk
from isal import igzip, isal_zlib
from numpy.typing import NDArray

from client.imaging.errors import ImagingError
from client.imaging.grid import Box, Grid
from client.imaging.volume_headers import Header, Packing, read_header

_PIECE_BYTES = 1 << 17

Content = NDArray[np.uint8]


@dataclass(frozen=True)
class VolumeFile:
    """A volume in one file; every reading goes through all of it, to its checksum."""

    path: Path
    grid: Grid
    header: Header

    @property
    def notes(self) -> tuple[tuple[str, Path], ...]:
        """Nothing: a volume file is whole or refused."""
        return ()

    def read(self, box: Box) -> NDArray[Any]:
        """Return the voxels of a box, shape (d, h, w).

        Raises
        ------
        ImagingError
            Damaged, cut short, or with voxels that are not finite.
        """
        voxels = self._voxels()
        if voxels.dtype.kind == "f" and not all(np.isfinite(plane).all() for plane in voxels):
            raise ImagingError("has voxels that are not numbers (NaN or infinite)", self.path)
        whole = box == self.grid.whole  # as of a mask: nothing has to be copied
        stored = voxels[box].astype(voxels.dtype.newbyteorder("="), copy=not whole)
        slope, intercept = self.header.slope, self.header.intercept
        if (slope, intercept) == (1.0, 0.0):
            return stored
        scaled = stored.astype(np.float32)
        scaled *= np.float32(slope)
        scaled += np.float32(intercept)
        return scaled

    def _voxels(self) -> NDArray[Any]:
        """Return all voxels as they are stored, shape (D, H, W)."""
        depth, height, width = self.grid.size[::-1]
        dtype, offset = self.header.dtype, self.header.offset
        length = offset + depth * height * width * dtype.itemsize
        try:
            with self.path.open("rb") as file:
                file.seek(self.header.packed_from)
                content = _UNPACK[self.header.packing](file, length)
        except (OSError, EOFError, isal_zlib.IsalError) as error:  # type: ignore[misc]  # its stub
            raise ImagingError("is damaged or cut short", self.path) from error
        except MemoryError as error:
            raise ImagingError("cannot be held in this machine's memory", self.path) from error
        if len(content) < length:
            raise ImagingError("is cut short: fewer voxels than its header says", self.path)
        return content[offset:length].view(dtype).reshape(depth, height, width)


def open_volume(path: Path) -> VolumeFile:
    """Open ``.nii``, ``.nii.gz``, ``.nrrd`` or ``.mha``; voxels are read later.

    Raises
    ------
    ImagingError
        The header cannot be read, or is not that of one volume of grey values.
    """
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    if path.name.endswith((".nii", ".nii.gz")):
        read_header(path, None)  # has the better reasons
        reader.SetImageIO("NiftiImageIO")
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise ImagingError("is damaged, cut short, or not an image", path) from error
    if reader.GetDimension() != 3 or reader.GetNumberOfComponents() != 1:
        raise ImagingError("is not one three-dimensional volume of grey values", path)
    header = read_header(path, reader.GetPixelIDValue())
    grid = Grid.of(reader)
    if header.size is not None and header.size != grid.size:
        raise ImagingError("is damaged: its header makes no sense", path)
    return VolumeFile(path, grid, header)


def _read(file: IO[bytes], length: int) -> Content:
    return np.fromfile(file, np.uint8, length)


def _gunzip(file: IO[bytes], length: int) -> Content:
    packed, content = file.read(), np.empty(length, np.uint8)
    try:
        if len(imagecodecs.gzip_decode(packed, out=content.data)) == length:
            return content
    except imagecodecs.DeflateError:  # damaged, or longer than it should be
        pass
    with igzip.IGzipFile(fileobj=io.BytesIO(packed), mode="rb") as stream:
        content = content[: stream.readinto(content)]
        while stream.read(_PIECE_BYTES):  # to the checksum at the end
            pass
    return content


def _inflate(file: IO[bytes], length: int) -> Content:
    del length
    return np.frombuffer(isal_zlib.decompress(file.read(), 15), np.uint8)


# From a file at the place where its content begins to the first bytes of that, shape (n,): as many
# as are wanted, or fewer where there are no more.
_UNPACK: Mapping[Packing, Callable[[IO[bytes], int], Content]] = {
    "none": _read,
    "gzip": _gunzip,
    "zlib": _inflate,
}
