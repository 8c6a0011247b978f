"""The visible traits of a patient's tumour and liver, and the tendencies behind them."""

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

# How much of a trait's tendency is the aggressiveness that all share. In the order of drawing.
_LOADINGS = {
    "log_diameter": 0.45,
    "irregularity": 0.35,
    "rim": 0.30,
    "corona": 0.30,
    "washout": 0.15,
    "capsule_gaps": 0.25,
    "necrosis": 0.45,
    "mosaic": 0.30,
    "satellites": 0.30,
    "cirrhosis": 0.0,
    "vessel_nearness": 0.15,
    "infiltration": 0.35,
}
# Large tumours are more often necrotic.
_NECROSIS_OF_SIZE = 0.35
_MEDIAN_DIAMETER_MM = 40
_LEAST_DIAMETER_MM, _MOST_DIAMETER_MM = 14, 112
# The shares of patients with no satellite, at most one, two and three; none has more than four.
_AT_MOST_SATELLITES = (0.60, 0.78, 0.89, 0.96)
_SECOND_TUMOUR = 0.10


@dataclass(frozen=True)
class Traits:
    """What can be seen of one patient's tumour and liver.

    Attributes
    ----------
    log_diameter : float
        Natural logarithm of the diameter in mm, which is 14 to 112.
    irregularity : float
        Of the surface, 0 to 1: waves on it, and buds out of it.
    rim : float
        Arterial enhancement of the edge and not of the whole, 0 to 1.
    corona : float
        Arterial enhancement of the liver around the tumour, 0 to 1.
    washout : float
        Loss of contrast against the liver after the arterial phase, 0 to 1.
    capsule_gaps : float
        How little of the surface a capsule covers, 0 to 1.
    necrosis : float
        Share of the tumour, 0 to 0.5.
    mosaic : float
        Unevenness inside the tumour, 0 to 1.
    satellites : int
        Nodules close to the tumour, 0 to 4.
    cirrhosis : float
        Of the liver, 0 to 1.
    vessel_nearness : float
        1 reaches a large vessel, 0 keeps 2 cm away.
    infiltration : float
        How ragged and wide the border is, 0 to 1.
    second_tumour : bool
        Whether there is another one further away.
    """

    log_diameter: float
    irregularity: float
    rim: float
    corona: float
    washout: float
    capsule_gaps: float
    necrosis: float
    mosaic: float
    satellites: int
    cirrhosis: float
    vessel_nearness: float
    infiltration: float
    second_tumour: bool

    @property
    def radius_mm(self) -> float:
        """Mean radius of the tumour."""
        return math.exp(self.log_diameter) / 2


def draw_traits(case_mix: Mapping[str, float], rng: np.random.Generator) -> Traits:
    """Draw one patient's traits; a case mix moves the tendencies that it names."""
    tendencies = _draw_tendencies(case_mix, rng)
    # Among many patients a level lies evenly between 0 and 1.
    level = {name: _normal_distribution(value) for name, value in tendencies.items()}
    log_diameter = math.log(_MEDIAN_DIAMETER_MM) + 0.45 * tendencies["log_diameter"]
    largest = min(log_diameter, math.log(_MOST_DIAMETER_MM))
    return Traits(
        log_diameter=max(largest, math.log(_LEAST_DIAMETER_MM)),
        irregularity=level["irregularity"] ** 1.3,
        rim=_beyond(0.45, 0.55, level["rim"]),
        corona=_beyond(0.40, 0.60, level["corona"]),
        washout=level["washout"],
        capsule_gaps=level["capsule_gaps"],
        necrosis=0.50 * _beyond(0.35, 0.65, level["necrosis"]) ** 1.3,
        mosaic=level["mosaic"],
        satellites=bisect_right(_AT_MOST_SATELLITES, level["satellites"]),
        cirrhosis=level["cirrhosis"],
        vessel_nearness=level["vessel_nearness"],
        infiltration=_beyond(0.30, 0.70, level["infiltration"]),
        second_tumour=rng.random() < _SECOND_TUMOUR,
    )


def _draw_tendencies(case_mix: Mapping[str, float], rng: np.random.Generator) -> dict[str, float]:
    """Draw a standard normal number for each trait, but for what the case mix adds."""
    aggressiveness = rng.standard_normal()
    tendencies = {}
    for name, loading in _LOADINGS.items():
        own = math.sqrt(1 - loading * loading) * rng.standard_normal()
        tendencies[name] = loading * aggressiveness + own + case_mix.get(name, 0.0)
    necrosis = tendencies["necrosis"] + _NECROSIS_OF_SIZE * tendencies["log_diameter"]
    # The two tendencies share the aggressiveness, and so the product of their loadings.
    shared = 2 * _NECROSIS_OF_SIZE * _LOADINGS["necrosis"] * _LOADINGS["log_diameter"]
    tendencies["necrosis"] = necrosis / math.sqrt(1 + _NECROSIS_OF_SIZE**2 + shared)
    return tendencies


def _normal_distribution(value: float) -> float:
    return 0.5 * (1.0 + math.erf(value / math.sqrt(2.0)))


def _beyond(threshold: float, width: float, level: float) -> float:
    """Return 0 up to a threshold, and from there a ramp that rises by 1 in a width."""
    return max(0.0, level - threshold) / width
