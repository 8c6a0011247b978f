"""A volume's grid, ellipsoids and directions in it, and smooth random fields on it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import zoom

from tests.benchmarks.phantom.arrays import Array, Box, Field, Mask, Vector

# (x, y, z) in mm. Axes are float32, so fixed shapes, as tuples, are computed in single precision
# and drawn ones, as arrays, in double. Which it is decides voxels at an edge.
Point = tuple[float, float, float] | Vector


@dataclass(frozen=True)
class Grid:
    """A regular grid in the body's own coordinates.

    Attributes
    ----------
    x_mm, y_mm, z_mm : numpy.ndarray
        Voxel centres along each axis, ascending, float32.
    spacing_mm : tuple of float
        Distance between voxels, (x, y, z).
    """

    x_mm: Field
    y_mm: Field
    z_mm: Field
    spacing_mm: tuple[float, float, float]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of arrays on the grid, (D, H, W)."""
        return len(self.z_mm), len(self.y_mm), len(self.x_mm)

    @property
    def mesh(self) -> tuple[Field, Field, Field]:
        """x, y and z shaped to broadcast over an array of the grid."""
        return self.x_mm[None, None, :], self.y_mm[None, :, None], self.z_mm[:, None, None]

    @property
    def slice_mesh(self) -> tuple[Field, Field]:
        """The axes x and y shaped to broadcast over one slice, (H, W)."""
        return self.x_mm[None, :], self.y_mm[:, None]

    def offsets(self, point: Vector) -> tuple[Vector, Vector, Vector]:
        """Return x, y and z as seen from a point, shaped to broadcast like `mesh`."""
        x, y, z = self.mesh
        return x - point[0], y - point[1], z - point[2]

    def around(self, centre: Vector, reach_mm: float) -> Box:
        """Return the box whose voxels lie within reach of a point, possibly none."""
        x, y, z = (extent(np.abs(axis.ravel()) <= reach_mm) for axis in self.offsets(centre))
        return z, y, x

    def crop(self, box: Box) -> "Grid":
        """Return the part of the grid in a box."""
        z, y, x = box
        return Grid(self.x_mm[x], self.y_mm[y], self.z_mm[z], self.spacing_mm)

    def smooth_field(
        self, shape: Sequence[int], feature_mm: float, rng: np.random.Generator
    ) -> Field:
        """Return a random field of mean 0 and variance 1 with features of about `feature_mm`.

        The shape (D, H, W) is that of any part of the grid.
        """
        sizes = list(zip(shape, self.spacing_mm[::-1], strict=True))
        coarse = [max(3, int(np.ceil(count * mm / feature_mm)) + 1) for count, mm in sizes]
        numbers = rng.standard_normal(coarse).astype(np.float32)
        factors = [count / few for count, few in zip(shape, coarse, strict=True)]
        field = zoom(numbers, factors, order=1, grid_mode=True, mode="nearest")
        return np.asarray((field - field.mean()) / (field.std() + 1e-6), dtype=np.float32)


def extent(chosen: Mask) -> slice:
    """Return the slice from the first to the last true place, which is empty if there is none."""
    places = np.flatnonzero(chosen)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)


def bounding_box(voxels: Mask) -> Box:
    """Return the smallest box with all true voxels in it."""
    z, y, x = (extent(np.asarray(voxels.any(axis))) for axis in ((1, 2), (0, 2), (0, 1)))
    return z, y, x


def ellipsoid(grid: Grid, centre: Point, axes_mm: Point) -> Array:
    """Return an ellipsoid's quadratic form, shape (D, H, W): 1 on its surface, less inside."""
    x, y, z = (
        ((axis - middle) / semi_axis) ** 2
        for axis, middle, semi_axis in zip(grid.mesh, centre, axes_mm, strict=True)
    )
    return np.asarray(x + y + z)


def random_direction(rng: np.random.Generator) -> Vector:
    """Draw a direction (x, y, z) of length 1, all equally likely."""
    direction = rng.standard_normal(3)
    return np.asarray(direction / np.linalg.norm(direction))
