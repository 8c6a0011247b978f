"""Where voxels lie: grids in the patient's space, and what can be read on them."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from client.imaging.affine import IDENTITY, Affine

# Part of a volume, as slices along z, y, x with start and stop.
Box = tuple[slice, slice, slice]
Vector = tuple[float, float, float]
AIR_HU = -1024
# Spacings that differ by less, as a share, are one that was rounded.
_ALIKE = 1e-3


@dataclass(frozen=True)
class Grid:
    """A lattice of voxels in the patient's space (LPS, mm).

    Attributes
    ----------
    size : tuple of int
        Voxels along x, y, z, as SimpleITK counts.
    spacing_mm : tuple of float
        Distance of neighbouring voxels along the grid's own axes; along z, of planes.
    origin_mm : tuple of float
        Centre of the first voxel.
    direction : tuple of float
        The grid's axes as the columns of a 3 x 3 matrix, written row by row; orthonormal.
    shear_mm : tuple of float
        How far a plane is shifted along the grid's x and y against the plane before it; not zero
        where the gantry was tilted.
    space : str or None
        DICOM's frame of reference; positions in two different ones cannot be compared.
    """

    size: tuple[int, int, int]
    spacing_mm: Vector
    origin_mm: Vector
    direction: tuple[float, ...]
    shear_mm: tuple[float, float] = (0.0, 0.0)
    space: str | None = None

    @classmethod
    def of(cls, image: sitk.Image | sitk.ImageFileReader) -> "Grid":
        """Return the grid of a three-dimensional image, or of one whose header was read."""
        return cls(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    @property
    def whole(self) -> Box:
        """The box of all voxels."""
        depth, height, width = self.size[::-1]
        return slice(0, depth), slice(0, height), slice(0, width)

    @property
    def slice_axis(self) -> int:
        """The axis of arrays (z, y, x) along which slices lie above each other.

        A file may store its axes in any order. Pixels of CT are square: slices are stacked along
        the axis whose spacing is not that of the two others, or, where all are alike, along the
        one nearest to the patient's long axis.
        """
        logarithms = np.log(self.spacing_mm)
        apart = np.abs(logarithms - np.median(logarithms))
        if apart.max() > _ALIKE:
            return 2 - int(np.argmax(apart))
        return self.long_axis

    @property
    def long_axis(self) -> int:
        """The axis of arrays (z, y, x) that lies nearest to the patient's long axis."""
        return 2 - int(np.argmax(np.abs(np.array(self.direction).reshape(3, 3)[2])))

    @cached_property
    def _steps(self) -> NDArray[np.float64]:
        """From one voxel to the next along x, y, z in the patient's space, as columns."""
        in_grid = np.diag(self.spacing_mm)
        in_grid[:2, 2] = self.shear_mm
        return np.asarray(np.array(self.direction).reshape(3, 3) @ in_grid, dtype=np.float64)

    def points_mm(self, indices: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the places of (also fractional) indices along x, y, z, shape (n, 3)."""
        points = indices @ self._steps.T + np.array(self.origin_mm)
        return np.asarray(points, dtype=np.float64)

    @property
    def corners_mm(self) -> NDArray[np.float64]:
        """Outer corners of the corner voxels, shape (8, 3), as (x, y, z)."""
        ends = [(-0.5, count - 0.5) for count in self.size]
        return self.points_mm(np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3))

    def box_around(self, points_mm: NDArray[np.float64]) -> Box | None:
        """Return the part that sampling between points, shape (n, 3), needs; None if none is."""
        indices = self.indices(points_mm)
        start = np.clip(np.floor(indices.min(axis=0)).astype(int) - 1, 0, None)
        stop = np.minimum(np.ceil(indices.max(axis=0)).astype(int) + 2, self.size)
        if (stop <= start).any():
            return None
        x, y, z = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
        return z, y, x

    def part(self, box: Box, blocks: tuple[int, int, int] = (1, 1, 1)) -> "Grid":
        """Return the grid of a box, joined in blocks of voxels along x, y, z.

        What fills no whole block at the far end is left out.
        """
        start = np.array([part.start for part in box[::-1]], dtype=np.float64)
        count = np.array([part.stop - part.start for part in box[::-1]]) // blocks
        first = self.points_mm((start + (np.array(blocks) - 1) / 2)[None])[0]
        (width, height, depth), (x, y, z) = count.tolist(), first.tolist()
        dx, dy, dz = (s * b for s, b in zip(self.spacing_mm, blocks, strict=True))
        shear_x, shear_y = self.shear_mm
        return replace(
            self,
            size=(width, height, depth),
            spacing_mm=(dx, dy, dz),
            origin_mm=(x, y, z),
            shear_mm=(shear_x * blocks[2], shear_y * blocks[2]),
        )

    def sample(self, image: sitk.Image, way: Affine, outside: float) -> NDArray[Any]:
        """Return an image's values on this grid by linear interpolation, shape (D, H, W).

        Parameters
        ----------
        image : Image
            As another grid's `place` returns it.
        way : Affine
            That grid's `upright`.
        outside : float
            Where the image does not reach.
        """
        sampled = sitk.Resample(
            image,
            self.size,
            self.upright.inverse().then(way).as_transform(),
            sitk.sitkLinear,
            self.origin_mm,
            self.spacing_mm,
            self.direction,
            outside,
            image.GetPixelID(),
        )
        return np.asarray(sitk.GetArrayFromImage(sampled))

    def indices(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where points (x, y, z), shape (n, 3), lie in voxels along x, y, z."""
        offsets = (points_mm - np.array(self.origin_mm)).T
        return np.asarray(np.linalg.solve(self._steps, offsets).T, dtype=np.float64)

    def holds(self, other: "Grid") -> bool:
        """Return whether another grid's voxels are some of this one's, to a hundredth of one."""
        last = np.array(other.size, np.float64) - 1
        ends = self.indices(other.points_mm(np.array([last * 0, last])))
        away = max(np.abs(ends - ends.round()).max(), np.abs(ends[1] - ends[0] - last).max())
        inside = (ends > -0.5).all() and (ends < np.array(self.size) - 0.5).all()
        return bool(inside and away < 0.01)

    @cached_property
    def upright(self) -> Affine:
        """From the patient's space to one in which the planes lie straight above each other.

        SimpleITK knows only grids with perpendicular axes. What `place` returns lies in this
        second space, and resampling through this map costs no interpolation of its own.
        """
        if self.shear_mm == (0.0, 0.0):
            return IDENTITY
        axes = np.array(self.direction).reshape(3, 3)
        shift = axes @ np.array([*self.shear_mm, 0.0])
        planes = axes[:, 2] / self.spacing_mm[2]
        matrix = np.eye(3) - np.outer(shift, planes)
        return Affine(matrix, shift * float(planes @ np.array(self.origin_mm)))

    def place(self, values: NDArray[Any], box: Box) -> sitk.Image:
        """Return the values of a box, shape (d, h, w), as an image.

        It lies at its place in the world, or, if the gantry was tilted, in the space that
        `upright` leads to.
        """
        image = sitk.GetImageFromArray(values)
        corner = np.array([part.start for part in box[::-1]]) * np.array(self.spacing_mm)
        origin = np.array(self.direction).reshape(3, 3) @ corner + np.array(self.origin_mm)
        image.SetSpacing(self.spacing_mm)
        image.SetOrigin(origin.tolist())
        image.SetDirection(self.direction)
        return image


class Scan(Protocol):
    """A volume whose place is known and whose voxels are read where they are needed."""

    @property
    def grid(self) -> Grid:
        """Where the voxels lie."""
        ...

    @property
    def notes(self) -> tuple[tuple[str, Path], ...]:
        """What was passed over without harm, and in which file."""
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

    @property
    def notes(self) -> tuple[tuple[str, Path], ...]:
        """Nothing: what is in memory was read before."""
        return ()

    def read(self, box: Box) -> NDArray[Any]:
        """Return the voxels of a box, not copied."""
        return self.voxels[box]


def upright_image(volume: Volume, outside: float = AIR_HU) -> sitk.Image:
    """Return a volume as an image with perpendicular axes at its place in the world.

    A volume of a tilted gantry is interpolated once, linearly, onto a grid that holds all of it;
    `outside` is filled in where it does not reach. Others are returned voxel for voxel.
    """
    grid = volume.grid
    image = grid.place(volume.voxels, grid.whole)
    if grid.upright.is_identity:
        return image
    way = np.array(grid.shear_mm) * (grid.size[2] - 1)
    spacing = np.array(grid.spacing_mm[:2])
    more = np.ceil(np.abs(way) / spacing).astype(int)
    corner = np.array([*(np.where(way < 0, -more, 0) * spacing), 0.0])
    origin = np.array(grid.direction).reshape(3, 3) @ corner + np.array(grid.origin_mm)
    size = [grid.size[0] + int(more[0]), grid.size[1] + int(more[1]), grid.size[2]]
    return sitk.Resample(
        image,
        size,
        grid.upright.as_transform(),
        sitk.sitkLinear,
        origin.tolist(),
        grid.spacing_mm,
        grid.direction,
        outside,
    )
