"""Where voxels lie: grids in the patient's space, and what can be read on them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

# Part of a volume, as slices along z, y, x with start and stop.
Box = tuple[slice, slice, slice]
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Grid:
    """A lattice of voxels in the patient's space (LPS, mm).

    Attributes
    ----------
    size : tuple of int
        Voxels along x, y, z, as SimpleITK counts.
    spacing_mm : tuple of float
        Distance of neighbouring voxels along the grid's own axes.
    origin_mm : tuple of float
        Centre of the first voxel.
    direction : tuple of float
        The grid's axes as the columns of a 3 x 3 matrix, written row by row.
    """

    size: tuple[int, int, int]
    spacing_mm: Vector
    origin_mm: Vector
    direction: tuple[float, ...]

    @classmethod
    def of(cls, image: sitk.Image | sitk.ImageFileReader) -> "Grid":
        """Return the grid of a three-dimensional image, or of one whose header was read."""
        return cls(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    @property
    def whole(self) -> Box:
        """The box of all voxels."""
        depth, height, width = self.size[::-1]
        return slice(0, depth), slice(0, height), slice(0, width)

    @cached_property
    def frame(self) -> sitk.Image:
        """A single voxel at the first one's place: SimpleITK's own arithmetic for positions."""
        frame = sitk.Image([1, 1, 1], sitk.sitkUInt8)
        frame.SetSpacing(self.spacing_mm)
        frame.SetOrigin(self.origin_mm)
        frame.SetDirection(self.direction)
        return frame

    def indices(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where points (x, y, z), shape (n, 3), lie in voxels along x, y, z."""
        axes = np.array(self.direction).reshape(3, 3)
        offsets = (points_mm - np.array(self.origin_mm)) @ axes
        return np.asarray(offsets / np.array(self.spacing_mm), dtype=np.float64)

    def place(self, values: NDArray[Any], box: Box) -> sitk.Image:
        """Return the values of a box, shape (d, h, w), as an image at its place in the world."""
        image = sitk.GetImageFromArray(values)
        corner = [int(part.start) for part in box[::-1]]
        image.SetSpacing(self.spacing_mm)
        image.SetOrigin(self.frame.TransformIndexToPhysicalPoint(corner))
        image.SetDirection(self.direction)
        return image


class Scan(Protocol):
    """A volume whose place is known and whose voxels are read where they are needed."""

    @property
    def grid(self) -> Grid:
        """Where the voxels lie."""
        ...

    def read(self, box: Box) -> NDArray[Any]:
        """Return the voxels of a box, shape (d, h, w).

        Raises
        ------
        ImagingError
            The file is damaged.
        """
        ...


@dataclass(frozen=True, eq=False)
class Volume:
    """A scan in memory.

    Attributes
    ----------
    voxels : ndarray, shape (D, H, W)
    grid : Grid
    """

    voxels: NDArray[Any]
    grid: Grid

    @classmethod
    def of(cls, image: sitk.Image) -> "Volume":
        """Return a copy of an image's voxels with its grid."""
        return cls(sitk.GetArrayFromImage(image), Grid.of(image))

    def read(self, box: Box) -> NDArray[Any]:
        """Return the voxels of a box, not copied."""
        return self.voxels[box]
