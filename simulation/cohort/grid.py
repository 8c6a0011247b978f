"""Coordinates in millimetres, boxes within them, and smooth random fields on them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Box = tuple[slice, slice, slice]
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Grid:
    """A regular grid in the body's own coordinates.

    x runs to the patient's left, y to the back and z to the head (LPS), all in mm; arrays on
    the grid are (D, H, W) = (z, y, x). Points are (x, y, z).

    Attributes
    ----------
    x_mm, y_mm, z_mm : numpy.ndarray
        Voxel centres along each axis, ascending and evenly spaced, float32.
    """

    x_mm: Field
    y_mm: Field
    z_mm: Field

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of arrays on the grid, (D, H, W)."""
        return len(self.z_mm), len(self.y_mm), len(self.x_mm)

    @property
    def spacing_mm(self) -> Point:
        """Distance between voxels, (x, y, z)."""
        x, y, z = (float(axis[1] - axis[0]) for axis in (self.x_mm, self.y_mm, self.z_mm))
        return x, y, z

    @cached_property
    def mesh(self) -> tuple[Field, Field, Field]:
        """x, y and z shaped to broadcast over an array of the grid."""
        return self.x_mm[None, None, :], self.y_mm[None, :, None], self.z_mm[:, None, None]

    def box(self, low: Point, high: Point) -> Box:
        """Return the slices whose voxels lie between two corners, possibly none."""
        ranges = [
            slice(*np.searchsorted(axis, (lower, upper)).tolist())
            for axis, lower, upper in zip((self.x_mm, self.y_mm, self.z_mm), low, high, strict=True)
        ]
        return ranges[2], ranges[1], ranges[0]

    def around(self, centre: Point, reach_mm: float | Point) -> Box:
        """Return the box within `reach_mm` of a point."""
        reach = (reach_mm,) * 3 if isinstance(reach_mm, float) else reach_mm
        low = (centre[0] - reach[0], centre[1] - reach[1], centre[2] - reach[2])
        high = (centre[0] + reach[0], centre[1] + reach[1], centre[2] + reach[2])
        return self.box(low, high)

    def crop(self, box: Box) -> "Grid":
        """Return the part of the grid in a box."""
        return Grid(self.x_mm[box[2]], self.y_mm[box[1]], self.z_mm[box[0]])

    def coarse(self, step_mm: float) -> "Grid":
        """Return a grid with about `step_mm` between points that covers this one."""
        return Grid(*(_spread(axis, step_mm) for axis in (self.x_mm, self.y_mm, self.z_mm)))

    def interpolate(self, values: Field, source: "Grid") -> Field:
        """Return values known on a coarse grid at the voxels of this one, trilinearly."""
        values = _interpolate_axis(values, 0, source.z_mm, self.z_mm)
        values = _interpolate_axis(values, 1, source.y_mm, self.y_mm)
        return _interpolate_axis(values, 2, source.x_mm, self.x_mm)

    def smooth_noise(self, step_mm: float, rng: np.random.Generator) -> Field:
        """Return a random field of mean 0 and standard deviation about 1.

        Independent normal numbers every `step_mm`, trilinear between: features of that size.
        """
        source = self.coarse(step_mm)
        numbers = rng.standard_normal(source.shape, dtype=np.float32)
        # Trilinear interpolation keeps (2/3)^3 of the variance on average.
        return self.interpolate(numbers * np.float32(1.5**1.5), source)


def centred(extent_mm: float, spacing_mm: float) -> Field:
    """Return an axis through 0 that covers at least `extent_mm`."""
    count = int(np.ceil(extent_mm / spacing_mm)) + 1
    return ((np.arange(count) - (count - 1) / 2) * spacing_mm).astype(np.float32)


def radius_squared(grid: Grid, centre: Point, axes_mm: Point) -> Field:
    """Return an ellipsoid's quadratic form on a grid: 1 on its surface, less inside."""
    parts = [
        ((axis - middle) / semi_axis) ** 2
        for axis, middle, semi_axis in zip(grid.mesh, centre, axes_mm, strict=True)
    ]
    return np.asarray((parts[0] + parts[1]) + parts[2], dtype=np.float32)


def segment_distance_squared(grid: Grid, start: Point, end: Point) -> Field:
    """Return the squared distance in mm^2 from a straight piece to each voxel of a grid."""
    x, y, z = (axis - np.float32(first) for axis, first in zip(grid.mesh, start, strict=True))
    step = tuple(np.float32(last - first) for first, last in zip(start, end, strict=True))
    length_squared = max(float(sum(part * part for part in step)), 1e-6)
    along = np.clip((x * step[0] + y * step[1] + z * step[2]) / np.float32(length_squared), 0, 1)
    away = (x - along * step[0]) ** 2 + (y - along * step[1]) ** 2 + (z - along * step[2]) ** 2
    return np.asarray(away, dtype=np.float32)


def _spread(axis: Field, step_mm: float) -> Field:
    length = float(axis[-1] - axis[0])
    count = max(int(np.ceil(length / step_mm)), 1) + 1
    return np.linspace(axis[0], max(axis[-1], axis[0] + 1e-3), count, dtype=np.float32)


def _interpolate_axis(values: Field, axis: int, source: Field, target: Field) -> Field:
    place = np.interp(target, source, np.arange(len(source)))
    below = np.minimum(place.astype(np.intp), len(source) - 2)
    weight_shape = [1, 1, 1]
    weight_shape[axis] = -1
    weight = (place - below).astype(np.float32).reshape(weight_shape)
    lower = np.take(values, below, axis=axis)
    difference = np.take(values, below + 1, axis=axis)
    difference -= lower
    difference *= weight
    lower += difference
    return lower
