"""What the training patients looked like, from sums, and what of a new patient lies outside.

The federation sums its features over all training patients once (`shared.standardisation`), and
the model carries the means and deviations. They say what the model has seen: how large the
tumours were, how each phase stood against the liver, how often a phase was there. A network
answers with the same assurance for a patient unlike all of these; only a comparison tells.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shared.evidence.description import Description
from shared.model import DIRECT_FEATURE_NAMES
from shared.tasks import PHASES, Phase
from shared.weights import Weights

Range = tuple[float, float]

# Mean of the features plus or minus this many deviations: 99.7% of a normal distribution, and
# at least 8 of 9 patients of any (Chebyshev).
DEVIATIONS = 3.0
DIAMETER = "tumour_diameter_mm"
DESCRIBED = ("in_plane_spacing_mm", "slice_spacing_mm")
_LEAST_SPREAD = 0.05
INTENSITY = "intensity"


@dataclass(frozen=True)
class TrainingInputs:
    """What was seen in training.

    Attributes
    ----------
    phase_share : mapping of str to float
        Share of the training patients who had each phase.
    ranges : mapping of str to (low, high)
        By quantity: ``tumour_diameter_mm``; ``intensity_{phase}_{region}``, the mean of a phase
        in tumour core, rim or ring, in the units of preprocessing; and whatever the sites'
        description of their cohorts adds, such as ``slice_spacing_mm``.
    """

    phase_share: Mapping[Phase, float] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)


@dataclass(frozen=True)
class Outside:
    """One quantity of a patient that lies outside what was seen."""

    quantity: str
    value: float
    seen: Range


def training_inputs(
    weights: Weights,
    described: Mapping[str, Range] | None = None,
    clinical_variables: Sequence[str] = (),
) -> TrainingInputs:
    """Read what the training patients looked like from the model's own statistics.

    Parameters
    ----------
    weights : Weights
        With ``standardise.mean`` and ``standardise.deviation``, shape (`DIRECT_FEATURES` + V,).
    clinical_variables : sequence of str
        Names of the V features behind the direct ones.
    described : mapping of str to (low, high), optional
        Ranges that the features do not hold, as the sites described them.
    """
    names = (*DIRECT_FEATURE_NAMES, *clinical_variables)
    mean = dict(zip(names, weights["standardise.mean"].tolist(), strict=True))
    deviation = dict(zip(names, weights["standardise.deviation"].tolist(), strict=True))
    shares: dict[Phase, float] = {
        phase: round(min(1.0, max(0.0, mean[f"present_{phase}"])), 6) for phase in PHASES
    }
    ranges: dict[str, Range] = {}
    for name in names:
        # A feature that nobody could share is left at mean 0 and deviation 1.
        told = name.startswith(INTENSITY) or name in clinical_variables
        if told and (mean[name], deviation[name]) != (0.0, 1.0):
            ranges[name] = _around(mean[name], deviation[name])
    size = "log_diameter_mm"
    if (mean[size], deviation[size]) != (0.0, 1.0):
        low, high = _around(mean[size], deviation[size])
        ranges[DIAMETER] = (math.exp(low), math.exp(high))
    return TrainingInputs(shares, {**ranges, **(described or {})})


def described_ranges(descriptions: Iterable[Description]) -> dict[str, Range]:
    """Return ranges of what only the sites' descriptions of their training patients tell.

    By the same rule as the features': mean plus or minus three deviations, from sums; where all
    patients are alike, five percent to either side.
    """
    about = [d.cohorts["training"] for d in descriptions if "training" in d.cohorts]
    ranges: dict[str, Range] = {}
    for name in DESCRIBED:
        sums = [cohort.measures[name] for cohort in about]
        patients = sum(s.patients for s in sums)
        if patients:
            mean = sum(s.total for s in sums) / patients
            variance = max(0.0, sum(s.square for s in sums) / patients - mean**2)
            deviation = max(math.sqrt(variance), _LEAST_SPREAD * mean / DEVIATIONS)
            low, high = _around(mean, deviation)
            ranges[name] = (max(0.0, low), high)
    return ranges


def measured(
    values: NDArray[np.float32],
    known: NDArray[np.float32],
    clinical_variables: Sequence[str] = (),
) -> dict[str, float]:
    """Return one patient's quantities by the names of `TrainingInputs.ranges`.

    Parameters
    ----------
    values, known : ndarray, shape (`DIRECT_FEATURES` + V,)
        From `shared.model.direct_features`.
    clinical_variables : sequence of str
        Names of the V features behind the direct ones.
    """
    names = (*DIRECT_FEATURE_NAMES, *clinical_variables)
    features = {
        name: float(value)
        for name, value, is_known in zip(names, values, known, strict=True)
        if is_known
    }
    found = {
        name: value
        for name, value in features.items()
        if name.startswith(INTENSITY) or name in clinical_variables
    }
    found[DIAMETER] = math.exp(features["log_diameter_mm"])
    return found


def outside(inputs: TrainingInputs, patient: Mapping[str, float]) -> tuple[Outside, ...]:
    """Return the quantities of a patient that lie outside what was seen, in their order."""
    found = []
    for name, value in patient.items():
        seen = inputs.ranges.get(name)
        if seen is not None and not seen[0] <= value <= seen[1]:
            found.append(Outside(name, value, seen))
    return tuple(found)


def _around(mean: float, deviation: float) -> Range:
    return (mean - DEVIATIONS * deviation, mean + DEVIATIONS * deviation)
