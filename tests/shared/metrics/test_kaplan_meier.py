"""Survival curves and the log-rank test against lifelines."""

import math
from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter
from lifelines.statistics import multivariate_logrank_test

from shared.metrics.kaplan_meier import SurvivalCounts, log_rank, survival_counts
from shared.time_grid import TimeGrid

Row = tuple[float, bool]
patients = st.lists(
    st.tuples(st.integers(1, 12).map(lambda k: k / 2), st.booleans()), min_size=1, max_size=30
)


def columns(rows: list[Row]) -> tuple[np.ndarray, np.ndarray]:
    time, event = zip(*rows, strict=True)
    return np.array(time), np.array(event)


def assert_same_curve(counts: SurvivalCounts, time: np.ndarray, event: np.ndarray) -> None:
    fitted = KaplanMeierFitter().fit(time, event)
    curve = fitted.survival_function_["KM_estimate"].loc[counts.times_months]
    band = fitted.confidence_interval_.loc[counts.times_months]
    lower, upper = counts.confidence_band()
    np.testing.assert_allclose(counts.survival, curve, atol=1e-9)
    np.testing.assert_allclose(lower, band.iloc[:, 0], atol=1e-9)
    np.testing.assert_allclose(upper, band.iloc[:, 1], atol=1e-9)
    np.testing.assert_array_equal(
        counts.at_risk, fitted.event_table["at_risk"].loc[counts.times_months]
    )


@settings(max_examples=40, deadline=None)
@given(patients)
def test_exact_times_agree_with_lifelines(rows: list[Row]) -> None:
    assert_same_curve(survival_counts(*columns(rows)), *columns(rows))


@settings(max_examples=25, deadline=None)
@given(st.lists(patients, min_size=2, max_size=4))
def test_sums_over_sites_are_the_pooled_curve(sites: list[list[Row]]) -> None:
    summed = reduce(add, (survival_counts(*columns(rows)) for rows in sites))
    assert_same_curve(summed, *columns([row for rows in sites for row in rows]))


def test_a_grid_groups_times_by_interval() -> None:
    """Edges 2, 4: events at 1 and 2 count at 2, one at 3 at 4; censored at 1 counts at 0.

    Censored at 3 has finished the first interval only; the event at 5 lies beyond the grid.
    """
    grid = TimeGrid((2.0, 4.0))
    counts = survival_counts([1, 2, 3, 1, 3, 5], [1, 1, 1, 0, 0, 1], grid)
    assert counts.times_months.tolist() == [0, 2, 4]
    assert counts.events.tolist() == [0, 2, 1]
    assert counts.censored.tolist() == [1, 1, 1]
    assert counts.at_risk.tolist() == [6, 5, 2]
    np.testing.assert_allclose(counts.survival, [1, 3 / 5, 3 / 10])


@given(patients)
def test_every_patient_is_counted_once_on_a_grid(rows: list[Row]) -> None:
    counts = survival_counts(*columns(rows), TimeGrid((1.0, 2.5, 4.0)))
    assert counts.patients == len(rows)


def test_curve_and_numbers_at_risk_between_times() -> None:
    counts = survival_counts([2, 4, 6], [1, 0, 1])
    np.testing.assert_allclose(counts.survival_at([0, 1.9, 2, 5, 6, 9]), [1, 1, 2 / 3, 2 / 3, 0, 0])
    assert counts.at_risk_at([0, 2, 2.1, 4, 6, 6.1]).tolist() == [3, 3, 2, 2, 1, 0]
    assert counts.remaining_at([0, 2, 2.1, 4, 6, 6.1]).tolist() == [3, 2, 2, 2, 0, 0]


@given(patients)
def test_who_remains_on_a_grid_are_those_who_outlived_its_edges(rows: list[Row]) -> None:
    """An event between two edges counts at the later one: by then that patient is gone."""
    (time, event), edges = columns(rows), (1.0, 2.5, 4.0)
    found = survival_counts(time, event, TimeGrid(edges)).remaining_at([0.0, *edges, 5.0])
    outlived = [((time > edge) | ((time == edge) & ~event)).sum() for edge in edges]
    assert found.tolist() == [len(rows), *outlived, 0]


def test_unknown_labels_are_left_out() -> None:
    counts = survival_counts([2, math.nan, 4, 6], [1, 1, math.nan, 0])
    assert counts.times_months.tolist() == [2, 6]
    assert counts.patients == 2


def test_nobody_is_no_error() -> None:
    counts = survival_counts([], [])
    assert counts.patients == 0
    assert counts.survival_at([1.0]).tolist() == [1.0]
    assert counts.confidence_band()[0].shape == (0,)


def test_parts_of_an_event_have_no_band_before_they_make_one() -> None:
    """Of 0.02 of an event among 50 the scale of log(-log S) would have the limit at 0."""
    counts = SurvivalCounts(
        np.array([3.0, 6.0, 9.0]), np.array([0.02, 0.98, 1.0]), np.array([0.0, 0.0, 48.0])
    )
    lower, upper = counts.confidence_band()
    assert lower[0] == upper[0] == counts.survival[0]
    assert 0.8 < lower[1] < counts.survival[1] < upper[1]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("groups", [2, 3])
@pytest.mark.parametrize("distinct_times", [6, 1000])
def test_log_rank_agrees_with_lifelines(seed: int, groups: int, distinct_times: int) -> None:
    rng = np.random.default_rng(seed)
    group = rng.integers(0, groups, 80)
    time = np.ceil(rng.exponential(1 + group / groups) * distinct_times / 4)
    event = rng.random(80) < 0.7
    ours = log_rank([survival_counts(time[group == g], event[group == g]) for g in range(groups)])
    expected = multivariate_logrank_test(time, group, event).p_value
    assert ours == pytest.approx(expected, abs=1e-9)


def test_log_rank_of_summed_sites_is_the_pooled_one() -> None:
    rng = np.random.default_rng(5)
    time, event = np.ceil(rng.exponential(10, 60)), rng.random(60) < 0.6
    high, site = rng.random(60) < 0.5, rng.integers(0, 3, 60)
    by_site = [
        reduce(
            add,
            (survival_counts(time[own], event[own]) for own in (g & (site == s) for s in range(3))),
        )
        for g in (high, ~high)
    ]
    expected = multivariate_logrank_test(time, high, event).p_value
    assert log_rank(by_site) == pytest.approx(expected, abs=1e-9)


def test_a_group_never_at_risk_does_not_count() -> None:
    a, b = survival_counts([2, 4, 6, 8], [1, 1, 0, 1]), survival_counts([3, 5, 7, 9], [1, 0, 1, 1])
    early = survival_counts([1, 1], [0, 0])
    assert log_rank([a, early, b]) == pytest.approx(log_rank([a, b]))


@pytest.mark.parametrize(
    "groups",
    [
        [],
        [([1, 2, 3], [1, 1, 1])],
        [([1, 2], [0, 0]), ([1, 2], [0, 0])],
        [([1, 2], [1, 1]), ([], [])],
        [([1], [1]), ([1], [1])],  # all die at once: no chance was left to either
    ],
)
def test_log_rank_without_a_comparison_is_none(
    groups: list[tuple[list[float], list[int]]],
) -> None:
    assert log_rank([survival_counts(time, event) for time, event in groups]) is None


@pytest.mark.parametrize(
    ("times", "events", "censored", "message"),
    [
        ([1.0, 1.0], [1, 1], [0, 0], "increasing"),
        ([1.0, 2.0], [1], [0, 0], "same length"),
        ([1.0, 2.0], [1, -1], [0, 0], ">= 0"),
    ],
)
def test_refuses_counts_that_make_no_curve(
    times: list[float], events: list[int], censored: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        SurvivalCounts(np.array(times), np.array(events), np.array(censored))
