"""The portal and hepatic branches in the liver: straight tubes from the hilum."""

from dataclasses import dataclass

import numpy as np

from tests.benchmarks.phantom.anatomy import Body, Tissue
from tests.benchmarks.phantom.arrays import Labels, Vector
from tests.benchmarks.phantom.grid import Grid, random_direction

_BRANCHES = 9
_NARROWING = 0.6


@dataclass(frozen=True)
class Branch:
    """One tube, which narrows towards its end.

    Attributes
    ----------
    start, end : numpy.ndarray
        (x, y, z) in mm.
    radius_mm : float
        Where it starts.
    """

    start: Vector
    end: Vector
    radius_mm: float


def draw_branches(body: Body, rng: np.random.Generator) -> list[Branch]:
    """Draw where a liver's vessels run."""
    hilum = body.liver_centre + np.array([30, 8, -8])
    branches = []
    for _ in range(_BRANCHES):
        towards = body.liver_axes * 0.8 * random_direction(rng)
        end = body.liver_centre + towards * rng.uniform(0.6, 1)
        branches.append(Branch(hilum, end, rng.uniform(2.5, 5.5)))
    return branches


def paint_branches(labels: Labels, branches: list[Branch], grid: Grid) -> None:
    """Paint the branches where the liver is."""
    for branch in branches:
        course = branch.end - branch.start
        reach_mm = float(np.linalg.norm(course)) / 2 + 6
        box = grid.around((branch.start + branch.end) / 2, reach_mm)
        x, y, z = grid.crop(box).offsets(branch.start)
        along = (x * course[0] + y * course[1] + z * course[2]) / (course @ course)
        along = np.clip(along, 0, 1)
        sideways = (
            (x - along * course[0]) ** 2
            + (y - along * course[1]) ** 2
            + (z - along * course[2]) ** 2
        )
        inside = sideways < (branch.radius_mm * (1 - _NARROWING * along)) ** 2
        part = labels[box]
        part[inside & (part == Tissue.LIVER)] = Tissue.LIVER_VESSEL
