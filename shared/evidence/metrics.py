"""A cohort's results from the sums of its sites, each with its interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from shared.evidence import mvi, risk_groups, survival
from shared.evidence.cells import FloatArray
from shared.evidence.request import EvidenceRequest
from shared.evidence.sums import CohortSums, SurvivalSums
from shared.metrics.bootstrap import percentile_estimate
from shared.metrics.kaplan_meier import SurvivalCounts
from shared.results import METRICS, Estimate, Metric
from shared.tasks import SURVIVAL_TASKS, SurvivalTask

# The cohort's own follow-up, by task; absent where no site tells it.
FollowUp = Mapping[SurvivalTask, SurvivalCounts]


@dataclass(frozen=True)
class HorizonEstimates:
    """One task at one horizon."""

    auc: Estimate
    brier: Estimate
    null_brier: Estimate


def cohort_metrics(
    parts: Sequence[CohortSums], request: EvidenceRequest, follow_up: FollowUp
) -> dict[Metric, Estimate]:
    """Return every metric of a cohort; None where it cannot be had.

    Parameters
    ----------
    parts : sequence of CohortSums
        One a site.
    request : EvidenceRequest
        What they answer.
    follow_up : mapping of SurvivalTask to SurvivalCounts
        Of the cohort, for the Kaplan-Meier null.
    """
    metrics: dict[Metric, Estimate] = _mvi_metrics(parts)
    for task in SURVIVAL_TASKS:
        own = [part.survival(task) for part in parts]
        named = {
            "c_index": _estimate(survival.harrell_c(own), own),
            "uno_c": _estimate(survival.uno_c(own), own),
            "hazard_ratio": hazard_ratio(own, request),
        }
        for months, estimates in horizon_estimates(own, request, follow_up.get(task)).items():
            named[f"auc_{months:g}"] = estimates.auc
            named[f"brier_{months:g}"] = estimates.brier
        named["ibs"], named["ibs_null"] = _integrated(own, request, follow_up.get(task))
        metrics |= {cast(Metric, f"{task}_{name}"): value for name, value in named.items()}
    rest = {name: value for name, value in sorted(metrics.items()) if name not in METRICS}
    return {**{name: metrics[name] for name in METRICS}, **rest}


def _mvi_metrics(parts: Sequence[CohortSums]) -> dict[Metric, Estimate]:
    own = [part.mvi for part in parts]
    known = sum(part.labelled or 0 for part in own)
    nothing = Estimate(None, None, known)
    area, table, error = mvi.auc(own), mvi.confusion(own), mvi.brier(own)
    rates = {} if table is None else table.rates()
    patients = 0 if table is None else table.patients
    named: dict[Metric, Estimate] = {
        cast(Metric, f"mvi_{name}"): percentile_estimate(rates[name], n=patients)
        if name in rates
        else nothing
        for name in ("f1", "sensitivity", "specificity", "ppv", "npv", "accuracy")
    }
    named["mvi_auc"] = (
        nothing if area is None else percentile_estimate(area.values, n=area.patients)
    )
    named["mvi_brier"] = nothing if error is None else percentile_estimate(error[0], n=error[1])
    return named


def hazard_ratio(parts: Sequence[SurvivalSums], request: EvidenceRequest) -> Estimate:
    """Return the hazard ratio of the highest risk group against the lowest."""
    told = [part for part in parts if part.groups]
    counts = risk_groups.group_counts(told, request.follow_up.intervals + 1)
    if counts is None:
        return _estimate(None, parts)
    ratio = np.exp(risk_groups.log_hazard_ratio(counts[0], counts[-1]))
    return percentile_estimate(ratio, n=sum(part.labelled or 0 for part in told))


def horizon_estimates(
    parts: Sequence[SurvivalSums], request: EvidenceRequest, follow_up: SurvivalCounts | None
) -> dict[float, HorizonEstimates]:
    """Return AUC at every horizon, and Brier scores at those that curves reach, by months."""
    curve = _brier(parts, request, follow_up)
    estimates = {}
    for index, months in enumerate(request.horizons_months):
        model = null = _estimate(None, parts)
        at = request.brier_months.index(months) if months in request.brier_months else None
        if curve is not None and at is not None and curve.patients[at]:
            patients = int(curve.patients[at])
            model = percentile_estimate(curve.model[:, at], n=patients)
            null = percentile_estimate(curve.null[:, at], n=patients)
        area = _estimate(survival.auc_at(parts, index), parts)
        estimates[months] = HorizonEstimates(area, model, null)
    return estimates


def _integrated(
    parts: Sequence[SurvivalSums], request: EvidenceRequest, follow_up: SurvivalCounts | None
) -> tuple[Estimate, Estimate]:
    curve = _brier(parts, request, follow_up)
    both = None if curve is None else curve.integrated(request.brier_months)
    model, null = (None, None) if both is None else both
    return _estimate(model, parts), _estimate(null, parts)


def _brier(
    parts: Sequence[SurvivalSums], request: EvidenceRequest, follow_up: SurvivalCounts | None
) -> survival.BrierCurve | None:
    if follow_up is None:
        return None
    null: FloatArray = follow_up.survival_at(request.brier_months)
    return survival.brier_curve(parts, null)


def _estimate(value: survival.Valued | None, parts: Sequence[SurvivalSums]) -> Estimate:
    if value is None:
        return Estimate(None, None, sum(part.labelled or 0 for part in parts))
    return percentile_estimate(value.values, n=value.patients)
