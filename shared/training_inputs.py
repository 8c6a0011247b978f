"""What the training patients looked like, from sums, and what of a new patient is unusual.

The federation sums its features over all training patients once (`shared.standardisation`), and
the model carries the means and deviations. They say what was usual among them: how large the
tumours were, how each phase stood against the liver, how often a phase was there. The smallest and
the largest value are each one patient's, and no site tells them. A network answers with the same
assurance for a patient unlike all of these; only a comparison tells.
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
    """What was usual in training.

    Attributes
    ----------
    phase_share : mapping of str to float
        Share of the training patients who had each phase, of the sites that tell it.
    ranges : mapping of str to (low, high)
        Mean plus or minus `DEVIATIONS` deviations, by quantity: ``tumour_diameter_mm``;
        ``intensity_{phase}_{region}``, the mean of a phase in tumour core, rim or ring, in the
        units of preprocessing; and whatever the sites' description of their cohorts adds, such as
        ``slice_spacing_mm``.
    """

    phase_share: Mapping[Phase, float] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)


@dataclass(frozen=True)
class Outside:
    """One quantity of a patient that lies outside its usual range."""

    quantity: str
    value: float
    usual: Range


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
        Ranges as the sites described them. Of a quantity that the features hold too, both ends
        are the narrower: sizes spread evenly in mm have a logarithm whose deviations reach to
        twice the largest.
    """
    names = (*DIRECT_FEATURE_NAMES, *clinical_variables)
    mean = dict(zip(names, weights["standardise.mean"].tolist(), strict=True))
    deviation = dict(zip(names, weights["standardise.deviation"].tolist(), strict=True))
    # Of a feature that nobody could share the deviation is 0.
    told = {name for name in names if deviation[name] > 0}
    shares: dict[Phase, float] = {
        phase: round(min(1.0, max(0.0, mean[f"present_{phase}"])), 6)
        for phase in PHASES
        if f"present_{phase}" in told
    }
    ranges: dict[str, Range] = {
        name: _around(mean[name], deviation[name])
        for name in names
        if name in told and (name.startswith(INTENSITY) or name in clinical_variables)
    }
    size = "log_diameter_mm"
    if size in told:
        low, high = _around(mean[size], deviation[size])
        ranges[DIAMETER] = (math.exp(low), math.exp(high))
    for name, own in (described or {}).items():
        ranges[name] = _narrower(ranges.get(name, own), own)
    return TrainingInputs(shares, ranges)


def described_ranges(descriptions: Iterable[Description]) -> dict[str, Range]:
    """Return ranges of what the sites' descriptions of their training patients tell.

    By the same rule as the features': mean plus or minus three deviations, from sums; where all
    patients are alike, five percent to either side. Of the tumours' size only where every site
    tells: the features hold it as well, and narrower is right only for the same patients. The
    histograms give no end: their outermost cells reach to the ends of the axis.
    """
    about = [d.cohorts["training"] for d in descriptions if "training" in d.cohorts]
    ranges: dict[str, Range] = {}
    sizes_told = all(cohort.measures[DIAMETER].patients for cohort in about)
    for name in (*DESCRIBED, *([DIAMETER] if sizes_told else [])):
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
    """Return the quantities of a patient outside their usual ranges, in their order."""
    found = []
    for name, value in patient.items():
        usual = inputs.ranges.get(name)
        if usual is not None and not usual[0] <= value <= usual[1]:
            found.append(Outside(name, value, usual))
    return tuple(found)


def _narrower(first: Range, second: Range) -> Range:
    return (max(first[0], second[0]), min(first[1], second[1]))


def _around(mean: float, deviation: float) -> Range:
    return (mean - DEVIATIONS * deviation, mean + DEVIATIONS * deviation)
