"""From traits to risk, and from risk, by chance, to what happens to a patient.

Death and recurrence are Weibull times of one shape. Recurrence-free survival, the shorter of the
two, is then a Weibull time too, and its true log hazard is known exactly.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pandas as pd

from tests.benchmarks.phantom.arrays import Vector, logistic
from tests.benchmarks.phantom.traits import draw_traits

# Weights of standardised traits. Their sum is stretched to the standard deviation below.
_DEATH_WEIGHTS = {
    "log_diameter": 0.55,
    "core": 0.25,
    "washout_hu": 0.25,
    "texture_hu": 0.20,
    "satellites": 0.25,
    "growth": 0.15,
    "dedifferentiation": 0.30,
    "unseen": 0.68,
}
_RECURRENCE_WEIGHTS = {
    "log_diameter": 0.35,
    "satellites": 0.35,
    "halo_hu": 0.35,
    "irregularity": 0.30,
    "arterial_hu": -0.15,
    "capsule_hu": -0.10,
    "invasion": 0.30,
    "unseen": 0.68,
}
_MVI_WEIGHTS = {
    "log_diameter": 0.35,
    "irregularity": 0.45,
    "halo_hu": 0.40,
    "capsule_hu": -0.25,
    "texture_hu": 0.15,
    "invasion": 0.35,
    "unseen_mvi": 0.72,
}
_DEATH_SPREAD = 1.36  # of the log hazard
_RECURRENCE_SPREAD = 1.15  # of the log hazard
_MVI_SPREAD = 1.9  # of the logit

# Shares of a fixed reference population, the same whatever a cohort's seed.
_DEATHS_SEEN = 0.35
_RFS_EVENTS_SEEN = 0.55
_MVI_PRESENT = 0.42
_REFERENCE_SEED = 20240
_REFERENCE_PATIENTS = 20000

_WEIBULL_SHAPE = 1.2
_WEIBULL_SCALE_MONTHS = 36
_SHORTEST_MONTHS = 0.1


@dataclass(frozen=True)
class Score:
    """A weighted sum of standardised traits.

    Attributes
    ----------
    weights : mapping of str to float
    mean, spread : pandas.Series
        Of each trait in the reference population.
    gain, intercept : float
        What the sum is multiplied by, and what is then added.
    """

    weights: Mapping[str, float]
    mean: pd.Series
    spread: pd.Series
    gain: float = 1.0
    intercept: float = 0.0

    def of(self, traits: pd.DataFrame) -> Vector:
        """Return the score of each patient, shape (N,)."""
        total = np.zeros(len(traits))
        for name, weight in self.weights.items():
            total += weight * (traits[name].to_numpy() - self.mean[name]) / self.spread[name]
        return self.intercept + self.gain * total


@dataclass(frozen=True)
class OutcomeModel:
    """The scores that decide a patient's outcome.

    Attributes
    ----------
    death, recurrence : Score
        Of which the log hazard is made.
    mvi : Score
        The logit of microvascular invasion.
    """

    death: Score
    recurrence: Score
    mvi: Score


@dataclass(frozen=True)
class Risk:
    """What decides the outcomes of N patients; arrays have the shape (N,).

    Attributes
    ----------
    death_log_hazard, recurrence_log_hazard : numpy.ndarray
        Relative to a Weibull time of scale 36 months.
    mvi_probability : numpy.ndarray
    """

    death_log_hazard: Vector
    recurrence_log_hazard: Vector
    mvi_probability: Vector

    def table(self) -> pd.DataFrame:
        """Return the columns of the cohort's truth."""
        either = np.logaddexp(self.death_log_hazard, self.recurrence_log_hazard)
        return pd.DataFrame(
            {
                "os_log_hazard": self.death_log_hazard,
                "rfs_log_hazard": either,
                "mvi_probability": self.mvi_probability,
            }
        )


@cache
def outcome_model() -> OutcomeModel:
    """Return the scores, scaled on the reference population to the shares above."""
    rng = np.random.default_rng(_REFERENCE_SEED)
    reference = draw_traits(_REFERENCE_PATIENTS, (0, 0, 0), rng)
    followed = _follow_up_months(_REFERENCE_PATIENTS, rng)
    luck = -np.log(rng.random((2, _REFERENCE_PATIENTS)))

    def stretched(weights: Mapping[str, float], spread: float) -> Score:
        score = Score(weights, reference.mean(), reference.std())
        return replace(score, gain=spread / score.of(reference).std())

    death = stretched(_DEATH_WEIGHTS, _DEATH_SPREAD)
    recurrence = stretched(_RECURRENCE_WEIGHTS, _RECURRENCE_SPREAD)
    mvi = stretched(_MVI_WEIGHTS, _MVI_SPREAD)
    death_score, recurrence_score, mvi_score = (s.of(reference) for s in (death, recurrence, mvi))

    def deaths_seen(intercept: float) -> float:
        return float((_months(luck[0], intercept + death_score) < followed).mean())

    death = replace(death, intercept=_solve(deaths_seen, _DEATHS_SEEN))
    death_months = _months(luck[0], death.of(reference))

    def rfs_events_seen(intercept: float) -> float:
        recurrence_months = _months(luck[1], intercept + recurrence_score)
        return float((np.minimum(death_months, recurrence_months) < followed).mean())

    def mvi_present(intercept: float) -> float:
        return float(logistic(intercept + mvi_score).mean())

    return OutcomeModel(
        death=death,
        recurrence=replace(recurrence, intercept=_solve(rfs_events_seen, _RFS_EVENTS_SEEN)),
        mvi=replace(mvi, intercept=_solve(mvi_present, _MVI_PRESENT)),
    )


def true_risk(traits: pd.DataFrame) -> Risk:
    """Return the risks of the patients of `traits.draw_traits`."""
    model = outcome_model()
    return Risk(
        death_log_hazard=model.death.of(traits),
        recurrence_log_hazard=model.recurrence.of(traits),
        mvi_probability=np.asarray(logistic(model.mvi.of(traits)), dtype=np.float64),
    )


def draw_labels(risk: Risk, rng: np.random.Generator) -> pd.DataFrame:
    """Draw what happens to each patient.

    Returns
    -------
    pandas.DataFrame
        One row a patient: the label columns of a site's table, all of them known.
    """
    count = len(risk.mvi_probability)
    death = _months(rng.exponential(size=count), risk.death_log_hazard)
    recurrence = _months(rng.exponential(size=count), risk.recurrence_log_hazard)
    either = np.minimum(death, recurrence)
    followed = _follow_up_months(count, rng)
    mvi = (rng.random(count) < risk.mvi_probability).astype(int)

    def seen(months: Vector) -> Vector:
        return np.maximum(np.minimum(months, followed), _SHORTEST_MONTHS).round(2)

    return pd.DataFrame(
        {
            "mvi": pd.array(mvi, dtype="Int64"),
            "rfs_months": seen(either),
            "rfs_event": (either < followed).astype(int),
            "os_months": seen(death),
            "os_event": (death < followed).astype(int),
        }
    )


def _months(luck: Vector, log_hazard: Vector) -> Vector:
    """Return Weibull times from standard exponential numbers, shape (N,)."""
    shortened = (luck * np.exp(-log_hazard)) ** (1 / _WEIBULL_SHAPE)
    return np.asarray(_WEIBULL_SCALE_MONTHS * shortened)


def _follow_up_months(count: int, rng: np.random.Generator) -> Vector:
    """Draw how long patients are followed: to the study's end, unless they are lost before."""
    return np.minimum(rng.uniform(18, 84, count), rng.exponential(150, count))


def _solve(share: Callable[[float], float], wanted: float) -> float:
    """Return where a share that rises with its argument reaches the wanted one."""
    low, high = -12.0, 12.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if share(middle) < wanted else (low, middle)
    return (low + high) / 2
