"""Boxes, ellipsoids and soft edges in a volume, and smooth random fields on it.

Axes and fields are float32, and so is all that is computed from them: a double among the numbers,
or another order of adding, moves voxels at an edge.
"""

import math

import numpy as np

from tests.benchmarks.phantom.arrays import Array, Box, Field, Vector, logistic
from tests.benchmarks.phantom.grid import Grid

# (x, y, z) in mm.
Point = tuple[float, float, float] | Vector


def box_around(grid: Grid, centre: Point, reach_mm: Point) -> Box:
    """Return the box of a point that reaches so far along x, y and z; possibly an empty one."""
    x, y, z = (
        slice(*(int(place) for place in np.searchsorted(axis, [middle - reach, middle + reach])))
        for axis, middle, reach in zip(_axes(grid), centre, reach_mm, strict=True)
    )
    return z, y, x


def ellipsoid(grid: Grid, centre: Point, axes_mm: Point) -> Field:
    """Return an ellipsoid's quadratic form, shape (D, H, W): 1 on its surface, less inside."""
    x, y, z = (
        ((axis - np.float32(middle)) / np.float32(semi_axis)) ** 2
        for axis, middle, semi_axis in zip(grid.mesh, centre, axes_mm, strict=True)
    )
    return np.asarray(z + y + x, dtype=np.float32)


def along(grid: Grid, origin: Point, direction: Array) -> Field:
    """Return the product of each voxel's offset from a point with a direction, (D, H, W)."""
    x, y, z = (
        (axis - np.float32(start)) * np.float32(part)
        for axis, start, part in zip(grid.mesh, origin, direction, strict=True)
    )
    return np.asarray(z + y + x, dtype=np.float32)


def smooth_field(grid: Grid, width_mm: float, rng: np.random.Generator) -> Field:
    """Draw a Gaussian random field of mean 0 and variance 1, (D, H, W).

    White noise on a coarse lattice is blurred by a Gaussian of standard deviation `width_mm`.
    """
    x, y, z = (_blur_from_lattice(axis, width_mm, rng) for axis in _axes(grid))
    nodes = (z.shape[1], y.shape[1] * x.shape[1])
    noise = rng.standard_normal(nodes, dtype=np.float32)
    field = (z @ noise).reshape(grid.shape[0], y.shape[1], x.shape[1])
    field = np.matmul(y, field)
    return np.asarray((field.reshape(-1, x.shape[1]) @ x.T).reshape(grid.shape))


def soft_step(values: Array) -> Array:
    """Return the logistic function, for values of any size."""
    return logistic(np.clip(values, -30, 30))


def smooth_maximum(first: Array, second: Array, width_mm: float) -> Field:
    """Return the larger of two lengths, rounded where they differ by less than a width."""
    share = np.clip(0.5 + (first - second) * (0.5 / width_mm), 0, 1)
    rounded = second + (first - second) * share + width_mm * share * (1 - share)
    return np.asarray(rounded, dtype=np.float32)


def _axes(grid: Grid) -> tuple[Field, Field, Field]:
    return grid.x_mm, grid.y_mm, grid.z_mm


def _blur_from_lattice(axis_mm: Field, width_mm: float, rng: np.random.Generator) -> Field:
    """Draw where a lattice begins; return the weights of its nodes at each voxel, float32."""
    count = math.ceil((axis_mm[-1] - axis_mm[0]) / width_mm) + 7
    steps = np.arange(count) + rng.random() - 0.5
    nodes_mm = axis_mm[0] - 3 * width_mm + width_mm * steps
    weights = np.exp(-0.5 * ((axis_mm[:, None] - nodes_mm[None, :]) / width_mm) ** 2)
    weights /= np.sqrt((weights * weights).sum(1, keepdims=True))
    return np.asarray(weights, dtype=np.float32)
