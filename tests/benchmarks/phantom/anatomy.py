"""The body of one patient: trunk, spine, great vessels and organs, as a map of tissues."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from tests.benchmarks.phantom.arrays import Labels, Mask, Vector
from tests.benchmarks.phantom.grid import Grid, ellipsoid

CAVA_X_MM = -20
CAVA_BEFORE_SPINE_MM = 36
_CAVA_RADIUS_MM = 11
_MUSCLE_MM = 11
_SPINE_RADIUS_MM = 21
_MARROW_RADIUS_MM = 18.5
_AVERAGE_FAT_MM = 16


class Tissue(IntEnum):
    """Labels of the anatomy; the numbers index `contrast.Moment.table_hu`."""

    AIR = 0
    SUBCUTANEOUS_FAT = 1
    MUSCLE = 2
    VISCERAL_FAT = 3
    LUNG = 4
    BONE = 5
    MARROW = 6
    AORTA = 7
    VENA_CAVA = 8
    SPLEEN = 9
    STOMACH = 10
    LIVER = 11
    LIVER_VESSEL = 12


@dataclass(frozen=True)
class Body:
    """How one patient is built; points and semi-axes are (x, y, z) in mm.

    Attributes
    ----------
    size : float
        Relative to the average.
    fat_mm : float
        Thickness under the skin.
    aorta_mm : float
        Radius of the aorta.
    liver_centre, liver_axes : numpy.ndarray
        Of the right lobe, an ellipsoid.
    left_lobe_axes, spleen_axes : numpy.ndarray
    """

    size: float
    fat_mm: float
    aorta_mm: float
    liver_centre: Vector
    liver_axes: Vector
    left_lobe_axes: Vector
    spleen_axes: Vector

    @property
    def half_width_mm(self) -> float:
        """Half of the trunk's width."""
        return 165 * self.size + (self.fat_mm - _AVERAGE_FAT_MM) * 0.8

    @property
    def half_depth_mm(self) -> float:
        """Half of the trunk's depth."""
        return 118 * self.size + (self.fat_mm - _AVERAGE_FAT_MM) * 0.8

    @property
    def spine_y_mm(self) -> float:
        """Where the middle of the vertebrae lies."""
        return self.half_depth_mm - self.fat_mm - 50

    def in_trunk(self, grid: Grid, margin_mm: float) -> Mask:
        """Return what lies at least so deep under the skin, in every slice alike, (H, W)."""
        x, y = grid.slice_mesh
        across = np.abs(x / (self.half_width_mm - margin_mm)) ** 2.4
        return np.asarray(across + np.abs(y / (self.half_depth_mm - margin_mm)) ** 2.4 < 1)


def draw_body(rng: np.random.Generator) -> Body:
    """Draw how a patient is built."""
    size, fat_mm = rng.uniform(0.93, 1.05), rng.uniform(10, 26)
    aorta_mm = rng.uniform(9, 12)
    # The rest is drawn in the order of the arguments.
    liver_axes = np.array([80, 70, 67]) * rng.uniform(0.92, 1.06, 3)
    return Body(
        size=size,
        fat_mm=fat_mm,
        aorta_mm=aorta_mm,
        liver_axes=liver_axes,
        liver_centre=np.array([-53 * size, -6, -2]) + rng.normal(0, 3, 3),
        left_lobe_axes=np.array([62, 34, 36]) * rng.uniform(0.85, 1.1),
        spleen_axes=np.array([30, 42, 44]) * rng.uniform(0.8, 1.2),
    )


def paint_body(body: Body, grid: Grid) -> Labels:
    """Return the tissue of each voxel but for the vessels in the liver, (D, H, W), uint8."""
    labels = np.repeat(_paint_slice(body, grid)[None], grid.shape[0], axis=0)
    cavity = np.broadcast_to(body.in_trunk(grid, body.fat_mm + _MUSCLE_MM), labels.shape)
    _paint_organs(labels, body, grid, cavity)
    _paint_liver(labels, body, grid, cavity)
    x, y = grid.slice_mesh
    before_spine = y - body.spine_y_mm + CAVA_BEFORE_SPINE_MM
    labels[:, (x - CAVA_X_MM) ** 2 + before_spine**2 < _CAVA_RADIUS_MM**2] = Tissue.VENA_CAVA
    return labels


def _paint_slice(body: Body, grid: Grid) -> Labels:
    """Return what is the same in every slice, (H, W): fat, muscle, spine and aorta."""
    x, y = grid.slice_mesh
    under_skin = body.in_trunk(grid, body.fat_mm)
    flat = np.full(grid.shape[1:], Tissue.AIR, dtype=np.uint8)
    flat[body.in_trunk(grid, 0)] = Tissue.SUBCUTANEOUS_FAT
    flat[under_skin] = Tissue.MUSCLE
    flat[body.in_trunk(grid, body.fat_mm + _MUSCLE_MM)] = Tissue.VISCERAL_FAT
    back_y_mm = body.half_depth_mm - body.fat_mm - 22
    beside_spine = (x / 62) ** 2 + ((y - back_y_mm) / 24) ** 2 < 1
    flat[beside_spine & under_skin] = Tissue.MUSCLE
    spine_y_mm = body.spine_y_mm
    for radius_mm, tissue in ((_SPINE_RADIUS_MM, Tissue.BONE), (_MARROW_RADIUS_MM, Tissue.MARROW)):
        inside = (x / (radius_mm * 1.15)) ** 2 + ((y - spine_y_mm) / radius_mm) ** 2 < 1
        flat[inside] = tissue
    flat[(x - 8) ** 2 + (y - spine_y_mm + 33) ** 2 < body.aorta_mm**2] = Tissue.AORTA
    return flat


def _paint_organs(labels: Labels, body: Body, grid: Grid, cavity: Mask) -> None:
    """Paint lungs, stomach and spleen over the fat of the cavity."""
    x, y, z = grid.mesh
    free = labels == Tissue.VISCERAL_FAT
    # The lungs are what the two halves of the diaphragm leave above them.
    right_dome = ellipsoid(grid, (-62 * body.size, 5, -30), (100, 95, 88))
    left_dome = ellipsoid(grid, (70, 0, -40), (95, 95, 98))
    above = (right_dome > 1) & (left_dome > 1) & (z > 5)
    labels[above & cavity & free & (np.abs(x) > 28)] = Tissue.LUNG
    labels[free & (ellipsoid(grid, (62, -25, 5), (38, 34, 46)) < 1)] = Tissue.STOMACH
    labels[(labels == Tissue.STOMACH) & (y < -42)] = Tissue.AIR
    spleen_centre = np.array([98 * body.size, 30, 8])
    labels[free & (ellipsoid(grid, spleen_centre, body.spleen_axes) < 1)] = Tissue.SPLEEN


def _paint_liver(labels: Labels, body: Body, grid: Grid, cavity: Mask) -> None:
    """Paint both lobes over all in the cavity but the spine and the aorta."""
    left_centre = body.liver_centre + np.array([82, -38, 14])
    right = ellipsoid(grid, body.liver_centre, body.liver_axes) < 1
    left = ellipsoid(grid, left_centre, body.left_lobe_axes) < 1
    kept = np.isin(labels, (Tissue.BONE, Tissue.MARROW, Tissue.AORTA))
    labels[(right | left) & cavity & ~kept] = Tissue.LIVER
