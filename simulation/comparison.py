"""Methods side by side: the federation's lead over each rival, and the results table."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from shared.metrics.delong import auc_difference
from shared.results import Cohort, Estimate, Metric
from simulation.evaluation import Evaluated

Table = dict[str, dict[Cohort, dict[Metric, Estimate]]]


def compared(evaluated: Mapping[str, Evaluated], strategy: str) -> dict[str, Evaluated]:
    """Add to every rival ``mvi_auc_difference``: the federated AUC less its own, by DeLong.

    Where both have judged the same patients: rows of a simulation, not sums of sites. A rival
    that was not fitted has none.
    """
    ours = evaluated[strategy].predictions
    found = dict(evaluated)
    for method, rival in evaluated.items():
        if method == strategy:
            continue
        metrics = {cohort: dict(values) for cohort, values in rival.metrics.items()}
        for cohort, theirs in rival.predictions.items():
            same_patients = theirs.patient_id == ours[cohort].patient_id
            if same_patients and metrics[cohort]["mvi_auc"].value is not None:
                metrics[cohort]["mvi_auc_difference"] = auc_difference(
                    theirs.mvi_label, ours[cohort].mvi_probability, theirs.mvi_probability
                )
        found[method] = replace(rival, metrics=metrics)
    return found


def results_table(evaluated: Mapping[str, Evaluated]) -> Table:
    """Return the results of all methods, with ``local`` as the mean over sites."""
    table: Table = {method: result.metrics for method, result in evaluated.items()}
    local = [result.metrics for method, result in evaluated.items() if method.startswith("local/")]
    if local:
        table["local"] = {
            cohort: {
                metric: mean_estimate([result[cohort][metric] for result in local])
                for metric in local[0][cohort]
                if all(metric in result[cohort] for result in local)
            }
            for cohort in local[0]
        }
    return table


def mean_estimate(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean of those estimates that can be had.

    Its interval is the mean of theirs: never narrower than the interval of the mean, since a
    standard deviation of a mean is at most the mean of the standard deviations.
    """
    n = max(estimate.n for estimate in estimates)
    values = [estimate.value for estimate in estimates if estimate.value is not None]
    if not values:
        return Estimate(value=None, ci95=None, n=n)
    intervals = [estimate.ci95 for estimate in estimates if estimate.ci95 is not None]
    low, high = np.mean(intervals, axis=0) if intervals else (None, None)
    ci95 = None if low is None or high is None else (float(low), float(high))
    return Estimate(value=float(np.mean(values)), ci95=ci95, n=n)
