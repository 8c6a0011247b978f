"""Tissues, and what each measures in each phase."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from shared.tasks import Phase
from simulation.cohort.settings import ContrastSettings


class Tissue(IntEnum):
    """Labels of the anatomy; the numbers index `attenuation_hu`."""

    AIR = 0
    SKIN = 1
    SUBCUTANEOUS_FAT = 2
    MUSCLE = 3
    VISCERAL_FAT = 4
    LUNG = 5
    CORTICAL_BONE = 6
    SPONGY_BONE = 7
    DISC = 8
    SPINAL_CANAL = 9
    LIVER = 10
    PORTAL_VEIN = 11
    HEPATIC_VEIN = 12
    GALLBLADDER = 13
    SPLEEN = 14
    KIDNEY_CORTEX = 15
    KIDNEY_MEDULLA = 16
    PANCREAS = 17
    GUT_WALL = 18
    GUT_FLUID = 19
    GAS = 20
    AORTA = 21
    VENA_CAVA = 22
    HEART = 23
    TABLE = 24


# What does not take up contrast medium, in HU.
_PLAIN_HU: dict[Tissue, float] = {
    Tissue.AIR: -1000,
    Tissue.SKIN: 5,
    Tissue.SUBCUTANEOUS_FAT: -108,
    Tissue.VISCERAL_FAT: -98,
    Tissue.LUNG: -840,
    Tissue.CORTICAL_BONE: 520,
    Tissue.SPONGY_BONE: 190,
    Tissue.DISC: 85,
    Tissue.SPINAL_CANAL: 28,
    Tissue.GALLBLADDER: 8,
    Tissue.GUT_FLUID: 18,
    Tissue.GAS: -930,
    Tissue.TABLE: -780,
}

# Before contrast medium, then early and late in each phase, in HU.
_ENHANCING_HU: dict[Tissue, tuple[float, dict[Phase, tuple[float, float]]]] = {
    tissue: (plain, {"arterial": arterial, "portal_venous": venous, "delayed": delayed})
    for tissue, plain, arterial, venous, delayed in (
        (Tissue.MUSCLE, 55, (58, 60), (66, 66), (66, 65)),
        (Tissue.LIVER, 55, (60, 76), (112, 104), (97, 84)),
        (Tissue.PORTAL_VEIN, 42, (75, 150), (182, 152), (128, 103)),
        (Tissue.HEPATIC_VEIN, 42, (52, 84), (168, 150), (126, 101)),
        (Tissue.SPLEEN, 46, (112, 132), (126, 114), (104, 88)),
        (Tissue.KIDNEY_CORTEX, 33, (165, 190), (188, 174), (150, 124)),
        (Tissue.KIDNEY_MEDULLA, 33, (50, 76), (132, 168), (156, 130)),
        (Tissue.PANCREAS, 40, (90, 112), (96, 86), (76, 66)),
        (Tissue.GUT_WALL, 40, (62, 76), (86, 82), (74, 68)),
        (Tissue.AORTA, 42, (330, 235), (166, 142), (124, 101)),
        (Tissue.VENA_CAVA, 42, (62, 104), (142, 144), (122, 101)),
        (Tissue.HEART, 42, (250, 195), (158, 138), (120, 100)),
    )
}


def lateness(contrast: ContrastSettings, phase: Phase) -> float:
    """Return how late an institution takes a phase, 0 early to 1 late."""
    return {
        "arterial": contrast.arterial_delay,
        "portal_venous": contrast.venous_delay,
        "delayed": contrast.delayed_delay,
    }[phase]


def attenuation_hu(phase: Phase, late: float, dose: float, liver_hu: float) -> NDArray[np.float32]:
    """Return each tissue's attenuation, indexed by `Tissue`, shape (len(Tissue),).

    Parameters
    ----------
    phase : str
    late : float
        0 early to 1 late within the phase.
    dose : float
        Iodine relative to the usual; scales what contrast medium adds.
    liver_hu : float
        The patient's liver relative to a normal one: fat makes it negative.
    """
    table = np.zeros(len(Tissue), dtype=np.float32)
    for tissue, plain in _PLAIN_HU.items():
        table[tissue] = plain
    for tissue, (plain, phases) in _ENHANCING_HU.items():
        early_hu, late_hu = phases[phase]
        table[tissue] = plain + dose * (early_hu + late * (late_hu - early_hu) - plain)
    table[Tissue.LIVER] += liver_hu
    return table
