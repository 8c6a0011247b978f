"""The portal and hepatic veins: trees of straight tubes, which part in two at every end."""

import math
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.cirrhotic.space import along, box_around
from tests.benchmarks.phantom.arrays import Field, Vector
from tests.benchmarks.phantom.grid import Grid

# Over which a tube's edge fades.
_EDGE_MM = 1.2
_WIDE_MM = 2.6


@dataclass(frozen=True)
class Tube:
    """A piece of a vessel; its ends are (x, y, z) in mm."""

    start: Vector
    end: Vector
    radius_mm: float


@dataclass(frozen=True)
class Vessels:
    """The veins of a liver."""

    portal: tuple[Tube, ...]
    hepatic: tuple[Tube, ...]

    def wide_places(self) -> tuple[Field, Field]:
        """Return places (x, y, z) along the wide veins, (N, 3), and the radius there, (N,), mm."""
        wide = [tube for tube in self.portal + self.hepatic if tube.radius_mm > _WIDE_MM]
        shares = (0.0, 0.25, 0.5, 0.75, 1.0)
        places = [tube.start + s * (tube.end - tube.start) for tube in wide for s in shares]
        radii_mm = [tube.radius_mm for tube in wide for _ in shares]
        return np.array(places, dtype=np.float32), np.array(radii_mm, dtype=np.float32)


def draw_vessels(cirrhosis: float, dome_z_mm: float, rng: np.random.Generator) -> Vessels:
    """Draw where a liver's veins run."""

    def around(middle: tuple[float, float, float], spread: float) -> Vector:
        return np.asarray(np.array(middle) + spread * rng.standard_normal(3))

    hilum = around((-20, 14, dome_z_mm - 6), 2.5)
    root = around((6, 30, dome_z_mm - 40), 3)
    trunk_mm = rng.uniform(5.2, 6.8) * (1 + 0.1 * (cirrhosis - 0.5))
    portal = [Tube(root, hilum, trunk_mm)]
    for towards, narrowing, length_mm, forks in (
        ((-1, 0.1, 0.15), 0.8, 27, 3),
        ((-0.7, -0.75, 0.3), 0.65, 24, 2),
        ((0.55, -1, 0.35), 0.7, 27, 3),
    ):
        direction = around(towards, 0.15)
        portal += _draw_tree(hilum, direction, trunk_mm * narrowing, length_mm, forks, rng)
    confluence = around((-16, 38, dome_z_mm + 30), 2)
    hepatic: list[Tube] = []
    for towards in ((-1, -0.1, -0.35), (-0.55, -0.9, -0.3), (0.25, -1, -0.15)):
        direction = around(towards, 0.12)
        hepatic += _draw_tree(confluence, direction, rng.uniform(3.6, 4.8), 29, 3, rng)
    return Vessels(tuple(portal), tuple(hepatic))


def paint_tubes(tubes: tuple[Tube, ...], grid: Grid) -> Field:
    """Return how much of each voxel lies in a tube, (D, H, W)."""
    share = np.zeros(grid.shape, dtype=np.float32)
    for tube in tubes:
        middle = 0.5 * (tube.start + tube.end)
        course = tube.end - tube.start
        box = box_around(grid, middle, np.abs(course) / 2 + tube.radius_mm + 2.0)
        inside_mm = tube.radius_mm - _from_axis_mm(tube, grid.crop(box))
        within = np.clip(inside_mm / _EDGE_MM + 0.5, 0, 1)
        np.maximum(share[box], within, out=share[box])
    return share


def _draw_tree(
    start: Vector,
    direction: Vector,
    radius_mm: float,
    length_mm: float,
    forks: int,
    rng: np.random.Generator,
) -> list[Tube]:
    """Draw a branch, slightly bent, and the two trees at its end unless no fork is left."""
    direction = direction / np.linalg.norm(direction)
    bend = start + 0.5 * length_mm * direction + rng.normal(0, 0.06 * length_mm, 3)
    end = start + length_mm * direction + rng.normal(0, 0.10 * length_mm, 3)
    tubes = [Tube(start, bend, radius_mm), Tube(bend, end, 0.92 * radius_mm)]
    if forks == 0:
        return tubes
    sideways = np.cross(direction, rng.normal(size=3))
    sideways /= np.linalg.norm(sideways)
    for side in (1, -1):
        angle = math.radians(rng.uniform(20, 48))
        towards = math.cos(angle) * direction + side * math.sin(angle) * sideways
        thinner_mm = radius_mm * rng.uniform(0.66, 0.82)
        shorter_mm = length_mm * rng.uniform(0.72, 0.95)
        tubes += _draw_tree(end, towards, thinner_mm, shorter_mm, forks - 1, rng)
    return tubes


def _from_axis_mm(tube: Tube, near: Grid) -> Field:
    """Return the distance of each voxel from the nearest point of a tube's axis, (D, H, W)."""
    course = (tube.end - tube.start).astype(np.float32)
    share = np.clip(along(near, tube.start, course) / (course @ course), 0, 1)
    x, y, z = (
        (axis - np.float32(start) - share * part) ** 2
        for axis, start, part in zip(near.mesh, tube.start, course, strict=True)
    )
    return np.asarray(np.sqrt(z + y + x))
