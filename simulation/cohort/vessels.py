"""Great vessels, and the portal and hepatic veins as branching tubes."""

from collections.abc import Sequence

import numpy as np

from simulation.cohort.body import Build, Labels
from simulation.cohort.grid import Grid, Point
from simulation.cohort.tissue import Tissue

_SOFT_TISSUES = np.zeros(len(Tissue), dtype=bool)
_SOFT_TISSUES[[Tissue.VISCERAL_FAT, Tissue.LIVER, Tissue.PANCREAS, Tissue.GUT_WALL]] = True
_LIVER_ONLY = np.zeros(len(Tissue), dtype=bool)
_LIVER_ONLY[Tissue.LIVER] = True

_THINNEST_MM = 1.6
_BRANCHINGS = 3


def paint_vessels(labels: Labels, build: Build, grid: Grid, rng: np.random.Generator) -> None:
    """Paint aorta, vena cava, portal and hepatic veins over fat and liver."""
    height, spine = build.liver_height_mm, build.spine_y_mm
    low, high = build.lowest_mm - 5, height + 20
    aorta_x = rng.uniform(6, 16)
    aorta = [(aorta_x, spine - 29, low), (aorta_x + 2, spine - 26, high)]
    _tube(labels, grid, aorta, rng.uniform(9.5, 12), Tissue.AORTA, _SOFT_TISSUES | _lung())
    cava: list[Point] = [
        (-19, spine - 27, low),
        (-22, spine - 32, 0.55 * height),
        (-24, spine - 47, 0.86 * height),
        (-14, spine - 58, high),
    ]
    _tube(labels, grid, cava, rng.uniform(10, 12.5), Tissue.VENA_CAVA, _SOFT_TISSUES)
    _paint_portal(labels, build, grid, rng)
    _paint_hepatic(labels, build, grid, cava[2], rng)


def _paint_portal(labels: Labels, build: Build, grid: Grid, rng: np.random.Generator) -> None:
    height, spine = build.liver_height_mm, build.spine_y_mm
    width, depth = build.cavity_mm
    confluence = (4.0, spine - 50, 0.33 * height)
    hilum = (-0.22 * width, spine - 62, 0.52 * height)
    tail = (0.62 * width, spine - 30, 0.42 * height)
    mesenteric = (0.0, spine - 54, -20.0)
    for path, radius in (
        ([confluence, hilum], 6.8),
        ([confluence, tail], 4.2),
        ([confluence, mesenteric], 5.2),
    ):
        _tube(labels, grid, path, radius, Tissue.PORTAL_VEIN, _SOFT_TISSUES)
    # Aims of the main branches: right anterior and posterior, and along the left lobe.
    aims: list[Point] = [
        (-0.58 * width, -0.25 * depth, 0.62 * height),
        (-0.62 * width, 0.38 * depth, 0.45 * height),
        (0.02 * width, -0.52 * depth, 0.63 * height),
    ]
    for aim in aims:
        _branch(labels, grid, hilum, aim, 5.0, Tissue.PORTAL_VEIN, _BRANCHINGS, rng)


def _paint_hepatic(
    labels: Labels, build: Build, grid: Grid, mouth: Point, rng: np.random.Generator
) -> None:
    width, depth = build.cavity_mm
    height = build.liver_height_mm
    aims: list[Point] = [
        (-0.66 * width, 0.12 * depth, 0.62 * height),
        (-0.36 * width, -0.42 * depth, 0.60 * height),
        (0.06 * width, -0.50 * depth, 0.70 * height),
    ]
    for aim in aims:
        _branch(labels, grid, mouth, aim, 4.4, Tissue.HEPATIC_VEIN, _BRANCHINGS - 1, rng)


def _branch(
    labels: Labels,
    grid: Grid,
    start: Point,
    aim: Point,
    radius_mm: float,
    tissue: Tissue,
    generations: int,
    rng: np.random.Generator,
) -> None:
    """Paint a vein towards an aim, and the veins that leave it, inside the liver."""
    origin, end = np.asarray(start), np.asarray(aim) + rng.normal(0, 7, 3)
    length = float(np.linalg.norm(end - origin))
    bend = (origin + end) / 2 + rng.normal(0, 0.09 * length, 3)
    path = [_point(origin), _point(bend), _point(end)]
    _tube(labels, grid, path, radius_mm, tissue, _LIVER_ONLY, end_radius_mm=0.72 * radius_mm)
    if generations == 0 or radius_mm * 0.68 < _THINNEST_MM:
        return
    heading = (end - origin) / length
    for fork in (bend, end, end):
        aside = rng.normal(0, 1, 3)
        aside -= heading * (aside @ heading)
        aside /= np.linalg.norm(aside)
        reach = length * rng.uniform(0.5, 0.75)
        target = fork + reach * (0.75 * heading + 0.66 * aside)
        _branch(
            labels, grid, _point(fork), _point(target), 0.68 * radius_mm, tissue,
            generations - 1, rng,
        )  # fmt: skip


def _tube(
    labels: Labels,
    grid: Grid,
    path: Sequence[Point],
    radius_mm: float,
    tissue: Tissue,
    over: np.ndarray[tuple[int], np.dtype[np.bool_]],
    *,
    end_radius_mm: float | None = None,
) -> None:
    """Paint a tube along straight pieces, where the tissues in `over` were before."""
    last_mm = radius_mm if end_radius_mm is None else end_radius_mm
    radii = np.linspace(radius_mm, last_mm, len(path))
    for start, end, radius in zip(path[:-1], path[1:], radii[1:], strict=True):
        low = (min(start[0], end[0]), min(start[1], end[1]), min(start[2], end[2]))
        high = (max(start[0], end[0]), max(start[1], end[1]), max(start[2], end[2]))
        box = grid.box(
            (low[0] - radius, low[1] - radius, low[2] - radius),
            (high[0] + radius, high[1] + radius, high[2] + radius),
        )
        part = labels[box]
        if part.size == 0:
            continue
        axes = grid.crop(box).mesh
        step = np.subtract(end, start)
        offsets = [axis - np.float32(first) for axis, first in zip(axes, start, strict=True)]
        along = sum(offset * np.float32(s) for offset, s in zip(offsets, step, strict=True))
        along = np.clip(along / np.float32(step @ step), 0, 1)
        distance = sum(
            (offset - along * np.float32(s)) ** 2 for offset, s in zip(offsets, step, strict=True)
        )
        part[(distance < radius**2) & over[part]] = tissue


def _lung() -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    lung = np.zeros(len(Tissue), dtype=bool)
    lung[[Tissue.LUNG, Tissue.HEART]] = True
    return lung


def _point(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Point:
    x, y, z = values.tolist()
    return x, y, z
