"""The abdomen without the liver: wall, fat, lungs, organs, spine and great vessels, as a map."""

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from tests.benchmarks.cirrhotic.space import Point, box_around, ellipsoid, smooth_field
from tests.benchmarks.phantom.arrays import Field, Labels
from tests.benchmarks.phantom.grid import Grid

_SPINE_RADIUS_MM = 24


class Tissue(IntEnum):
    """Labels of the anatomy; the numbers index `contrast.Uptake.table_hu`."""

    AIR = 0
    SUBCUTANEOUS_FAT = 1
    MUSCLE = 2
    VISCERAL_FAT = 3
    LIVER = 4
    SPLEEN = 5
    AORTA = 6
    VENA_CAVA = 7
    BONE = 8
    KIDNEY = 9
    STOMACH = 10
    GALLBLADDER = 11
    LUNG = 12
    ASCITES = 13
    GAS = 14
    PORTAL_VEIN = 15
    BOWEL = 16


@dataclass(frozen=True)
class Trunk:
    """The wall of the abdomen, the same in every slice.

    Attributes
    ----------
    half_width_mm, half_depth_mm : float
        Of the cavity.
    middle_y_mm : float
    wall_mm, fat_mm : float
        Thickness of the muscle around the cavity, and of the fat around the muscle.
    """

    half_width_mm: float
    half_depth_mm: float
    middle_y_mm: float
    wall_mm: float
    fat_mm: float

    def depth_mm(self, grid: Grid) -> Field:
        """Return how deep inside the cavity a voxel lies, (H, W); negative in the wall."""
        x, y = grid.slice_mesh
        across = (x / self.half_width_mm) ** 2
        outwards = np.sqrt(across + ((y - self.middle_y_mm) / self.half_depth_mm) ** 2)
        return np.asarray((1 - outwards) * (0.5 * (self.half_width_mm + self.half_depth_mm)))


@dataclass(frozen=True)
class Textures:
    """Smooth random fields of variance 1 over the whole volume, (D, H, W).

    Attributes
    ----------
    coarse : numpy.ndarray
        Dents organs.
    nodular : numpy.ndarray
        Of the size of regenerative nodules.
    grainy : numpy.ndarray
    """

    coarse: Field
    nodular: Field
    grainy: Field


@dataclass(frozen=True)
class Organ:
    """A dented ellipsoid; centre and semi-axes are (x, y, z) in mm, a dent of 0 is none."""

    tissue: Tissue
    centre: Point
    axes_mm: Point
    dent: float


@dataclass(frozen=True)
class Abdomen:
    """What lies in the cavity beside the liver.

    Attributes
    ----------
    dome_z_mm : float
        Height from which that of the organs is counted.
    organs : tuple of Organ
        In the order of painting.
    aorta_mm, cava_mm : float
        Radii.
    """

    dome_z_mm: float
    organs: tuple[Organ, ...]
    aorta_mm: float
    cava_mm: float


def draw_trunk(rng: np.random.Generator) -> Trunk:
    """Draw a patient's girth."""
    return Trunk(
        half_width_mm=121 * rng.normal(1.0, 0.03),
        half_depth_mm=88 * rng.normal(1, 0.03),
        middle_y_mm=rng.normal(-6, 2),
        wall_mm=rng.uniform(7, 12),
        fat_mm=rng.uniform(4, 20),
    )


def draw_textures(grid: Grid, rng: np.random.Generator) -> Textures:
    """Draw the fields that shape and mottle what lies in the cavity."""
    return Textures(*(smooth_field(grid, width_mm, rng) for width_mm in (18.0, 4.6, 2.1)))


def draw_abdomen(cirrhosis: float, rng: np.random.Generator) -> Abdomen:
    """Draw where the organs lie; a spleen is the larger, the more cirrhosis there is."""
    dome_z_mm = rng.normal(71, 1.5)

    def around(x_mm: float, spread_mm: float) -> float:
        return x_mm + spread_mm * rng.standard_normal()

    stomach = (around(42, 4), around(-32, 4), dome_z_mm + 5)
    spleen_size = math.exp(0.13 * rng.standard_normal() + 0.42 * (cirrhosis - 0.5))
    spleen = (around(68, 3), around(32, 4), around(dome_z_mm + 8, 5))
    spleen_axes_mm = (19 * spleen_size, 31 * spleen_size, 38 * spleen_size)
    right_kidney = (around(-48, 4), 56, around(dome_z_mm - 48, 6))
    left_kidney = (around(52, 4), 56, around(dome_z_mm - 36, 6))
    return Abdomen(
        dome_z_mm=dome_z_mm,
        organs=(
            Organ(Tissue.STOMACH, stomach, (32, 30, 34), dent=0.08),
            Organ(Tissue.GAS, (42, -48, dome_z_mm + 5), (20, 9, 24), dent=0),
            Organ(Tissue.SPLEEN, spleen, spleen_axes_mm, dent=0.06),
            Organ(Tissue.KIDNEY, right_kidney, (24, 21, 42), dent=0.04),
            Organ(Tissue.KIDNEY, left_kidney, (23, 20, 44), dent=0.04),
        ),
        aorta_mm=rng.uniform(8, 11),
        cava_mm=rng.uniform(8, 11),
    )


def paint_abdomen(trunk: Trunk, abdomen: Abdomen, grid: Grid, textures: Textures) -> Labels:
    """Return the tissue of each voxel but for the liver and its vessels, (D, H, W), uint8."""
    depth_mm = trunk.depth_mm(grid)
    labels = np.repeat(_paint_wall(trunk, depth_mm)[None], grid.shape[0], axis=0)
    bowel = textures.grainy * 0.5 + textures.coarse > 0.75
    labels[(labels == Tissue.VISCERAL_FAT) & bowel] = Tissue.BOWEL
    cavity = (depth_mm > 2)[None]
    dome_z_mm = abdomen.dome_z_mm
    right_dome = ellipsoid(grid, (-50, 0, dome_z_mm - 10), (92, 96, 86))
    left_dome = ellipsoid(grid, (45, 0, dome_z_mm - 25), (70, 80, 85))
    above_domes = np.minimum(right_dome, left_dome) > 1
    labels[above_domes & (grid.z_mm > dome_z_mm + 5)[:, None, None] & cavity] = Tissue.LUNG
    for organ in abdomen.organs:
        z, y, x = box_around(grid, organ.centre, np.asarray(organ.axes_mm) * 1.15)
        form = ellipsoid(grid.crop((z, y, x)), organ.centre, organ.axes_mm)
        inside = form + organ.dent * textures.coarse[z, y, x] < 1
        labels[z, y, x][inside & cavity[:, y, x]] = organ.tissue
    _paint_columns(labels, abdomen, grid)
    return labels


def _paint_wall(trunk: Trunk, depth_mm: Field) -> Labels:
    """Return what is the same in every slice, (H, W): fat, muscle, and the air around."""
    flat = np.full(depth_mm.shape, Tissue.VISCERAL_FAT, dtype=np.uint8)
    flat[depth_mm < 0] = Tissue.MUSCLE
    flat[depth_mm < -trunk.wall_mm] = Tissue.SUBCUTANEOUS_FAT
    flat[depth_mm < -trunk.wall_mm - trunk.fat_mm] = Tissue.AIR
    return flat


def _paint_columns(labels: Labels, abdomen: Abdomen, grid: Grid) -> None:
    """Paint the spine and the two great vessels, which run straight along z."""
    x, y = grid.slice_mesh
    for tissue, x_mm, y_mm, radius_mm in (
        (Tissue.BONE, 2, 84, _SPINE_RADIUS_MM),
        (Tissue.AORTA, 14, 55, abdomen.aorta_mm),
        (Tissue.VENA_CAVA, -14, 46, abdomen.cava_mm),
    ):
        labels[:, (x - x_mm) ** 2 + (y - y_mm) ** 2 < radius_mm * radius_mm] = tissue
