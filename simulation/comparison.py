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
    standard deviation of a mean is at most the mean of the standard deviations. There is none
    where one of them has none: the mean of the others' need not hold the mean of all.
    """
    n = max(estimate.n for estimate in estimates)
    known = [(e.value, e.ci95) for e in estimates if e.value is not None]
    if not known:
        return Estimate(value=None, ci95=None, n=n)
    value = float(np.mean([value for value, _ in known]))
    intervals = [interval for _, interval in known if interval is not None]
    if len(intervals) < len(known):
        return Estimate(value=value, ci95=None, n=n)
    low, high = np.mean(intervals, axis=0).tolist()
    return Estimate(value=value, ci95=(low, high), n=n)
