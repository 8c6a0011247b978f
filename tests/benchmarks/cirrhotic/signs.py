"""What a tumour looks like: contrast, mosaic, rim, capsule, corona and necrosis, phase by phase."""

import math
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.cirrhotic.contrast import Uptake
from tests.benchmarks.cirrhotic.space import smooth_field, soft_step
from tests.benchmarks.cirrhotic.traits import Traits
from tests.benchmarks.cirrhotic.tumour import Tumour
from tests.benchmarks.phantom.arrays import Array, Field, Mask, Vector

_NECROTIC_SHARE_SEEN = 0.015
_NECROTIC_VOXELS = 60
_MOST_NECROTIC = 0.65
_LEAST_CAPSULE = 0.03
_CORONA_MM = 8


@dataclass(frozen=True)
class Sign:
    """Something to see in and around a tumour.

    Attributes
    ----------
    share : numpy.ndarray
        How much of it is in a voxel, shape of the tumour's box.
    hu : numpy.ndarray
        What a voxel full of it measures, or measures more, in each phase, shape (3,).
    """

    share: Array
    hu: Vector

    def at(self, phase: int) -> Array:
        """Return what each voxel measures more in a phase."""
        return np.float32(self.hu[phase]) * self.share


@dataclass(frozen=True)
class Signs:
    """All that can be seen of a tumour.

    Attributes
    ----------
    contrast_hu : numpy.ndarray
        What it measures more than the liver in each phase, shape (3,).
    mosaic, rim : Sign
        Added to the tumour.
    necrosis : Sign
        Put in the tumour's place.
    capsule, corona : Sign
        Added to tumour and liver.
    """

    contrast_hu: Vector
    mosaic: Sign
    rim: Sign
    capsule: Sign
    corona: Sign
    necrosis: Sign


def draw_signs(traits: Traits, tumour: Tumour, uptake: Uptake, rng: np.random.Generator) -> Signs:
    """Draw what a tumour with these traits looks like."""
    near, radius_mm = tumour.grid, tumour.radius_mm
    contrast_hu = _draw_contrast(traits, uptake, rng)
    mosaic = _draw_mosaic(traits, tumour, uptake, rng)
    rim = _draw_rim(traits, tumour, uptake, rng)
    # Where around the tumour capsule and corona are; both are drawn even if there is none.
    capsule_places = smooth_field(near, max(5.0, 0.6 * radius_mm), rng)
    corona_places = smooth_field(near, max(5.0, 0.7 * radius_mm), rng)
    return Signs(
        contrast_hu=contrast_hu,
        mosaic=mosaic,
        rim=rim,
        capsule=_draw_capsule(traits, tumour, uptake, capsule_places, rng),
        corona=_draw_corona(traits, tumour, uptake, corona_places, rng),
        necrosis=_draw_necrosis(traits, tumour, rng),
    )


def paint_tumour(
    volume_hu: Field, tumour: Tumour, signs: Signs, uptake: Uptake, phase: int
) -> None:
    """Give a tumour and the liver around it their attenuation in a phase."""
    base_hu = np.float32(uptake.liver_hu[phase] + signs.contrast_hu[phase])
    tumour_hu = base_hu + signs.mosaic.at(phase)
    tumour_hu += signs.rim.at(phase)
    tumour_hu += signs.necrosis.share * (np.float32(signs.necrosis.hu[phase]) - tumour_hu)
    part = volume_hu[tumour.box]
    part += signs.corona.at(phase)
    part += tumour.share * (tumour_hu - part)
    part += signs.capsule.at(phase)


def _draw_contrast(traits: Traits, uptake: Uptake, rng: np.random.Generator) -> Vector:
    arterial_hu = np.clip(rng.normal(36, 9), 8, 60)
    washout_hu = 34 * traits.washout
    portal_hu = 8 - washout_hu + 4 * rng.standard_normal()
    delayed_hu = 0 - washout_hu + 4 * rng.standard_normal()
    contrast_hu: Vector = uptake.strength * [arterial_hu, portal_hu, delayed_hu]
    # What the rim takes up is not in the rest.
    contrast_hu[0] *= 1 - 0.50 * traits.rim
    return contrast_hu


def _draw_mosaic(traits: Traits, tumour: Tumour, uptake: Uptake, rng: np.random.Generator) -> Sign:
    width_mm = float(np.clip(0.16 * tumour.radius_mm, 2.6, 6.0))
    patches = np.tanh(1.6 * smooth_field(tumour.grid, width_mm, rng)) / 0.75
    uneven_hu = (3.0 + 20 * traits.mosaic) * math.exp(0.15 * rng.standard_normal())
    return Sign(patches, uneven_hu * (uptake.strength * [1.0, 0.85, 0.70]))


def _draw_rim(traits: Traits, tumour: Tumour, uptake: Uptake, rng: np.random.Generator) -> Sign:
    arterial_hu = 52 * traits.rim * uptake.strength[0] * math.exp(0.15 * rng.standard_normal())
    middle_mm = rng.uniform(2.0, 2.9)
    from_middle = (tumour.border_depth_mm - middle_mm) / (middle_mm * 0.8)
    return Sign(np.exp(-(from_middle**2)), arterial_hu * np.array([1.0, 0.30, 0.20]))


def _draw_capsule(
    traits: Traits, tumour: Tumour, uptake: Uptake, places: Field, rng: np.random.Generator
) -> Sign:
    covered = 1.08 - 1.15 * traits.capsule_gaps + 0.06 * rng.standard_normal()
    covered = float(np.clip(covered, 0, 1))
    surface = np.abs(tumour.depth_mm) < 3
    if covered <= _LEAST_CAPSULE or not surface.any():
        return _absent(tumour)
    there = _soft_top(places, surface, covered, sharpness=9)
    width_mm = rng.uniform(1.4, 1.9)
    shell = np.exp(-(((tumour.border_depth_mm - 0.4) / width_mm) ** 2))
    _, portal, delayed = uptake.strength
    hu = np.array([0.0, 30 * portal, 40 * delayed]) * math.exp(0.15 * rng.standard_normal())
    return Sign(shell * there * tumour.near, hu)


def _draw_corona(
    traits: Traits, tumour: Tumour, uptake: Uptake, places: Field, rng: np.random.Generator
) -> Sign:
    ring = (tumour.depth_mm < 0) & (tumour.depth_mm > -_CORONA_MM) & tumour.host
    if traits.corona == 0 or not ring.any():
        return _absent(tumour)
    there = _soft_top(places, ring, 0.25 + 0.55 * traits.corona, sharpness=6)
    fading_mm = rng.uniform(5.5, 9.0)
    fading = np.exp(np.maximum(tumour.depth_mm, -40) / fading_mm) * (tumour.depth_mm < 0)
    most_hu = uptake.strength[0] * (10 + 34 * traits.corona)
    arterial_hu = most_hu * math.exp(0.15 * rng.standard_normal())
    return Sign(fading * there * tumour.near, np.array([arterial_hu, 0, 0]))


def _draw_necrosis(traits: Traits, tumour: Tumour, rng: np.random.Generator) -> Sign:
    necrotic = traits.necrosis * math.exp(0.12 * rng.standard_normal())
    inside, radius_mm = tumour.voxels, tumour.radius_mm
    if necrotic <= _NECROTIC_SHARE_SEEN or inside.sum() <= _NECROTIC_VOXELS:
        return _absent(tumour)
    # Deep in the tumour, and uneven.
    patches = smooth_field(tumour.grid, max(3.0, 0.28 * radius_mm), rng)
    places = tumour.depth_mm / radius_mm + 0.35 * tumour.lobes + 0.28 * patches
    share = _soft_top(places, inside, min(necrotic, _MOST_NECROTIC), sharpness=radius_mm / 1.3)
    return Sign(share * inside, rng.normal(26, 4) + np.array([0, 3, 4]))


def _soft_top(values: Field, among: Mask, share: float, sharpness: float) -> Array:
    """Return about 1 where a value is in the top share among some voxels, about 0 elsewhere."""
    threshold = np.float32(np.quantile(values[among], 1 - share))
    return soft_step((values - threshold) * sharpness)


def _absent(tumour: Tumour) -> Sign:
    return Sign(np.zeros(tumour.grid.shape, dtype=np.float32), np.zeros(3))
