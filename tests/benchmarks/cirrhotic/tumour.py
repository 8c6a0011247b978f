"""A tumour's shape: lobes, an irregular surface, buds, and a border that may be ragged and wide."""

import math
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.cirrhotic.anatomy import Tissue
from tests.benchmarks.cirrhotic.liver import Liver
from tests.benchmarks.cirrhotic.space import (
    along,
    box_around,
    ellipsoid,
    smooth_field,
    smooth_maximum,
    soft_step,
)
from tests.benchmarks.cirrhotic.traits import Traits
from tests.benchmarks.phantom.arrays import Array, Box, Field, Labels, Mask, Vector
from tests.benchmarks.phantom.grid import Grid, random_direction

# A tumour does not grow into these.
_BARRIERS = (
    Tissue.VENA_CAVA,
    Tissue.AORTA,
    Tissue.BONE,
    Tissue.KIDNEY,
    Tissue.MUSCLE,
    Tissue.SUBCUTANEOUS_FAT,
    Tissue.AIR,
    Tissue.GALLBLADDER,
    Tissue.STOMACH,
    Tissue.GAS,
)
_BEYOND_BARRIER_MM = -3.0
_AROUND_MM = 17


@dataclass(frozen=True)
class Tumour:
    """A tumour in the box around it; arrays have the box's shape (D, H, W).

    Attributes
    ----------
    radius_mm : float
        The mean.
    box : tuple of slice
        Slices (z, y, x) of the volume.
    grid : Grid
        Of the box.
    depth_mm : numpy.ndarray
        About how far below the surface a voxel lies; negative outside.
    border_depth_mm : numpy.ndarray
        The same below the more ragged border that rim and capsule follow.
    lobes : numpy.ndarray
        The smooth field of variance 1 that made the lobes.
    free : numpy.ndarray
        True where a tumour can grow.
    host : numpy.ndarray
        True in the liver without the tumour.
    share : numpy.ndarray
        How much of a voxel of liver or tumour looks like tumour, 0 to 1.
    """

    radius_mm: float
    box: Box
    grid: Grid
    depth_mm: Field
    border_depth_mm: Array
    lobes: Field
    free: Mask
    host: Mask
    share: Array

    @property
    def voxels(self) -> Mask:
        """True in the tumour."""
        return np.asarray(self.depth_mm > 0)

    @property
    def near(self) -> Mask:
        """True in the liver and in the tumour."""
        return np.asarray(self.host | self.voxels)


def draw_tumour(
    traits: Traits,
    centre: Vector,
    labels: Labels,
    liver: Liver,
    grid: Grid,
    rng: np.random.Generator,
) -> Tumour:
    """Draw a tumour's surface and border."""
    radius_mm = traits.radius_mm
    box = box_around(grid, centre, np.full(3, 1.4 * radius_mm + _AROUND_MM))
    near, host = grid.crop(box), liver.voxels[box]
    ball_mm = radius_mm - _draw_distance_mm(near, centre, rng)
    lobes = smooth_field(near, max(6.0, 0.55 * radius_mm), rng)
    depth_mm = ball_mm + 0.045 * radius_mm * lobes
    depth_mm = _draw_irregular(depth_mm, traits, centre, near, rng)
    # It stays in the liver, and bulges its surface a little.
    depth_mm = np.minimum(depth_mm, liver.depth_mm[box] + min(6.0, 0.22 * radius_mm))
    free = ~np.isin(labels[box], _BARRIERS)
    depth_mm = np.where(free, depth_mm, np.float32(_BEYOND_BARRIER_MM))
    spread = 3.2 * traits.infiltration * math.exp(0.12 * rng.standard_normal())
    width_mm = min(0.45 + spread, 0.22 * radius_mm + 0.4)
    ragged_mm = depth_mm
    if traits.infiltration > 0:
        amplitude_mm = min(4.5 * traits.infiltration, 0.28 * radius_mm)
        ragged_mm = depth_mm + amplitude_mm * smooth_field(near, 2.8, rng)
    return Tumour(
        radius_mm=radius_mm,
        box=box,
        grid=near,
        depth_mm=depth_mm,
        border_depth_mm=0.4 * depth_mm + 0.6 * ragged_mm,
        lobes=lobes,
        free=free,
        host=host,
        share=soft_step(ragged_mm / width_mm) * (host | (depth_mm > 0)),
    )


def _draw_distance_mm(near: Grid, centre: Vector, rng: np.random.Generator) -> Field:
    """Draw a stretch along three directions; return the distance from a centre that it makes."""
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    stretch = np.exp(0.09 * rng.standard_normal(3))
    stretch /= stretch.prod() ** (1 / 3)
    squared_mm = np.zeros(near.shape, dtype=np.float32)
    for direction in rotation / stretch[:, None]:
        part_mm = along(near, centre, direction)
        squared_mm += part_mm * part_mm
    return np.sqrt(squared_mm)


def _draw_irregular(
    depth_mm: Field, traits: Traits, centre: Vector, near: Grid, rng: np.random.Generator
) -> Field:
    """Return a depth with waves on the surface, and with round buds out of it."""
    radius_mm, irregularity = traits.radius_mm, traits.irregularity
    waves = smooth_field(near, max(2.8, min(7.5, 0.20 * radius_mm)), rng)
    waves_mm = 0.15 + irregularity * min(0.17 * radius_mm, 4.8)
    depth_mm = depth_mm + waves_mm * math.exp(0.15 * rng.standard_normal()) * waves
    for _ in range(rng.poisson(3.2 * irregularity)):
        direction = random_direction(rng)
        bud_mm = radius_mm * rng.uniform(0.22, 0.40)
        bud = centre + direction * (radius_mm * rng.uniform(0.86, 1.0))
        bud_depth_mm = bud_mm - np.sqrt(ellipsoid(near, bud, (1, 1, 1)))
        depth_mm = smooth_maximum(depth_mm, bud_depth_mm, 1.5)
    return depth_mm
