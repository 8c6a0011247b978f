"""From traits to risk, and from risk, by chance, to what happens to a patient.

Death and recurrence are Weibull times of one shape. Recurrence-free survival, the shorter of the
two, is then a Weibull time too, and its true log hazard is known exactly.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from tests.benchmarks.cirrhotic.traits import Traits


@dataclass(frozen=True)
class Weights:
    """What one trait counts.

    Attributes
    ----------
    mean, spread : float
        Of the trait among many patients; the weights are of one such spread.
    death, recurrence : float
        In the log hazard.
    mvi : float
        In the logit of microvascular invasion.
    """

    mean: float
    spread: float
    death: float
    recurrence: float
    mvi: float


# Of satellites, the square root of their number counts.
_WEIGHTS = {
    "log_diameter": Weights(3.72, 0.45, 0.60, 0.30, 0.50),
    "irregularity": Weights(0.435, 0.30, 0.20, 0.36, 0.75),
    "rim": Weights(0.275, 0.325, 0.36, 0.10, 0.60),
    "corona": Weights(0.30, 0.335, 0.08, 0.36, 0.75),
    "washout": Weights(0.5, 0.29, 0.10, 0.20, 0.20),
    "capsule_gaps": Weights(0.5, 0.29, 0.16, 0.36, 0.50),
    "necrosis": Weights(0.143, 0.159, 0.36, 0.0, 0.12),
    "mosaic": Weights(0.5, 0.29, 0.12, 0.26, 0.25),
    "satellites": Weights(0.55, 0.69, 0.34, 0.52, 0.30),
    "cirrhosis": Weights(0.5, 0.29, 0.70, 0.16, 0.0),
    "vessel_nearness": Weights(0.5, 0.29, 0.12, 0.16, 0.22),
    "infiltration": Weights(0.35, 0.325, 0.24, 0.14, 0.30),
    "second_tumour": Weights(0.10, 0.30, 0.16, 0.12, 0.0),
}
_DEATH_GAIN, _RECURRENCE_GAIN, _MVI_GAIN = 0.86, 0.68, 0.89
_MVI_INTERCEPT = -0.75

# Standard deviations of what no image shows; that of recurrence has a part in common with death's.
_DEATH_UNSEEN, _RECURRENCE_UNSEEN, _MVI_UNSEEN = 0.50, 0.55, 0.75
_UNSEEN_IN_COMMON = 0.4
# What microvascular invasion adds to the log hazards, beyond its probability.
_MVI_IN_DEATH, _MVI_IN_RECURRENCE = 0.30, 0.40
_SITE_IN_RECURRENCE = 0.5

_WEIBULL_SHAPE = 1.2
# Medians of the two times at a log hazard of 0.
_DEATH_MONTHS, _RECURRENCE_MONTHS = 56.0, 60.0
_FOLLOWED_MONTHS = (20.0, 108.0)
_LOST_MONTHS = 200.0
_SHORTEST_MONTHS = 0.1
_MVI_UNKNOWN = 0.05


@dataclass(frozen=True)
class Score:
    """What the traits say of a patient: two log hazards and a logit."""

    death: float
    recurrence: float
    mvi: float


@dataclass(frozen=True)
class Outcome:
    """What happens to one patient, and the true risk of it.

    Attributes
    ----------
    mvi : int or None
        Microvascular invasion, 0 or 1; None where nobody looked.
    rfs_months, os_months : float
    rfs_event, os_event : int
        1 where the event was seen, 0 where the patient was censored.
    os_log_hazard, rfs_log_hazard : float
        Each relative to a patient with log hazards of 0.
    mvi_probability : float
    """

    mvi: int | None
    rfs_months: float
    rfs_event: int
    os_months: float
    os_event: int
    os_log_hazard: float
    rfs_log_hazard: float
    mvi_probability: float


def score(traits: Traits) -> Score:
    """Return what traits say of a patient: sums, and bends and products less their means."""
    standard = _standardised(traits)
    size, cirrhosis = standard["log_diameter"], standard["cirrhosis"]
    death = sum(weights.death * standard[name] for name, weights in _WEIGHTS.items())
    necrotic_rim = standard["rim"] * standard["necrosis"] - 0.15
    death += 0.16 * size * cirrhosis + 0.10 * necrotic_rim
    death += 0.50 * (max(0.0, traits.cirrhosis - 0.75) / 0.25 - 0.125)
    recurrence = sum(weights.recurrence * standard[name] for name, weights in _WEIGHTS.items())
    recurrence += 0.10 * (standard["satellites"] * size - 0.12)
    bent = {**standard, "log_diameter": 1.5 * math.tanh(size / 1.5)}
    mvi = sum(weights.mvi * bent[name] for name, weights in _WEIGHTS.items())
    irregular_corona = standard["irregularity"] * standard["corona"] - 0.10
    mvi += 0.25 * irregular_corona + 0.60 * (float(traits.irregularity > 0.65) - 0.28)
    return Score(_DEATH_GAIN * death, _RECURRENCE_GAIN * recurrence, _MVI_GAIN * mvi)


def draw_outcome(traits: Traits, site_log_hazard: float, rng: np.random.Generator) -> Outcome:
    """Draw what happens to a patient of a site."""
    seen = score(traits)
    unseen = rng.standard_normal(3)
    probability = 1.0 / (1.0 + math.exp(-(_MVI_INTERCEPT + seen.mvi + _MVI_UNSEEN * unseen[0])))
    mvi = rng.random() < probability
    surprise = mvi - probability
    own = math.sqrt(1 - _UNSEEN_IN_COMMON**2) * unseen[2]
    death = seen.death + _DEATH_UNSEEN * unseen[1] + _MVI_IN_DEATH * surprise + site_log_hazard
    recurrence = (
        seen.recurrence
        + _RECURRENCE_UNSEEN * (_UNSEEN_IN_COMMON * unseen[1] + own)
        + _MVI_IN_RECURRENCE * surprise
        + _SITE_IN_RECURRENCE * site_log_hazard
    )
    death_hazard = _hazard(death, _DEATH_MONTHS)
    recurrence_hazard = _hazard(recurrence, _RECURRENCE_MONTHS)
    death_months = _draw_months(death_hazard, rng)
    either_months = min(death_months, _draw_months(recurrence_hazard, rng))
    followed = min(rng.uniform(*_FOLLOWED_MONTHS), rng.exponential(_LOST_MONTHS))
    average = _hazard(0, _DEATH_MONTHS) + _hazard(0, _RECURRENCE_MONTHS)
    return Outcome(
        mvi=None if rng.random() < _MVI_UNKNOWN else int(mvi),
        rfs_months=_seen_months(either_months, followed),
        rfs_event=int(either_months <= followed),
        os_months=_seen_months(death_months, followed),
        os_event=int(death_months <= followed),
        os_log_hazard=death,
        rfs_log_hazard=math.log(death_hazard + recurrence_hazard) - math.log(average),
        mvi_probability=probability,
    )


def _standardised(traits: Traits) -> Mapping[str, float]:
    values = {**asdict(traits), "satellites": math.sqrt(traits.satellites)}
    return {
        name: (values[name] - weights.mean) / weights.spread for name, weights in _WEIGHTS.items()
    }


def _hazard(log_hazard: float, median_months: float) -> float:
    """Return the factor of months**shape in a Weibull time's cumulative hazard."""
    average: float = math.log(2.0) / median_months**_WEIBULL_SHAPE
    return average * math.exp(log_hazard)


def _draw_months(hazard: float, rng: np.random.Generator) -> float:
    return float((rng.exponential() / hazard) ** (1 / _WEIBULL_SHAPE))


def _seen_months(months: float, followed: float) -> float:
    return max(_SHORTEST_MONTHS, round(min(months, followed), 1))
