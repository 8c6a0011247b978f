"""Where a patient's tumours lie in the liver."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulation.cohort.grid import Field, Grid, Point
from simulation.cohort.signs import LesionSigns

_CANDIDATES = 240
_SURFACE_POINTS = 48
_SATELLITE_RADIUS_MM = (4.0, 6.5)
_SATELLITE_GAP_MM = (4.0, 11.0)
_APART_MM = 18.0

Points = NDArray[np.float32]


@dataclass(frozen=True)
class Place:
    """A tumour's place: centre (x, y, z) and radius, in mm of the body's own coordinates."""

    centre: Point
    radius_mm: float


def place_main(
    signs: LesionSigns, liver_depth_mm: Field, grid: Grid, rng: np.random.Generator
) -> Place:
    """Return a place where the main lesion fits into the liver as well as any that was tried."""
    radius_mm = signs.diameter_mm / 2
    points = _points_in_liver(liver_depth_mm, grid, rng)
    surface = points[:, None] + np.float32(0.9 * radius_mm) * _sphere(_SURFACE_POINTS)[None]
    fit = (_at(liver_depth_mm, grid, surface) > 0).mean(axis=1)
    good = np.flatnonzero(fit >= min(0.97, float(fit.max())))
    return Place(_point(points[rng.choice(good)]), radius_mm)


def place_others(
    signs: LesionSigns,
    main: Place,
    main_depth_mm: Callable[[Points], Field],
    liver_depth_mm: Field,
    grid: Grid,
    rng: np.random.Generator,
) -> list[Place]:
    """Return satellites beside the main lesion's margin, then tumours far from it.

    Parameters
    ----------
    main_depth_mm : callable
        Depth in the main lesion at points, shape (n, 3) to (n,); negative outside.
    """
    points = _points_in_liver(liver_depth_mm, grid, rng)
    near = main.centre + _shell(main.radius_mm, rng)
    placed: list[Place] = []
    for _ in range(signs.satellites):
        radius_mm = rng.uniform(*_SATELLITE_RADIUS_MM)
        gap_mm = -main_depth_mm(near) - radius_mm
        room = np.minimum(gap_mm - _SATELLITE_GAP_MM[0], _SATELLITE_GAP_MM[1] - gap_mm)
        placed.append(_best(near, room, radius_mm, placed, liver_depth_mm, grid))
    for _ in range(signs.lesions - 1):
        radius_mm = float(np.clip(rng.uniform(0.3, 0.6) * main.radius_mm, 5, 22))
        room = -main_depth_mm(points) - radius_mm - _APART_MM
        placed.append(_best(points, room, radius_mm, placed, liver_depth_mm, grid))
    return placed


def _best(
    points: Points,
    room_mm: Field,
    radius_mm: float,
    placed: list[Place],
    liver_depth_mm: Field,
    grid: Grid,
) -> Place:
    """Return the first point with room enough for all, else the one that lacks least."""
    room = np.minimum(room_mm, _at(liver_depth_mm, grid, points) - 0.7 * radius_mm)
    for other in placed:
        distance = np.linalg.norm(points - np.asarray(other.centre), axis=1)
        room = np.minimum(room, distance - other.radius_mm - radius_mm - 4.0)
    # Where there is room there is no better and worse: the order of the points is random.
    return Place(_point(points[int(np.argmax(np.minimum(room, 0.0)))]), radius_mm)


def _points_in_liver(depth_mm: Field, grid: Grid, rng: np.random.Generator) -> Points:
    inside = np.flatnonzero(depth_mm > 4)
    chosen = inside[rng.integers(0, len(inside), _CANDIDATES)]
    z, y, x = np.unravel_index(chosen, grid.shape)
    return np.stack([grid.x_mm[x], grid.y_mm[y], grid.z_mm[z]], axis=1)


def _shell(radius_mm: float, rng: np.random.Generator) -> Points:
    direction = _sphere(6 * _CANDIDATES)[rng.permutation(6 * _CANDIDATES)]
    reach = radius_mm * rng.uniform(0.7, 1.5, len(direction)) + rng.uniform(6, 20, len(direction))
    return np.asarray(direction * reach[:, None], dtype=np.float32)


def _sphere(count: int) -> Points:
    """Return points spread evenly over the unit sphere (golden spiral), shape (count, 3)."""
    index = np.arange(count) + 0.5
    z = 1 - 2 * index / count
    angle = index * math.pi * (1 + math.sqrt(5))
    ring = np.sqrt(1 - z**2)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=1).astype(np.float32)


def _at(field: Field, grid: Grid, points: Points) -> Field:
    """Return a field at the voxels nearest to points, shape (..., 3) to (...)."""
    places = [
        np.clip(np.rint((points[..., n] - axis[0]) / (axis[1] - axis[0])), 0, len(axis) - 1)
        for n, axis in enumerate((grid.x_mm, grid.y_mm, grid.z_mm))
    ]
    x, y, z = (place.astype(np.intp) for place in places)
    return np.asarray(field[z, y, x], dtype=np.float32)


def _point(values: Points) -> Point:
    x, y, z = values.tolist()
    return x, y, z
