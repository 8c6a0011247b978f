"""Estimates found and put into words."""

from collections.abc import Iterable

from shared.reporting.names import is_one_site
from shared.results import METRICS, Cohort, Estimate, Metric, Results

NOT_AVAILABLE = "not available"
_HALF_A_PERCENT = 0.005
# Sums of weights may miss the whole by less.
_SHARE_DIGITS = 9
# What a simulation adds to the federation's row: its rivals are judged from patients' rows.
_FROM_ROWS: dict[Metric, Metric] = {
    "os_c_index": "os_c_index_rows",
    "rfs_c_index": "rfs_c_index_rows",
    "mvi_f1": "mvi_f1_rows",
    "mvi_auc": "mvi_auc_rows",
}


def find(results: Results, method: str, cohort: Cohort, metric: Metric) -> Estimate | None:
    """Return an estimate, None where the run does not have it at all."""
    return results.get(method, {}).get(cohort, {}).get(metric)


def from_rows(results: Results, method: str, cohort: Cohort) -> list[Estimate | None]:
    """Return a method's `METRICS` from patients' rows, where sites told sums and rows are known.

    Empty where the method has none: it was judged from rows anyhow, or nobody knows them.
    """
    found = [find(results, method, cohort, _FROM_ROWS[metric]) for metric in METRICS]
    return found if any(estimate is not None for estimate in found) else []


def whole_federation(results: Results) -> list[str]:
    """Return the methods that stand for all sites, in their order."""
    return [method for method in results if not is_one_site(method)]


def single_sites(results: Results) -> list[str]:
    """Return the methods ``local/<site>``, in their order."""
    return [method for method in results if is_one_site(method)]


def patients(results: Results, cohort: Cohort, metric: Metric) -> int:
    """Return how many patients of a cohort have a metric's label, over all methods."""
    found = [find(results, method, cohort, metric) for method in whole_federation(results)]
    return max((estimate.n for estimate in found if estimate is not None), default=0)


def judged(results: Results, cohorts: Iterable[Cohort]) -> list[Cohort]:
    """Return those cohorts, in their order, of whose patients any outcome is known."""
    return [c for c in cohorts if any(patients(results, c, metric) for metric in METRICS)]


def value_text(estimate: Estimate | None) -> str:
    """Return a value alone: ``0.712``."""
    if estimate is None or estimate.value is None:
        return NOT_AVAILABLE
    return f"{estimate.value:.3f}"


def interval_text(estimate: Estimate | None) -> str:
    """Return an interval alone, ``0.621 to 0.788``; empty where there is none."""
    if estimate is None or estimate.value is None or estimate.ci95 is None:
        return ""
    return f"{estimate.ci95[0]:.3f} to {estimate.ci95[1]:.3f}"


def in_words(estimate: Estimate | None) -> str:
    """Return an estimate with its interval: ``0.712 (0.621 to 0.788)``."""
    interval = interval_text(estimate)
    return f"{value_text(estimate)} ({interval})" if interval else value_text(estimate)


def percent_text(share: float) -> str:
    """Return a share in per cent: ``13%``; ``<1%`` and ``>99%`` where 0% or 100% were not true."""
    whole = round(float(share), _SHARE_DIGITS)
    if 0 < whole <= _HALF_A_PERCENT:
        return "<1%"
    if 1 - _HALF_A_PERCENT <= whole < 1:
        return ">99%"
    return f"{whole:.0%}"


def p_value_text(p: float | None) -> str:
    """Return a p-value: ``p = 0.012``, ``p < 0.001``."""
    if p is None:
        return f"p {NOT_AVAILABLE}"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
