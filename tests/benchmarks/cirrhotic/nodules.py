"""Further nodules in the liver: satellites around the tumour, and a second tumour elsewhere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from tests.benchmarks.cirrhotic.contrast import Uptake
from tests.benchmarks.cirrhotic.liver import Liver
from tests.benchmarks.cirrhotic.place import Indices, voxel_centres
from tests.benchmarks.cirrhotic.space import box_around, ellipsoid, smooth_field, soft_step
from tests.benchmarks.cirrhotic.traits import Traits
from tests.benchmarks.phantom.arrays import Array, Box, Field, Mask, Vector
from tests.benchmarks.phantom.grid import Grid, random_direction

_TRIES = 60
_SATELLITE_APART_MM, _SECOND_APART_MM = 3, 14
_AROUND_MM = 6.0


@dataclass(frozen=True)
class Ball:
    """A tumour or a nodule as a ball; its centre is (x, y, z) in mm."""

    centre: Vector
    radius_mm: float


@dataclass(frozen=True)
class Nodule:
    """A nodule in the box around it; arrays have the box's shape (D, H, W).

    Attributes
    ----------
    box : tuple of slice
        Slices (z, y, x) of the volume.
    depth_mm : numpy.ndarray
        About how far below the surface a voxel lies; negative outside.
    host : numpy.ndarray
        True in the liver and in the main tumour.
    share : numpy.ndarray
        How much of a voxel is nodule.
    contrast_hu : numpy.ndarray
        What it measures more than the liver in each phase, shape (3,).
    """

    box: Box
    depth_mm: Field
    host: Mask
    share: Array
    contrast_hu: Vector


def draw_balls(
    traits: Traits,
    centre: Vector,
    roomy: Indices,
    liver: Liver,
    grid: Grid,
    rng: np.random.Generator,
) -> list[Ball]:
    """Draw where the nodules of the tumour at `centre` lie; one that finds no place is left out.

    A satellite lies near the tumour, a second tumour in any of the roomy voxels.
    """
    satellites_mm = [rng.uniform(3.6, 8.0) for _ in range(traits.satellites)]
    seconds_mm = [rng.uniform(8, 16)] if traits.second_tumour else []
    main = Ball(centre, traits.radius_mm)
    balls: list[Ball] = []
    for radius_mm in satellites_mm:
        near_main = partial(_draw_satellite, main, radius_mm, rng)
        balls += _best(near_main, main, _SATELLITE_APART_MM, balls, liver, grid)
    for radius_mm in seconds_mm:
        anywhere = partial(_draw_second, roomy, radius_mm, grid, rng)
        balls += _best(anywhere, main, _SECOND_APART_MM, balls, liver, grid)
    return balls


def draw_nodules(
    balls: Sequence[Ball],
    traits: Traits,
    main_contrast_hu: Vector,
    host: Mask,
    grid: Grid,
    rng: np.random.Generator,
) -> list[Nodule]:
    """Draw what the nodules look like, which is much like the main tumour.

    Parameters
    ----------
    balls : sequence of Ball
    traits : Traits
    main_contrast_hu : numpy.ndarray
        Of the main tumour in each phase, shape (3,).
    host : numpy.ndarray
        True in the liver and in the main tumour, (D, H, W).
    grid : Grid
    rng : numpy.random.Generator
    """
    nodules = []
    for ball in balls:
        box = box_around(grid, ball.centre, np.full(3, ball.radius_mm + _AROUND_MM))
        near = grid.crop(box)
        if 0 in near.shape:  # it lies beyond the volume's edge
            continue
        form = ellipsoid(near, ball.centre, np.exp(0.08 * rng.standard_normal(3)))
        uneven = smooth_field(near, max(3.0, ball.radius_mm * 0.5), rng)
        depth_mm = ball.radius_mm - np.sqrt(form) + 0.10 * ball.radius_mm * uneven
        share = soft_step(depth_mm / (0.7 + 0.8 * traits.infiltration)) * host[box]
        own_hu = main_contrast_hu * [rng.uniform(0.7, 1.1), 1, 1] + 3 * rng.standard_normal(3)
        nodules.append(Nodule(box, depth_mm, host[box], share, own_hu))
    return nodules


def paint_nodule(volume_hu: Field, nodule: Nodule, uptake: Uptake, phase: int) -> None:
    """Give a nodule its attenuation in a phase."""
    part = volume_hu[nodule.box]
    part += nodule.share * (np.float32(uptake.liver_hu[phase] + nodule.contrast_hu[phase]) - part)


def _draw_satellite(main: Ball, radius_mm: float, rng: np.random.Generator) -> Ball:
    direction = random_direction(rng)
    distance_mm = main.radius_mm * rng.uniform(1.0, 1.12) + radius_mm + rng.uniform(4, 16)
    return Ball(main.centre + direction * distance_mm, radius_mm)


def _draw_second(roomy: Indices, radius_mm: float, grid: Grid, rng: np.random.Generator) -> Ball:
    centre = voxel_centres(roomy[rng.integers(roomy.size)], grid)
    return Ball(centre.astype(np.float64), radius_mm)


def _best(
    draw: Callable[[], Ball],
    main: Ball,
    apart_mm: float,
    others: Sequence[Ball],
    liver: Liver,
    grid: Grid,
) -> list[Ball]:
    """Draw until a ball in the liver fits; return it, or else the least bad, or none at all."""
    best: list[Ball] = []
    least_mm = np.inf
    for _ in range(_TRIES):
        ball = draw()
        voxel = _nearest_voxel(ball.centre, grid)
        if not liver.voxels[voxel]:
            continue
        gap_mm = _distance_mm(ball, main) - main.radius_mm - ball.radius_mm
        lacking_mm = float(max(0, ball.radius_mm + 1 - liver.depth_mm[voxel]))
        lacking_mm += max(0, apart_mm - gap_mm)
        for other in others:
            needed_mm = other.radius_mm + ball.radius_mm + 2
            lacking_mm += max(0, needed_mm - _distance_mm(ball, other))
        if lacking_mm < least_mm:
            best, least_mm = [ball], lacking_mm
        if lacking_mm == 0:
            break
    return best


def _distance_mm(first: Ball, second: Ball) -> float:
    return float(np.linalg.norm(first.centre - second.centre))


def _nearest_voxel(point: Vector, grid: Grid) -> tuple[int, int, int]:
    """Return the index (z, y, x) of a voxel next to a point, or on the volume's edge."""
    x, y, z = (
        int(np.clip(np.searchsorted(axis, place), 0, len(axis) - 1))
        for axis, place in zip((grid.x_mm, grid.y_mm, grid.z_mm), point, strict=True)
    )
    return z, y, x
