"""The goals of accuracy, each with what was reached, its interval over seeds, and the verdict.

The federation is compared with its rivals by patients' rows, as they are judged: its own numbers
come from sums, of which sites keep the small ones back. Outside there is one site, and nothing to
keep back but by the threshold of F1: the first line is what the federation itself tells.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.results import Cohort, Metric
from tests.benchmarks.over_seeds import (
    CHANCE,
    Values,
    mean_and_half,
    ratio_and_half,
    values_or_nan,
)

METRICS: tuple[Metric, ...] = ("os_c_index", "rfs_c_index", "mvi_auc", "mvi_f1")
# By which methods are compared; F1 hangs on a threshold too, and is shown beside.
THREE = METRICS[:3]
JUDGED: tuple[Cohort, ...] = ("internal", "external")
# The same models on more patients (`tests.benchmarks.wide`): those of the other cohorts at the five
# sites, and of all cohorts at the held-out one.
UNSEEN, OUTSIDE = "unseen", "outside"
EVERYWHERE = (*JUDGED, UNSEEN, OUTSIDE)
FEDERATED = "fedavg"
EXTERNAL = {"os_c_index": 0.79, "rfs_c_index": 0.75, "mvi_f1": 0.74}
COVERED = {"os_c_index": 0.90, "rfs_c_index": 0.90, "mvi_auc": 0.85}
BEHIND_POOLED = 0.01
ABOVE_RADIOMICS = 0.02
ROBUST = 0.02
OVERFITTING = 0.10
MINUTES = 15.0

# One a seed: method -> cohort -> metric -> {"value"}; and cohort -> metric -> value.
Results = Sequence[Mapping[str, Any]]
Figures = Sequence[Mapping[str, Mapping[str, float | None]]]


@dataclass(frozen=True)
class Goal:
    """One line of the table.

    Attributes
    ----------
    line : str
        Which goal, in words.
    what : str
        Of it, where and by which metric.
    reached, half : float
        Mean over seeds and half of its 95% interval; NaN where unknown.
    met : bool or None
        By the mean; None where it is shown only. What is unknown is not met.
    """

    line: str
    what: str
    reached: float
    half: float
    met: bool | None


def values_of(results: Results, method: str, cohort: str, metric: str) -> Values:
    """Return a metric over the seeds, shape (n,); NaN where it could not be had.

    Of the federation it is the one from patients' rows.
    """
    name = f"{metric}_rows" if method == FEDERATED else metric
    return _values(results, method, cohort, name)


def from_sums(results: Results, cohort: str, metric: str) -> Values:
    """Return a metric as the federation tells it itself."""
    return _values(results, FEDERATED, cohort, metric)


def _values(results: Results, method: str, cohort: str, name: str) -> Values:
    found = [run.get(method, {}).get(cohort, {}).get(name, {}).get("value") for run in results]
    return values_or_nan(found)


def goals(results: Results, robust: Figures, minutes: Values) -> list[Goal]:
    """Return every goal.

    Parameters
    ----------
    results : sequence of mapping
        The ``methods`` of each run's metrics.json; with `UNSEEN` and `OUTSIDE` as further cohorts
        where that was run.
    robust : sequence of mapping
        Of the same seeds, the federation's figures where two sites lack much; empty where that
        was not run.
    minutes : ndarray, shape (n,)
        What each run took; NaN where it was not measured.
    """
    return [
        *_published(results),
        *_coverage(results),
        *_beside_pooled(results),
        *_beside_each_site(results),
        *_above_radiomics(results),
        *_robustness(results, robust),
        *_overfitting(results),
        _longest(minutes),
    ]


def _published(results: Results) -> Iterator[Goal]:
    for metric, least in EXTERNAL.items():
        reached, half = mean_and_half(from_sums(results, "external", metric))
        yield Goal(
            f"at the external site at least {least}", metric, reached, half, reached >= least
        )


def _coverage(results: Results) -> Iterator[Goal]:
    for cohort in EVERYWHERE:
        for metric, least in COVERED.items():
            ours, best = (values_of(results, m, cohort, metric) for m in (FEDERATED, "oracle"))
            share, half = ratio_and_half(ours - CHANCE, best - CHANCE)
            line = f"from chance to the oracle at least {least:.0%}"
            yield Goal(line, f"{cohort} {metric}", share, half, share >= least)


def _beside_pooled(results: Results) -> Iterator[Goal]:
    for cohort in EVERYWHERE:
        for metric in METRICS:
            lead, half = mean_and_half(_lead(results, "pooled", cohort, metric))
            met = lead >= -BEHIND_POOLED if metric in THREE else None
            yield Goal("behind pooled by at most 0.01", f"{cohort} {metric}", lead, half, met)


def _beside_each_site(results: Results) -> Iterator[Goal]:
    alone = sorted({name for run in results for name in run if name.startswith("local/")})
    for cohort in EVERYWHERE:
        for metric in METRICS:
            leads = [mean_and_half(_lead(results, m, cohort, metric)) for m in alone]
            known = [lead for lead in leads if not np.isnan(lead[0])]
            least, half = min(known, default=(np.nan, np.nan))
            met = least > 0 if metric in THREE else None
            what = f"{cohort} {metric}, the best of {len(known)}"
            yield Goal("above every site alone", what, least, half, met)


def _above_radiomics(results: Results) -> Iterator[Goal]:
    for cohort in EVERYWHERE:
        leads = []
        for metric in METRICS:
            lead, half = mean_and_half(_lead(results, "radiomics", cohort, metric))
            leads.append((lead, half))
            met = lead > 0 if metric in THREE else None
            yield Goal("above radiomics", f"{cohort} {metric}", lead, half, met)
        known = [lead for lead in leads[: len(THREE)] if not np.isnan(lead[0])]
        second = sorted(known)[-2] if len(known) > 1 else (np.nan, np.nan)
        line, what = "above radiomics by at least 0.02 in two", f"{cohort}, the second of three"
        yield Goal(line, what, *second, second[0] >= ABOVE_RADIOMICS)


def _robustness(results: Results, robust: Figures) -> Iterator[Goal]:
    line = "a third of phases missing, MVI unknown elsewhere: falls by at most 0.02"
    for cohort in JUDGED:
        for metric in METRICS:
            lacking = values_or_nan([run[cohort][metric] for run in robust])
            whole = values_of(results[: len(robust)], FEDERATED, cohort, metric)
            change, half = mean_and_half(lacking - whole)
            # Where a site's MVI is unknown, others are judged inside than before.
            other = cohort == "internal" and metric.startswith("mvi")
            what = f"{cohort} {metric}{', on fewer patients' if other else ''}"
            yield Goal(line, what, change, half, None if other else change >= -ROBUST)


def _overfitting(results: Results) -> Iterator[Goal]:
    # The oracle shows by how much the patients themselves differ: nothing was fitted to it.
    lines = {FEDERATED: "training within 0.10 of internal", "oracle": "of that the oracle's own"}
    for metric in METRICS:
        for cohort in ("internal", UNSEEN):
            for method, line in lines.items():
                trained, kept = (
                    values_of(results, method, part, metric) for part in ("training", cohort)
                )
                gap, half = mean_and_half(trained - kept)
                met = abs(gap) <= OVERFITTING if method == FEDERATED else None
                yield Goal(line, f"{cohort} {metric}", gap, half, met)


def _longest(minutes: Values) -> Goal:
    known = minutes[~np.isnan(minutes)]
    longest = float(known.max()) if len(known) else np.nan
    line = "a default run takes at most 15 minutes"
    return Goal(line, "the longest", longest, np.nan, longest <= MINUTES)


def _lead(results: Results, rival: str, cohort: str, metric: str) -> Values:
    """Return by how much the federation is above a rival, paired by seed."""
    return values_of(results, FEDERATED, cohort, metric) - values_of(results, rival, cohort, metric)
