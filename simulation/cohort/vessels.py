"""Great vessels, and the portal and hepatic veins as branching tubes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulation.cohort.body import Build, Labels
from simulation.cohort.grid import Grid, Point, segment_distance_squared
from simulation.cohort.tissue import Tissue

_AROUND_AORTA = (
    Tissue.VISCERAL_FAT,
    Tissue.LIVER,
    Tissue.PANCREAS,
    Tissue.GUT_WALL,
    Tissue.LUNG,
    Tissue.HEART,
)
_AROUND_VEINS = (Tissue.VISCERAL_FAT, Tissue.LIVER, Tissue.PANCREAS, Tissue.GUT_WALL)
_IN_LIVER = (Tissue.LIVER,)

_THINNEST_MM = 1.6
_NARROWING = 0.68
_PORTAL_BRANCHINGS = 3
_HEPATIC_BRANCHINGS = 2


def paint_vessels(labels: Labels, build: Build, grid: Grid, rng: np.random.Generator) -> None:
    """Paint aorta, vena cava, portal and hepatic veins over fat and liver."""
    painter = _VesselPainter(labels, grid, rng)
    height, spine = build.liver_height_mm, build.spine_y_mm
    low, high = build.lowest_mm - 5, height + 20
    aorta_x = rng.uniform(6, 16)
    aorta = [(aorta_x, spine - 29, low), (aorta_x + 2, spine - 26, high)]
    painter.tube(aorta, rng.uniform(9.5, 12), Tissue.AORTA, _AROUND_AORTA)
    cava: list[Point] = [
        (-19, spine - 27, low),
        (-22, spine - 32, 0.55 * height),
        (-24, spine - 47, 0.86 * height),
        (-14, spine - 58, high),
    ]
    painter.tube(cava, rng.uniform(10, 12.5), Tissue.VENA_CAVA, _AROUND_VEINS)
    _paint_portal(painter, build)
    _paint_hepatic(painter, build, cava[2])


@dataclass(frozen=True)
class _VesselPainter:
    labels: Labels
    grid: Grid
    rng: np.random.Generator

    def tube(
        self,
        path: Sequence[Point],
        radius_mm: float,
        tissue: Tissue,
        over: Sequence[Tissue],
        *,
        end_radius_mm: float | None = None,
    ) -> None:
        """Paint a tube along straight pieces, where the tissues in `over` were before."""
        last_mm = radius_mm if end_radius_mm is None else end_radius_mm
        radii = np.linspace(radius_mm, last_mm, len(path)).tolist()
        allowed = np.zeros(len(Tissue), dtype=bool)
        allowed[list(over)] = True
        for start, end, radius in zip(path[:-1], path[1:], radii[1:], strict=True):
            corners = np.array([start, end])
            box = self.grid.box(
                _point(corners.min(axis=0) - radius), _point(corners.max(axis=0) + radius)
            )
            part = self.labels[box]
            distance = segment_distance_squared(self.grid.crop(box), start, end)
            part[(distance < radius**2) & allowed[part]] = tissue

    def branch(
        self, start: Point, aim: Point, radius_mm: float, tissue: Tissue, generations: int
    ) -> None:
        """Paint a vein towards an aim, and the veins that leave it, inside the liver."""
        origin, end = np.asarray(start), np.asarray(aim) + self.rng.normal(0, 7, 3)
        length_mm = float(np.linalg.norm(end - origin))
        bend = (origin + end) / 2 + self.rng.normal(0, 0.09 * length_mm, 3)
        path = [start, _point(bend), _point(end)]
        self.tube(path, radius_mm, tissue, _IN_LIVER, end_radius_mm=0.72 * radius_mm)
        if generations == 0 or radius_mm * _NARROWING < _THINNEST_MM:
            return
        heading = (end - origin) / length_mm
        for fork in (bend, end, end):
            aside = self.rng.normal(0, 1, 3)
            aside -= heading * (aside * heading).sum()
            aside /= np.linalg.norm(aside)
            reach_mm = length_mm * self.rng.uniform(0.5, 0.75)
            target = fork + reach_mm * (0.75 * heading + 0.66 * aside)
            radius = _NARROWING * radius_mm
            self.branch(_point(fork), _point(target), radius, tissue, generations - 1)


def _paint_portal(painter: _VesselPainter, build: Build) -> None:
    height, spine = build.liver_height_mm, build.spine_y_mm
    width, depth = build.cavity_mm
    confluence = (4.0, spine - 50, 0.33 * height)
    hilum = (-0.22 * width, spine - 62, 0.52 * height)
    splenic = (0.62 * width, spine - 30, 0.42 * height)
    mesenteric = (0.0, spine - 54, -20.0)
    for end, radius_mm in ((hilum, 6.8), (splenic, 4.2), (mesenteric, 5.2)):
        painter.tube([confluence, end], radius_mm, Tissue.PORTAL_VEIN, _AROUND_VEINS)
    # Aims of the main branches: right anterior and posterior, and along the left lobe.
    for aim in (
        (-0.58 * width, -0.25 * depth, 0.62 * height),
        (-0.62 * width, 0.38 * depth, 0.45 * height),
        (0.02 * width, -0.52 * depth, 0.63 * height),
    ):
        painter.branch(hilum, aim, 5.0, Tissue.PORTAL_VEIN, _PORTAL_BRANCHINGS)


def _paint_hepatic(painter: _VesselPainter, build: Build, mouth: Point) -> None:
    height = build.liver_height_mm
    width, depth = build.cavity_mm
    for aim in (
        (-0.66 * width, 0.12 * depth, 0.62 * height),
        (-0.36 * width, -0.42 * depth, 0.60 * height),
        (0.06 * width, -0.50 * depth, 0.70 * height),
    ):
        painter.branch(mouth, aim, 4.4, Tissue.HEPATIC_VEIN, _HEPATIC_BRANCHINGS)


def _point(values: NDArray[np.float64]) -> Point:
    x, y, z = values.tolist()
    return x, y, z
