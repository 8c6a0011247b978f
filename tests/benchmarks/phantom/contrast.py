"""Attenuation over time: what each tissue and each sign measures after the injection."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.phantom.anatomy import Tissue
from tests.benchmarks.phantom.arrays import Field

# All curves are given at these times and are straight between them.
_TIMES_SECONDS = (0, 20, 35, 70, 180, 300)
_ENHANCING_HU = {
    Tissue.MUSCLE: (50, 52, 55, 62, 65, 64),
    Tissue.AORTA: (40, 220, 320, 170, 125, 105),
    Tissue.VENA_CAVA: (40, 45, 80, 150, 125, 105),
    Tissue.SPLEEN: (45, 75, 115, 122, 105, 92),
    Tissue.LIVER: (55, 58, 68, 112, 98, 88),
    Tissue.LIVER_VESSEL: (42, 50, 95, 172, 128, 104),
}
_PLAIN_HU = {
    Tissue.AIR: -1000,
    Tissue.SUBCUTANEOUS_FAT: -105,
    Tissue.VISCERAL_FAT: -75,
    Tissue.LUNG: -840,
    Tissue.BONE: 420,
    Tissue.MARROW: 190,
    Tissue.STOMACH: 20,
}

# How much of a sign is there: 1 where the trait that measures it is defined.
ARTERIAL = (0, 0.4, 1, 0.35, 0.1, 0.05)
WASHOUT = (0, 0, 0, 0.6, 1, 1.1)
HALO = (0, 0.5, 1, 0.45, 0.15, 0.1)
CAPSULE = (0, 0, 0.1, 0.5, 1, 1.1)

_NATIVE_LIVER_SPREAD_HU = 6
_TIMING_SPREAD = 0.07


@dataclass(frozen=True)
class Uptake:
    """How one patient differs from the average in all phases.

    Attributes
    ----------
    liver_hu : float
        What the liver measures more than the average; fat makes it less.
    dose : float
        Of contrast medium, relative to the average.
    """

    liver_hu: float
    dose: float


@dataclass(frozen=True)
class Moment:
    """A moment in one patient.

    Attributes
    ----------
    seconds : float
        After the injection.
    dose : float
        Of contrast medium, relative to the average.
    table_hu : numpy.ndarray
        Attenuation of each tissue, indexed by `Tissue`, float32.
    """

    seconds: float
    dose: float
    table_hu: Field

    def share(self, curve: Sequence[float]) -> float:
        """Return a curve's value at the moment."""
        return _at(self.seconds, curve)


def draw_uptake(rng: np.random.Generator) -> Uptake:
    """Draw how a patient's liver looks without contrast medium, and the dose."""
    return Uptake(rng.normal(0, _NATIVE_LIVER_SPREAD_HU), rng.uniform(0.85, 1.15))


def draw_moment(mean_seconds: float, uptake: Uptake, rng: np.random.Generator) -> Moment:
    """Draw when a phase is taken, and return what the tissues measure then."""
    seconds = float(mean_seconds * np.exp(rng.normal(0, _TIMING_SPREAD)))
    table_hu = np.zeros(len(Tissue), dtype=np.float32)
    for tissue, plain_hu in _PLAIN_HU.items():
        table_hu[tissue] = plain_hu
    for tissue, curve in _ENHANCING_HU.items():
        table_hu[tissue] = curve[0] + uptake.dose * (_at(seconds, curve) - curve[0])
    table_hu[Tissue.LIVER] += uptake.liver_hu
    return Moment(seconds, uptake.dose, table_hu)


def _at(seconds: float, curve: Sequence[float]) -> float:
    return float(np.interp(seconds, _TIMES_SECONDS, curve))
