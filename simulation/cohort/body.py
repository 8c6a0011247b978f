"""The trunk: its build, its wall, spine and ribs, and the space inside."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulation.cohort.grid import Box, Field, Grid, Point, radius_squared
from simulation.cohort.tissue import Tissue

Labels = NDArray[np.uint8]

_MARGIN_MM = 8.0
_BELOW_LIVER_MM = 6.0
_ABOVE_LIVER_MM = 8.0
_VERTEBRA_MM = 31.0
_RIB_MM = 27.0


@dataclass(frozen=True)
class Build:
    """A patient's measures, in mm; the origin is mid-body at the liver's lower tip.

    Attributes
    ----------
    half_width_mm, half_depth_mm : float
        Of the trunk, skin to skin.
    fat_mm, wall_mm : float
        Thickness of the subcutaneous fat and of the muscular wall.
    liver_height_mm : float
        Lower tip to dome.
    vertebra_phase : float
        Where the vertebrae lie along z, as a share of one.
    """

    half_width_mm: float
    half_depth_mm: float
    fat_mm: float
    wall_mm: float
    liver_height_mm: float
    vertebra_phase: float

    @property
    def cavity_mm(self) -> tuple[float, float]:
        """Half-width and half-depth of the space inside the wall."""
        layers = self.fat_mm + self.wall_mm
        return self.half_width_mm - layers, self.half_depth_mm - layers

    @property
    def spine_y_mm(self) -> float:
        """Where the vertebral bodies' centres lie."""
        return self.half_depth_mm - 0.8 * self.fat_mm - 58.0

    @property
    def size_mm(self) -> Point:
        """Extent of the scan's field, (x, y, z)."""
        height = self.liver_height_mm + _BELOW_LIVER_MM + _ABOVE_LIVER_MM
        width, depth = self.half_width_mm + _MARGIN_MM, self.half_depth_mm + _MARGIN_MM
        return 2 * width, 2 * depth, height

    @property
    def lowest_mm(self) -> float:
        """The z of the lowest slice."""
        return -_BELOW_LIVER_MM


def draw_build(rng: np.random.Generator) -> Build:
    """Draw a patient's measures."""
    half_width_mm = float(np.clip(rng.normal(164, 13), 142, 192))
    return Build(
        half_width_mm=half_width_mm,
        half_depth_mm=half_width_mm * rng.uniform(0.66, 0.76),
        fat_mm=float(np.clip(rng.normal(15, 6) + 0.25 * (half_width_mm - 164), 6, 34)),
        wall_mm=rng.uniform(11, 15),
        liver_height_mm=rng.uniform(150, 190),
        vertebra_phase=rng.uniform(),
    )


def diaphragm_mm(build: Build, grid: Grid) -> Field:
    """Return the height z of the diaphragm, shape (1, H, W): abdomen below, lung above."""
    width, depth = build.cavity_mm
    x, y, _ = grid.mesh
    right = ((x + 0.46 * width) / (0.60 * width)) ** 2 + ((y + 0.08 * depth) / (0.95 * depth)) ** 2
    left = ((x - 0.50 * width) / (0.55 * width)) ** 2 + ((y - 0.02 * depth) / (0.95 * depth)) ** 2
    top = build.liver_height_mm
    domes = np.maximum(top - 0.36 * top * right, 0.93 * top - 0.36 * top * left)
    return np.asarray(domes, dtype=np.float32)


def inside_wall_mm(build: Build, grid: Grid) -> Field:
    """Return the depth below the wall's inner face, shape (1, H, W); negative outside."""
    return _skin_depth_mm(build, grid) - np.float32(build.fat_mm + build.wall_mm)


def paint_trunk(build: Build, grid: Grid, wobble: Field) -> Labels:
    """Return the anatomy without organs, uint8, shape (D, H, W)."""
    depth_mm = _skin_depth_mm(build, grid)
    section = np.full(depth_mm.shape, Tissue.AIR, dtype=np.uint8)
    anterior = np.clip(-grid.mesh[1] / build.half_depth_mm, -1, 1)
    fat_mm = build.fat_mm * (1 + 0.25 * anterior)
    section[depth_mm > 0] = Tissue.SKIN
    section[depth_mm > 2.2] = Tissue.SUBCUTANEOUS_FAT
    section[depth_mm > fat_mm] = Tissue.MUSCLE
    section[depth_mm > build.fat_mm + build.wall_mm] = Tissue.VISCERAL_FAT
    labels = np.repeat(section, grid.shape[0], axis=0)
    above = grid.mesh[2] > diaphragm_mm(build, grid) + 2.5 * wobble
    labels[above & (labels == Tissue.VISCERAL_FAT)] = Tissue.LUNG
    _paint_ribs(labels, build, grid, depth_mm)
    _paint_spine(labels, build, grid)
    return labels


def _skin_depth_mm(build: Build, grid: Grid) -> Field:
    x, y, _ = grid.mesh
    # Superellipse: a trunk is squarer than an ellipse. Depth is measured along the ray.
    power = 2.35
    rho = (np.abs(x / build.half_width_mm) ** power + np.abs(y / build.half_depth_mm) ** power) ** (
        1 / power
    )
    ray_mm = np.hypot(x, y)
    return np.asarray(ray_mm / np.maximum(rho, 1e-3) - ray_mm, dtype=np.float32)


def _paint_ribs(labels: Labels, build: Build, grid: Grid, depth_mm: Field) -> None:
    x, y, z = grid.mesh
    angle = np.arctan2(np.abs(x), y + 0.15 * build.half_depth_mm)  # 0 at the back, pi in front
    # Ribs slope down towards the front, so that one slice meets each of them once.
    turns = (z + 62.0 * angle) / _RIB_MM + build.vertebra_phase
    height = np.abs(turns - np.round(turns)) * _RIB_MM
    inward = np.abs(depth_mm - (build.fat_mm + 0.62 * build.wall_mm))
    radius = (height / 6.0) ** 2 + (inward / 4.2) ** 2
    costal = (angle > 0.35) & (angle < 2.2) & (z > 40.0 * (angle - 1.0))
    labels[costal & (radius < 1)] = Tissue.CORTICAL_BONE
    labels[costal & (radius < 0.30)] = Tissue.SPONGY_BONE


def _paint_spine(labels: Labels, build: Build, grid: Grid) -> None:
    middle = build.spine_y_mm
    height = float(build.liver_height_mm)
    box = grid.box((-70.0, middle - 24, -height), (70.0, middle + 62, 2 * height))
    part, inner = labels[box], grid.crop(box)
    x, y, z = inner.mesh
    for side in (-1, 1):
        muscle = ((x - side * 33) / 27) ** 2 + ((y - middle - 29) / 21) ** 2 < 1
        part[np.broadcast_to(muscle, part.shape) & (part != Tissue.SUBCUTANEOUS_FAT)] = (
            Tissue.MUSCLE
        )
    body = (x / 21.5) ** 2 + ((y - middle) / 16.5) ** 2
    turns = z / _VERTEBRA_MM + build.vertebra_phase
    disc = np.abs(turns - np.round(turns)) * _VERTEBRA_MM < 3.5
    part[(body < 1) & ~disc] = Tissue.CORTICAL_BONE
    part[(body < 0.80) & ~disc] = Tissue.SPONGY_BONE
    part[(body < 1) & disc] = Tissue.DISC
    arch = (x / 21) ** 2 + ((y - middle - 22) / 14) ** 2 < 1
    transverse = (np.abs(x) < 38) & (np.abs(y - middle - 23) < 4.5)
    spinous = (np.abs(x) < 3.5) & (y > middle + 30) & (y < middle + 54)
    behind = (arch | ((transverse | spinous) & ~disc)) & (body >= 1)
    part[behind] = Tissue.CORTICAL_BONE
    part[behind & arch & (np.abs(x) > 9)] = Tissue.SPONGY_BONE
    canal = (x / 10.5) ** 2 + ((y - middle - 22.5) / 8.5) ** 2 < 1
    part[np.broadcast_to(canal, part.shape)] = Tissue.SPINAL_CANAL


def ellipsoid(grid: Grid, centre: Point, axes_mm: Point, wobble: Field) -> tuple[Box, Field]:
    """Return the box of a slightly irregular ellipsoid, and its quadratic form there.

    The form is below 1 inside; `wobble` is a smooth field of unit spread on `grid`.
    """
    reach = (axes_mm[0] * 1.3, axes_mm[1] * 1.3, axes_mm[2] * 1.3)
    box = grid.around(centre, reach)
    return box, radius_squared(grid.crop(box), centre, axes_mm) - np.float32(0.14) * wobble[box]
