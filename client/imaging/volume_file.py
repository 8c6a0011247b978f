"""Volume files (NIfTI, NRRD, MetaImage), read so that a damaged one is never taken for whole.

The readers behind SimpleITK fill what is missing from a NIfTI file with zeros, turn its NaN into
zero, and return noise for a MetaImage whose checksum is wrong, all without an error: a wrong
volume that looks like a right one. Here checksums are verified, the length is compared with the
header's promise, and every voxel of a floating-point volume is looked at. SimpleITK still says
where the volume lies.

Files are unpacked in pieces that fit the processor's cache and only the box that is asked for is
kept, which costs less than half of unpacking the whole into memory.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import SimpleITK as sitk
from isal import igzip, isal_zlib
from numpy.typing import NDArray

from client.imaging.errors import ImagingError
from client.imaging.grid import Box, Grid
from client.imaging.volume_headers import Header, read_header

_PIECE_BYTES = 1 << 17


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
        try:
            with _open_voxels(self.path, self.header) as stream:
                stored = self._keep(stream, box)
                while stream.read(_PIECE_BYTES):  # to the checksum at the end
                    pass
        except (OSError, EOFError, isal_zlib.IsalError) as error:  # type: ignore[misc]  # its stub
            raise ImagingError("is damaged or cut short", self.path) from error
        slope, intercept = self.header.slope, self.header.intercept
        if (slope, intercept) == (1.0, 0.0):
            return stored
        scaled = stored.astype(np.float32)
        scaled *= np.float32(slope)
        scaled += np.float32(intercept)
        return scaled

    def _keep(self, stream: IO[bytes], box: Box) -> NDArray[Any]:
        """Read all planes in their order and keep what lies in the box."""
        width, height, depth = self.grid.size
        native = self.header.dtype.newbyteorder("=")
        if box == self.grid.whole:  # as of a mask: nothing has to be copied
            return self._planes(stream, depth).astype(native, copy=False)
        at_once = max(1, _PIECE_BYTES // (width * height * native.itemsize))
        kept = np.empty([part.stop - part.start for part in box], native)
        for start in range(0, depth, at_once):
            planes = self._planes(stream, min(at_once, depth - start))
            first, last = max(start, box[0].start), min(start + at_once, box[0].stop)
            if first < last:
                inside = planes[first - start : last - start, box[1], box[2]]
                kept[first - box[0].start : last - box[0].start] = inside
        return kept

    def _planes(self, stream: IO[bytes], count: int) -> NDArray[Any]:
        """Read the next planes, shape (count, H, W)."""
        dtype = self.header.dtype
        width, height, _ = self.grid.size
        wanted = count * width * height * dtype.itemsize
        stored = stream.read(wanted)
        if len(stored) < wanted:
            raise ImagingError("is cut short: fewer voxels than its header says", self.path)
        planes = np.frombuffer(stored, dtype).reshape(count, height, width)
        if dtype.kind == "f" and not np.isfinite(planes).all():
            raise ImagingError("has voxels that are not numbers (NaN or infinite)", self.path)
        return planes


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


@contextmanager
def _open_voxels(path: Path, header: Header) -> Iterator[IO[bytes]]:
    """Open a file's voxels, unpacked, at the first one."""
    with path.open("rb") as file:
        if header.packing == "gzip":
            file.seek(header.packed_from)
            with igzip.IGzipFile(fileobj=file, mode="rb") as stream:
                stream.read(header.offset)
                yield stream
        elif header.packing == "zlib":
            file.seek(header.packed_from)
            yield io.BytesIO(isal_zlib.decompress(file.read(), 15))
        else:
            file.seek(header.offset)
            yield file
