"""The organs of the upper abdomen, painted into the trunk."""

import numpy as np

from simulation.cohort.body import Build, Labels, diaphragm_mm, ellipsoid, inside_wall_mm
from simulation.cohort.grid import Field, Grid, Point, radius_squared
from simulation.cohort.tissue import Tissue

_COARSE_MM = 7.0


def liver_depth_mm(build: Build, grid: Grid, rng: np.random.Generator) -> Field:
    """Return roughly how deep each voxel lies in the liver, in mm; negative outside.

    Two lobes joined, hollowed by the viscera, under the diaphragm and inside the wall. Shape
    (D, H, W), float32; computed on a coarse grid, as the liver's surface is smooth.
    """
    coarse = grid.coarse(_COARSE_MM)
    width, depth = build.cavity_mm
    height = build.liver_height_mm

    def form(centre: Point, axes: Point) -> Field:
        """Return the depth in an ellipsoid, both given as shares of cavity and height."""
        semi = (axes[0] * width, axes[1] * depth, axes[2] * height)
        middle = (centre[0] * width, centre[1] * depth, centre[2] * height)
        shell = np.sqrt(radius_squared(coarse, middle, semi))
        return np.asarray((1 - shell) * np.float32(min(semi)), dtype=np.float32)

    left_reach, left_thickness = rng.uniform(0.46, 0.66), rng.uniform(0.20, 0.29)
    right_lobe = form(
        (-0.50, rng.uniform(-0.02, 0.08), rng.uniform(0.47, 0.53)),
        (rng.uniform(0.54, 0.62), rng.uniform(0.86, 0.98), 0.54),
    )
    left_lobe = form((0.02, rng.uniform(-0.58, -0.48), 0.64), (left_reach, 0.40, left_thickness))
    viscera = form((0.30, 0.42, 0.40), (rng.uniform(0.66, 0.74), 0.78, rng.uniform(0.44, 0.52)))
    below = form((0.12, -0.30, 0.06), (0.52, 0.75, 0.34))
    kidney = form((-0.40, 0.78, 0.10), (0.30, 0.42, 0.34))
    inside = _smooth_maximum(right_lobe, left_lobe)
    for hollow in (viscera, below, kidney):
        inside = -_smooth_maximum(-inside, hollow)
    inside = inside + 3.5 * coarse.smooth_noise(38.0, rng)
    under = 0.75 * (diaphragm_mm(build, coarse) - coarse.mesh[2]) - 2.0
    inside = np.minimum(inside, np.minimum(under, inside_wall_mm(build, coarse) - 2.0))
    return grid.interpolate(inside.astype(np.float32), coarse)


def _smooth_maximum(first: Field, second: Field) -> Field:
    softness_mm = np.float32(7.0)
    joined = softness_mm * np.logaddexp(first / softness_mm, second / softness_mm)
    return np.asarray(joined, dtype=np.float32)


def paint_organs(
    labels: Labels, build: Build, grid: Grid, wobble: Field, rng: np.random.Generator
) -> None:
    """Paint everything but liver and vessels into the fat of the trunk."""
    painter = _Painter(labels, build, grid, wobble)
    height = build.liver_height_mm
    heart = painter.place((0.10, -0.36, 0.0), height + 20)
    painter.fill(heart, (66, 46, 36), Tissue.HEART, over=(Tissue.LUNG, Tissue.VISCERAL_FAT))
    _paint_spleen(painter, rng)
    _paint_stomach(painter, rng)
    _paint_kidneys(painter, rng)
    pancreas_z = rng.uniform(0.28, 0.36) * height
    for share, lift in ((-0.10, -6.0), (0.08, 0.0), (0.26, 8.0)):
        painter.fill(
            painter.place((share, 0.02, 0.0), pancreas_z + lift), (26, 11, 12), Tissue.PANCREAS
        )
    _paint_bowel(painter, rng)


class _Painter:
    """Fills ellipsoids with a tissue, only where certain tissues were before."""

    def __init__(self, labels: Labels, build: Build, grid: Grid, wobble: Field) -> None:
        self.labels, self.build, self.grid, self.wobble = labels, build, grid, wobble

    def place(self, shares: Point, z_mm: float) -> Point:
        """Return a point from shares of the cavity's half-width and half-depth."""
        width, depth = self.build.cavity_mm
        return shares[0] * width, shares[1] * depth, z_mm + shares[2]

    def fill(
        self,
        centre: Point,
        axes_mm: Point,
        tissue: Tissue,
        *,
        scale: float = 1.0,
        over: tuple[Tissue, ...] = (Tissue.VISCERAL_FAT,),
        front_of_mm: float | None = None,
    ) -> None:
        """Fill the ellipsoid of `scale` times the axes; in front of a level if one is given."""
        box, form = ellipsoid(self.grid, centre, axes_mm, self.wobble)
        part = self.labels[box]
        chosen = form < scale**2
        if front_of_mm is not None:
            chosen &= self.grid.crop(box).mesh[1] < front_of_mm
        allowed = part == over[0]
        for other in over[1:]:
            allowed |= part == other
        part[chosen & allowed] = tissue


def _paint_spleen(painter: _Painter, rng: np.random.Generator) -> None:
    height = painter.build.liver_height_mm
    centre = painter.place((0.76, 0.36, 0.0), rng.uniform(0.60, 0.68) * height)
    axes = (rng.uniform(24, 34), rng.uniform(40, 56), rng.uniform(40, 58))
    painter.fill(centre, axes, Tissue.SPLEEN)


def _paint_stomach(painter: _Painter, rng: np.random.Generator) -> None:
    height = painter.build.liver_height_mm
    for shares, z_share, axes in (
        ((0.44, -0.02, 0.0), 0.70, (40.0, 46.0, 46.0)),
        ((0.30, -0.36, 0.0), 0.44, (46.0, 26.0, 26.0)),
    ):
        centre = painter.place(shares, z_share * height)
        painter.fill(centre, axes, Tissue.GUT_WALL)
        wall, lumen = (Tissue.GUT_WALL,), (Tissue.GUT_FLUID,)
        painter.fill(centre, axes, Tissue.GUT_FLUID, scale=0.86, over=wall)
        # Gas rises to the front of a patient on the back, above one level.
        level = centre[1] + rng.uniform(-0.5, 0.1) * axes[1]
        painter.fill(centre, axes, Tissue.GAS, scale=0.86, over=lumen, front_of_mm=level)


def _paint_kidneys(painter: _Painter, rng: np.random.Generator) -> None:
    height = painter.build.liver_height_mm
    for side, z_share in ((-0.42, rng.uniform(0.02, 0.12)), (0.44, rng.uniform(0.14, 0.24))):
        centre = painter.place((side, 0.56, 0.0), z_share * height)
        axes = (27.0, 25.0, 52.0)
        painter.fill(centre, axes, Tissue.KIDNEY_CORTEX)
        painter.fill(centre, axes, Tissue.KIDNEY_MEDULLA, scale=0.74, over=(Tissue.KIDNEY_CORTEX,))
        inward = (centre[0] - np.sign(side) * 9, centre[1] - 4, centre[2])
        sinus = (Tissue.KIDNEY_MEDULLA, Tissue.KIDNEY_CORTEX)
        painter.fill(inward, (13.0, 9.0, 24.0), Tissue.VISCERAL_FAT, over=sinus)


def _paint_bowel(painter: _Painter, rng: np.random.Generator) -> None:
    height = painter.build.liver_height_mm
    for _ in range(9):
        shares = (rng.uniform(-0.45, 0.80), rng.uniform(-0.75, 0.05), 0.0)
        centre = painter.place(shares, rng.uniform(-0.05, 0.30) * height)
        axes = (rng.uniform(13, 26), rng.uniform(11, 20), rng.uniform(12, 22))
        painter.fill(centre, axes, Tissue.GUT_WALL)
        content = Tissue.GAS if rng.random() < 0.35 else Tissue.GUT_FLUID
        painter.fill(centre, axes, content, scale=0.78, over=(Tissue.GUT_WALL,))


def paint_gallbladder(
    labels: Labels, build: Build, grid: Grid, wobble: Field, rng: np.random.Generator
) -> None:
    """Paint the gallbladder into the liver's lower face."""
    painter = _Painter(labels, build, grid, wobble)
    shares = (rng.uniform(-0.30, -0.22), rng.uniform(-0.36, -0.22), 0.0)
    centre = painter.place(shares, rng.uniform(0.24, 0.32) * build.liver_height_mm)
    axes = (rng.uniform(10, 15), rng.uniform(12, 18), rng.uniform(18, 28))
    over = (Tissue.VISCERAL_FAT, Tissue.LIVER, Tissue.GUT_WALL, Tissue.GUT_FLUID)
    painter.fill(centre, axes, Tissue.GALLBLADDER, over=over)
