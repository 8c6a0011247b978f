"""The same statistics as from sums, from rows that lie together on this one machine."""

from collections.abc import Mapping

import numpy as np

from client.evidence.gather import cohort_sums
from client.evidence.rule import Rule
from server.evidence import RISK_GROUPS, first_request
from shared.evidence.metrics import FollowUp, cohort_metrics
from shared.evidence.request import Thresholds, follow_up_grid
from shared.evidence.risk_groups import risk_cuts
from shared.evidence.sums import CohortSums
from shared.metrics.f1_threshold import f1_threshold
from shared.metrics.kaplan_meier import survival_counts
from shared.metrics.labelled import FloatArray
from shared.metrics.predictions import Predictions, SurvivalPredictions, evaluate
from shared.plan import Plan
from shared.results import Cohort, Estimate, Metric
from shared.tasks import SURVIVAL_TASKS

Metrics = dict[Cohort, dict[Metric, Estimate]]


def row_metrics(
    predictions: dict[Cohort, Predictions],
    *,
    choose_on: Predictions,
    months: tuple[float, ...],
    plan: Plan,
    resamples: int,
    seed: int,
) -> tuple[float | None, Metrics]:
    """Fix thresholds on some patients, freeze them, and judge all cohorts.

    C-indices, MVI AUC and F1 come from the rows; what else a federation's sums give comes from
    the same sums, with nothing withheld.

    Parameters
    ----------
    predictions : dict of Cohort to Predictions
    choose_on : Predictions
        Internal validation patients that the method had; never the external site.
    months : tuple of float
        Where predicted curves are given; empty where a method gives none.
    plan : Plan
    resamples, seed : int
        Of the bootstrap.

    Returns
    -------
    threshold : float or None
        Calls a patient MVI-positive.
    metrics : dict of Cohort to dict
    """
    rule = Rule(1, seed)
    follow_up = {cohort: _follow_up(rows, plan) for cohort, rows in predictions.items()}
    first = first_request(plan)
    threshold = f1_threshold(choose_on.mvi_label, choose_on.mvi_probability)
    internal = [
        cohort_sums(part, months, site, "internal", first, rule)
        for site, part in by_site(choose_on).items()
    ]
    thresholds = Thresholds(
        mvi=threshold,
        rfs=risk_cuts([part.rfs for part in internal], RISK_GROUPS),
        os=risk_cuts([part.os for part in internal], RISK_GROUPS),
    )
    values = {**vars(first), "resamples": resamples, "thresholds": thresholds}
    second = type(first)(**values)
    metrics: Metrics = {}
    for cohort, rows in predictions.items():
        parts: list[CohortSums] = [
            cohort_sums(part, months, site, cohort, second, rule)
            for site, part in by_site(rows).items()
        ]
        from_sums = cohort_metrics(parts, second, follow_up[cohort])
        exact = evaluate(rows, threshold, resamples=resamples, seed=seed)
        metrics[cohort] = {**from_sums, **exact}
    return threshold, metrics


def by_rows(
    predictions: Mapping[Cohort, Predictions], *, resamples: int, seed: int
) -> dict[Cohort, dict[Metric, Estimate]]:
    """Return the metrics that every method has, the threshold fixed on internal validation."""
    internal = predictions["internal"]
    threshold = f1_threshold(internal.mvi_label, internal.mvi_probability)
    return {
        cohort: evaluate(rows, threshold, resamples=resamples, seed=seed)
        for cohort, rows in predictions.items()
    }


def by_site(rows: Predictions) -> dict[str, Predictions]:
    """Divide rows by their site, in the order of the sites' names."""
    sites = np.asarray(rows.site, dtype=np.str_)
    return {str(name): rows_at(rows, np.flatnonzero(sites == name)) for name in np.unique(sites)}


def rows_at(rows: Predictions, index: np.ndarray) -> Predictions:
    """Return some of the rows, in the order of their positions in `index`."""

    def survival(task: SurvivalPredictions) -> SurvivalPredictions:
        return SurvivalPredictions(*(_rows(column, index) for column in vars(task).values()))

    return Predictions(
        patient_id=tuple(rows.patient_id[i] for i in index),
        site=tuple(rows.site[i] for i in index),
        mvi_label=rows.mvi_label[index],
        mvi_probability=rows.mvi_probability[index],
        rfs=survival(rows.rfs),
        os=survival(rows.os),
    )


def _rows(column: FloatArray, index: np.ndarray) -> FloatArray:
    return np.asarray(column[index])


def _follow_up(rows: Predictions, plan: Plan) -> FollowUp:
    grid = follow_up_grid(plan)
    found = {}
    for task in SURVIVAL_TASKS:
        own = rows.survival(task)
        counts = survival_counts(own.months, own.event, grid)
        if counts.patients:
            found[task] = counts
    return found
