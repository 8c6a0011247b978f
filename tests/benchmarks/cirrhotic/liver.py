"""The liver: its shape, how far cirrhosis has roughened its surface, and what lies beside it."""

import math
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.cirrhotic.anatomy import Textures, Tissue
from tests.benchmarks.cirrhotic.space import Point, ellipsoid, smooth_maximum
from tests.benchmarks.phantom.arrays import Field, Labels, Mask, Vector
from tests.benchmarks.phantom.grid import Grid

_COARSE_MM = 3.0
_LEAST_ASCITES_MM = 1
_DIAPHRAGM_MM = 2.5


@dataclass(frozen=True)
class LiverShape:
    """A liver before it is painted; centres and semi-axes are (x, y, z) in mm.

    Attributes
    ----------
    right_centre, right_axes_mm, left_centre, left_axes_mm
        Of the two lobes.
    gallbladder_centre
    gallbladder_mm : float
        Its smallest semi-axis.
    nodules_mm : float
        Standard deviation of the surface at the scale of regenerative nodules.
    ascites_mm : float
        Thickness of the fluid around the liver; less than 1 is none.
    """

    right_centre: Point
    right_axes_mm: Vector
    left_centre: Point
    left_axes_mm: Vector
    gallbladder_centre: Point
    gallbladder_mm: float
    nodules_mm: float
    ascites_mm: float


@dataclass(frozen=True)
class Liver:
    """A liver on the grid, (D, H, W).

    Attributes
    ----------
    depth_mm : numpy.ndarray
        About how far below the surface a voxel lies; negative outside.
    voxels : numpy.ndarray
        True in the liver, its vessels included.
    """

    depth_mm: Field
    voxels: Mask


def draw_liver(cirrhosis: float, dome_z_mm: float, rng: np.random.Generator) -> LiverShape:
    """Draw a liver: with cirrhosis the right lobe shrinks, the left one grows, nodules rise."""

    def around(middle: float, spread: float) -> float:
        return middle + spread * rng.standard_normal()

    size = math.exp(around(0, 0.07)) * (1.0 - 0.03 * cirrhosis)
    atrophy = around(0.10 * (cirrhosis - 0.4), 0.03)
    left_growth = around(1 + 1.2 * atrophy, 0.06)
    # The rest is drawn in the order of the arguments.
    return LiverShape(
        right_axes_mm=np.array([66, 74, 61]) * size * (1 - atrophy),
        left_axes_mm=np.array([64, 34, 37]) * size * left_growth,
        right_centre=(around(-58, 2), around(0, 2), dome_z_mm),
        left_centre=(around(4, 4), around(-36, 3), around(dome_z_mm + 10, 4)),
        gallbladder_centre=(around(-30, 5), around(-34, 5), dome_z_mm - 46),
        gallbladder_mm=rng.uniform(10, 15),
        nodules_mm=(0.25 + 1.9 * max(0.0, cirrhosis - 0.25)) * math.exp(around(0, 0.22)),
        ascites_mm=around((cirrhosis - 0.75) * 24, 3.0) if cirrhosis > 0.7 else 0.0,
    )


def paint_liver(
    labels: Labels,
    shape: LiverShape,
    trunk_depth_mm: Field,
    dome_z_mm: float,
    grid: Grid,
    textures: Textures,
) -> Liver:
    """Paint liver, gallbladder, and ascites or diaphragm; return the liver."""
    gallbladder_mm = _outside_gallbladder_mm(shape, grid)
    depth_mm = _smooth_depth_mm(shape, dome_z_mm, grid)
    depth_mm = np.minimum(depth_mm, gallbladder_mm - 1)
    depth_mm = np.minimum(depth_mm, np.minimum(trunk_depth_mm - 3, 60)[None])
    depth_mm += _COARSE_MM * textures.coarse
    depth_mm += shape.nodules_mm * textures.nodular
    inside = depth_mm > 0
    if shape.ascites_mm > _LEAST_ASCITES_MM:
        wet = np.isin(labels, (Tissue.VISCERAL_FAT, Tissue.LUNG, Tissue.BOWEL))
        wet &= (depth_mm > -shape.ascites_mm) & ~inside & (trunk_depth_mm > 0.5)[None]
        labels[wet] = Tissue.ASCITES
    else:
        labels[(depth_mm > -_DIAPHRAGM_MM) & ~inside & (labels == Tissue.LUNG)] = Tissue.MUSCLE
    labels[(gallbladder_mm < 0) & (trunk_depth_mm > 2)[None]] = Tissue.GALLBLADDER
    kept = (Tissue.VENA_CAVA, Tissue.GALLBLADDER, Tissue.AORTA, Tissue.BONE)
    inside &= ~np.isin(labels, kept)
    labels[inside] = Tissue.LIVER
    return Liver(depth_mm, inside)


def _smooth_depth_mm(shape: LiverShape, dome_z_mm: float, grid: Grid) -> Field:
    """Return the depth below the surface of both lobes, with the hollow for what lies behind."""
    right = 1 - ellipsoid(grid, shape.right_centre, shape.right_axes_mm)
    left = 1 - ellipsoid(grid, shape.left_centre, shape.left_axes_mm)
    right_mm = right * np.float32(shape.right_axes_mm.mean() / 2)
    lobes_mm = smooth_maximum(right_mm, left * 18, 8.0)
    hollow_mm = (ellipsoid(grid, (-8, 66, dome_z_mm - 30), (52, 46, 70)) - 1) * 24
    return -smooth_maximum(-lobes_mm, -hollow_mm, 11.0)


def _outside_gallbladder_mm(shape: LiverShape, grid: Grid) -> Field:
    radius_mm = shape.gallbladder_mm
    axes_mm = (radius_mm, radius_mm * 1.2, radius_mm * 1.6)
    form = ellipsoid(grid, shape.gallbladder_centre, axes_mm)
    return np.asarray((form - 1) * (radius_mm / 2))
