"""The abdomen around a tumour, phase by phase: tissues, their textures, and the liver's veins."""

import math
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.cirrhotic.anatomy import Textures, Tissue
from tests.benchmarks.cirrhotic.contrast import Uptake
from tests.benchmarks.phantom.arrays import Field, Labels, Mask

# How well each phase shows nodules in the liver.
_NODULES_SEEN = (0.55, 1.0, 0.9)
# An arterial spleen is mottled.
_MOTTLES_HU = (16, 0, 0)


@dataclass(frozen=True)
class Background:
    """What all phases of one patient have in common; arrays are (D, H, W).

    Attributes
    ----------
    labels : numpy.ndarray
        Of `anatomy.Tissue`.
    unevenness_hu : numpy.ndarray
        Of all but the liver.
    nodules_hu : float
        Standard deviation of the liver, about.
    nodules : numpy.ndarray
        The liver's texture, 0 elsewhere.
    mottles : numpy.ndarray
        The spleen's texture, 0 elsewhere.
    portal, hepatic : numpy.ndarray
        How much of a voxel is vein, in the liver alone.
    """

    labels: Labels
    unevenness_hu: Field
    nodules_hu: float
    nodules: Field
    mottles: Field
    portal: Field
    hepatic: Field

    def at(self, phase: int, uptake: Uptake) -> Field:
        """Return the attenuation of each voxel in a phase."""
        volume_hu: Field = uptake.table_hu[phase][self.labels]
        volume_hu += self.unevenness_hu + self.nodules * (self.nodules_hu * _NODULES_SEEN[phase])
        volume_hu += np.float32(uptake.portal_hu[phase]) * self.portal
        volume_hu += np.float32(uptake.hepatic_hu[phase]) * self.hepatic
        volume_hu += _MOTTLES_HU[phase] * self.mottles
        return volume_hu


def draw_background(
    labels: Labels,
    liver: Mask,
    veins: tuple[Field, Field],
    textures: Textures,
    cirrhosis: float,
    rng: np.random.Generator,
) -> Background:
    """Draw how uneven a liver is: the more cirrhosis, the more.

    Parameters
    ----------
    labels : numpy.ndarray
        Of `anatomy.Tissue`, (D, H, W).
    liver : numpy.ndarray
        True in the liver and in the tumour, (D, H, W).
    veins : tuple of numpy.ndarray
        How much of a voxel is portal, and how much is hepatic vein, (D, H, W) each.
    textures : Textures
    cirrhosis : float
    rng : numpy.random.Generator
    """
    share = liver.astype(np.float32)
    unevenness_hu = textures.coarse * 3 + textures.grainy * 5
    portal, hepatic = veins
    return Background(
        labels=labels,
        unevenness_hu=unevenness_hu * (1 - share),
        nodules_hu=(1.0 + 7.5 * cirrhosis**1.3) * math.exp(0.18 * rng.standard_normal()),
        nodules=share * (textures.nodular * 0.8 + textures.grainy * 0.6),
        mottles=textures.nodular * (labels == Tissue.SPLEEN),
        portal=portal * share,
        hepatic=hepatic * share,
    )
