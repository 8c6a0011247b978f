"""How much contrast medium each phase shows, and what the tissues then measure."""

from dataclasses import dataclass

import numpy as np

from tests.benchmarks.cirrhotic.anatomy import Tissue
from tests.benchmarks.cirrhotic.sites import Site
from tests.benchmarks.phantom.arrays import Field, Vector

_PLAIN_HU = {
    Tissue.AIR: (-1000, -1000, -1000),
    Tissue.SUBCUTANEOUS_FAT: (-105, -105, -105),
    Tissue.MUSCLE: (56, 62, 64),
    Tissue.VISCERAL_FAT: (-98, -98, -98),
    Tissue.LUNG: (-840, -840, -840),
    Tissue.ASCITES: (9, 9, 9),
    Tissue.GAS: (-900, -900, -900),
    Tissue.STOMACH: (18, 18, 18),
    Tissue.GALLBLADDER: (8, 8, 8),
    Tissue.BONE: (210, 220, 215),
}
# At an uptake of 1; without any, these measure 40 HU.
_ENHANCING_HU = {
    Tissue.SPLEEN: (122, 118, 94),
    Tissue.AORTA: (310, 152, 112),
    Tissue.VENA_CAVA: (95, 135, 112),
    Tissue.KIDNEY: (165, 185, 155),
    Tissue.PORTAL_VEIN: (110, 172, 118),
    Tissue.BOWEL: (48, 70, 66),
}
_NATIVE_HU = 40


@dataclass(frozen=True)
class Uptake:
    """What one patient's tissues measure in each phase.

    Attributes
    ----------
    strength : numpy.ndarray
        Of enhancement, relative to the average, shape (3,).
    liver_hu : numpy.ndarray
        Shape (3,).
    portal_hu, hepatic_hu : numpy.ndarray
        What the two kinds of veins measure more than the liver around them, shape (3,).
    table_hu : numpy.ndarray
        Each tissue, indexed by phase and `anatomy.Tissue`, shape (3, 17), float32.
    """

    strength: Vector
    liver_hu: Vector
    portal_hu: Vector
    hepatic_hu: Vector
    table_hu: Field


def draw_uptake(site: Site, cirrhosis: float, rng: np.random.Generator) -> Uptake:
    """Draw how strong a patient's phases are; a cirrhotic liver takes up less."""
    strength = site.dose * np.array(
        [
            np.clip(mean + spread * rng.standard_normal(), least, most)
            for mean, spread, least, most in (
                (site.arterial_strength, 0.11, 0.6, 1.3),
                (1, 0.06, 0.8, 1.2),
                (1, 0.08, 0.75, 1.2),
            )
        ]
    )
    arterial, portal, delayed = strength
    native_liver_hu = rng.normal(56, 5)
    liver_hu = native_liver_hu + strength * [11, 53 - 8 * cirrhosis, 36 - 3 * cirrhosis]
    late = rng.uniform(0.3, 1.0)
    table_hu = np.zeros((3, len(Tissue)), dtype=np.float32)
    for tissue, plain_hu in _PLAIN_HU.items():
        table_hu[:, tissue] = plain_hu
    for tissue, enhanced_hu in _ENHANCING_HU.items():
        table_hu[:, tissue] = _NATIVE_HU + (np.array(enhanced_hu) - _NATIVE_HU) * strength
    table_hu[:, Tissue.LIVER] = liver_hu
    return Uptake(
        strength=strength,
        liver_hu=liver_hu,
        portal_hu=np.array(
            [70 * late * arterial - 10, 172 * portal - liver_hu[1] + 10, 30 * delayed]
        ),
        hepatic_hu=np.array([-3.0, 48 * portal, 27 * delayed]),
        table_hu=table_hu,
    )
