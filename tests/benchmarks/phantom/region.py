"""What a tumour does to the voxels around it: which of them it fills, and how they look."""

from dataclasses import dataclass

import numpy as np

from tests.benchmarks.phantom.anatomy import Body, Tissue
from tests.benchmarks.phantom.arrays import Array, Box, Field, Labels, Mask, logistic
from tests.benchmarks.phantom.contrast import ARTERIAL, CAPSULE, HALO, WASHOUT, Moment
from tests.benchmarks.phantom.grid import Grid, ellipsoid
from tests.benchmarks.phantom.traits import Traits
from tests.benchmarks.phantom.tumour import Tumour

_EDGE_MM = 0.7
_CORE_EDGE_MM = 1.2
_HALO_MM = 6
_CAPSULE_MM = 1.6
# Where there is no satellite: further from its edge than the soft edge reaches.
_FAR_MM = 99
_CORE_HU = 24
_BELOW_LIVER_HU = 7


@dataclass(frozen=True)
class Region:
    """A box around a tumour; arrays have the box's shape.

    Attributes
    ----------
    box : tuple of slice
        Slices (z, y, x) of the volume.
    voxels : numpy.ndarray
        True where the mask says tumour, satellites included.
    solid, satellite : numpy.ndarray
        Share of the voxel in the tumour, and in a satellite.
    core : numpy.ndarray
        Share of the tumour in the voxel that is necrotic.
    halo, capsule : numpy.ndarray
        Strength in the liver around the tumour and at its edge, 0 to 1.
    texture : numpy.ndarray
        A smooth random field of mean 0 and variance 1.
    """

    box: Box
    voxels: Mask
    solid: Array
    satellite: Array
    core: Array
    halo: Array
    capsule: Array
    texture: Field


def locate(
    tumour: Tumour, labels: Labels, body: Body, grid: Grid, rng: np.random.Generator
) -> Region:
    """Return what a tumour does to the voxels around it, and draw its texture."""
    radius_mm = tumour.shape.radius_mm
    box = grid.around(tumour.centre, radius_mm * 1.45 + 34)
    near, tissue = grid.crop(box), labels[box]
    from_centre_mm, surface_mm = _distances(tumour, near)
    outside_mm = from_centre_mm - surface_mm
    satellite_mm = _outside_satellites(tumour, near)
    allowed = _may_hold_tumour(tissue, body, near)
    liver = np.isin(tissue, (Tissue.LIVER, Tissue.LIVER_VESSEL)).astype(np.float32)
    texture = grid.smooth_field(near.shape, rng.uniform(6, 11), rng)
    core: Array = np.zeros_like(outside_mm)
    if tumour.traits.core > 0:
        core_mm = (from_centre_mm / surface_mm - tumour.traits.core) * radius_mm
        core = _share_within(core_mm + 0.25 * radius_mm * 0.3 * texture, _CORE_EDGE_MM)
    return Region(
        box=box,
        voxels=(np.minimum(outside_mm, satellite_mm) < 0) & allowed,
        solid=_share_within(outside_mm, _EDGE_MM) * allowed,
        satellite=_share_within(satellite_mm, _EDGE_MM) * allowed,
        core=core,
        halo=np.where(outside_mm > 0, np.exp(-((outside_mm / _HALO_MM) ** 2)), 0) * liver,
        capsule=np.exp(-(((outside_mm + 0.5) / _CAPSULE_MM) ** 2)) * liver,
        texture=texture,
    )


def _distances(tumour: Tumour, near: Grid) -> tuple[Array, Array]:
    """Return how far from the centre each voxel lies, and the surface on the way to it, in mm."""
    x, y, z = near.offsets(tumour.centre)
    from_centre_mm = np.sqrt(x**2 + y**2 + z**2) + 1e-3
    direction = [offset / from_centre_mm for offset in (x, y, z)]
    return from_centre_mm, tumour.shape.surface_mm(direction)


def _outside_satellites(tumour: Tumour, near: Grid) -> Array:
    """Return how far each voxel lies outside the nearest satellite, mm; negative inside."""
    outside_mm: Array = np.full(near.shape, _FAR_MM, dtype=np.float32)
    for satellite in tumour.satellites:
        x, y, z = near.offsets(satellite.centre)
        distance_mm = np.sqrt(x**2 + y**2 + z**2) - satellite.radius_mm
        outside_mm = np.minimum(outside_mm, distance_mm)
    return outside_mm


def _may_hold_tumour(tissue: Labels, body: Body, near: Grid) -> Mask:
    """Return where a tumour can be: in the liver, and a little beyond the right lobe's edge."""
    soft = (Tissue.LIVER, Tissue.LIVER_VESSEL, Tissue.VISCERAL_FAT, Tissue.VENA_CAVA)
    in_lobe = ellipsoid(near, body.liver_centre, body.liver_axes * 1.07) < 1
    return np.asarray(np.isin(tissue, soft) & (in_lobe | (tissue == Tissue.LIVER)))


def _share_within(outside_mm: Array, edge_mm: float) -> Field:
    """Return how much of a voxel a soft edge encloses, from how far outside it the centre lies."""
    return logistic(-np.clip(outside_mm / edge_mm, -30, 30)).astype(np.float32)


def paint_tumour(volume_hu: Field, region: Region, traits: Traits, moment: Moment) -> None:
    """Give a tumour and the liver around it their attenuation at a moment."""
    dose = moment.dose
    arterial_hu = dose * traits.arterial_hu * moment.share(ARTERIAL)
    washout_hu = dose * traits.washout_hu * moment.share(WASHOUT)
    base_hu = moment.table_hu[Tissue.LIVER] - _BELOW_LIVER_HU
    texture_hu = traits.texture_hu * (0.6 + 0.4 * moment.share(ARTERIAL)) * region.texture
    living_hu = base_hu + arterial_hu - washout_hu + texture_hu
    necrotic_hu = _CORE_HU + 0.3 * traits.texture_hu * region.texture
    solid_hu = living_hu * (1 - region.core) + necrotic_hu * region.core
    satellite_hu = base_hu + 0.8 * arterial_hu - 0.8 * washout_hu
    part = volume_hu[region.box]
    part += dose * traits.halo_hu * moment.share(HALO) * region.halo * (1 - region.solid)
    part += region.solid * (solid_hu - part)
    part += region.satellite * (1 - region.solid) * (satellite_hu - part)
    part += dose * traits.capsule_hu * moment.share(CAPSULE) * region.capsule
