"""Survival statistics from sites' sums against lifelines and scikit-survival on pooled rows.

scikit-survival weighs by the chance to be uncensored at a patient's own time, here it is just
before: censorings lie between the events, where both are the same.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter
from lifelines.statistics import logrank_test
from lifelines.utils import concordance_index
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.metrics import (
    brier_score,
    concordance_index_censored,
    concordance_index_ipcw,
    cumulative_dynamic_auc,
    integrated_brier_score,
)

from client.evidence.survival import curves_at
from shared.evidence import risk_groups, survival
from shared.metrics import kaplan_meier
from shared.metrics.bootstrap import c_index_estimate, percentile_estimate
from shared.metrics.labelled import FloatArray
from shared.seeds import derive_seed
from tests.client.evidence.cohorts import (
    HORIZONS,
    QUARTERS,
    TIMES,
    Rows,
    drawn,
    request,
    survival_parts,
)

SEEDS = range(4)


def structured(rows: Rows) -> np.ndarray:
    return np.array(
        list(zip(rows.event.astype(bool), rows.time, strict=True)),
        dtype=[("event", bool), ("time", float)],
    )


def null_curve(rows: Rows) -> FloatArray:
    return kaplan_meier.survival_counts(rows.time, rows.event, QUARTERS).survival_at(TIMES)


@pytest.mark.parametrize("seed", SEEDS)
def test_pairs_of_one_site_are_harrells(seed: int) -> None:
    rows = drawn(70, seed=seed)
    found = survival.harrell_c(survival_parts(rows, request(), minimum_count=5))
    assert found is not None
    expected = concordance_index(rows.time, -rows.risk, rows.event)
    assert found.values[0] == pytest.approx(expected, abs=1e-9)
    theirs = concordance_index_censored(rows.event, rows.time, rows.risk)[0]
    assert found.values[0] == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_uno_agrees_with_scikit_survival(seed: int) -> None:
    rows = drawn(80, seed=seed)
    found = survival.uno_c(survival_parts(rows, request()))
    assert found is not None
    y = structured(rows)
    expected = concordance_index_ipcw(y, y, rows.risk, tau=HORIZONS[-1])[0]
    assert found.values[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_auc_at_horizons_agrees_with_scikit_survival(seed: int) -> None:
    rows = drawn(90, seed=seed)
    parts = survival_parts(rows, request())
    y = structured(rows)
    expected = cumulative_dynamic_auc(y, y, rows.risk, HORIZONS)[0]
    for index in range(len(HORIZONS)):
        found = survival.auc_at(parts, index)
        assert found is not None
        assert found.values[0] == pytest.approx(expected[index], abs=1e-9)


def by_site(rows: Rows) -> list[np.ndarray]:
    return [rows.site == number for number in np.unique(rows.site)]


def test_a_curve_is_not_continued_beyond_its_end() -> None:
    curves = np.array([[0.9, 0.5]])
    assert curves_at(curves, (12.0, 36.0), (0.0, 6.0, 24.0, 36.0)).tolist() == [[1, 0.95, 0.7, 0.5]]
    assert curves_at(curves, (12.0, 36.0), ()).shape == (1, 0)
    with pytest.raises(ValueError, match="end at 36 months"):
        curves_at(curves, (12.0, 36.0), (24.0, 60.0))


@pytest.mark.parametrize("sites", [1, 4])
@pytest.mark.parametrize("seed", SEEDS)
def test_brier_scores_agree_with_scikit_survival(seed: int, sites: int) -> None:
    """Of several sites the mean over patients, each site's censoring its own."""
    rows = drawn(160, seed=seed, sites=sites)
    curve = survival.brier_curve(survival_parts(rows, request()), null_curve(rows))
    assert curve is not None
    y = structured(rows)
    predicted = curves_at(rows.curve, QUARTERS.edges_months, TIMES)
    fitted = KaplanMeierFitter().fit(rows.time, rows.event).survival_function_at_times(TIMES)
    null = np.tile(fitted.to_numpy(), (160, 1))
    both = curve.integrated(TIMES)
    assert both is not None
    share = [own.mean() for own in by_site(rows)]
    for ours, whole, theirs in (
        (curve.model, both[0], predicted),
        (curve.null, both[1], null),
    ):
        scores = [brier_score(y[own], y[own], theirs[own], TIMES)[1] for own in by_site(rows)]
        np.testing.assert_allclose(ours[0], np.average(scores, axis=0, weights=share), atol=1e-9)
        integrated = [
            integrated_brier_score(y[own], y[own], theirs[own], TIMES) for own in by_site(rows)
        ]
        assert whole.values[0] == pytest.approx(np.average(integrated, weights=share), abs=1e-9)
    assert curve.patients.tolist() == [160] * len(TIMES)


def test_intervals_of_brier_scores_are_as_wide_as_scores_of_cohorts_differ() -> None:
    """Of 100 cohorts of 120 patients; Kaplan-Meier's own score is S (1 - S), at most 1/4.

    Its slope is 0 at S = 1/2, where no bootstrap has the right width: there S is not near it.
    """
    cohorts = [drawn(120, seed=seed) for seed in range(100)]
    curves = [
        survival.brier_curve(survival_parts(rows, request(resamples=100)), null_curve(rows))
        for rows in cohorts
    ]
    model = np.array([curve.model for curve in curves if curve is not None])
    null = np.array([curve.null for curve in curves if curve is not None])
    assert null.max() <= 0.25 + 1e-12
    np.testing.assert_allclose(relative_width(model), 1, atol=0.2)
    np.testing.assert_allclose(relative_width(null[:, :, [0, -1]]), 1, atol=0.2)


def relative_width(found: np.ndarray) -> FloatArray:
    """Return the mean width of cohorts' intervals against that of their values' 95%, by time."""
    low, high = np.quantile(found[:, 1:], (0.025, 0.975), axis=1)
    first, last = np.quantile(found[:, 0], (0.025, 0.975), axis=0)
    return np.asarray((high - low).mean(axis=0) / (last - first))


@pytest.mark.parametrize("seed", SEEDS)
def test_auc_of_several_sites_is_that_of_the_pairs_within_them(seed: int) -> None:
    """By scikit-survival site by site, each weighed by its pairs."""
    rows = drawn(160, seed=seed, sites=2)
    parts = survival_parts(rows, request())
    y = structured(rows)
    for index, months in enumerate(HORIZONS):
        scores, pairs = [], []
        for number, own in enumerate(by_site(rows)):
            scores.append(cumulative_dynamic_auc(y[own], y[own], rows.risk[own], [months])[0][0])
            pairs.append(parts[number].auc[0, index, 1])  # type: ignore[index]
        found = survival.auc_at(parts, index)
        assert found is not None
        assert found.values[0] == pytest.approx(np.average(scores, weights=pairs), abs=1e-9)


def test_auc_of_several_sites_does_not_depend_on_their_follow_up() -> None:
    """Against all pairs within the sites, nobody censored: 0.77 at 60 months.

    The model tells site 0's patients apart and hardly site 1's, of whom few are followed to 60
    months. By 1 / G at the cases' times alone site 0's pairs would outweigh site 1's: 0.86.
    """
    generator = np.random.default_rng(0)
    site, risk = np.arange(4000) % 2, generator.normal(size=4000)
    death = generator.exponential(50 * np.exp(np.where(site == 0, -1.5, -0.3) * risk))
    long, short = generator.uniform(55, 90, 4000), generator.uniform(2, 70, 4000)
    left = np.where(site == 0, long, short)
    rows = Rows(site, np.minimum(death, left), death <= left, risk, np.ones((4000, 28)))
    parts = survival_parts(rows, request())
    for index, months in enumerate(HORIZONS):
        concordant = pairs = 0
        for own in by_site(rows):
            case, control = risk[own & (death <= months)], risk[own & (death > months)]
            concordant += (case[:, None] > control).sum()
            pairs += len(case) * len(control)
        found = survival.auc_at(parts, index)
        assert found is not None
        assert found.values[0] == pytest.approx(concordant / pairs, abs=0.03)


@pytest.mark.parametrize("sites", [1, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_calibration_adds_up_to_lifelines(seed: int, sites: int) -> None:
    """Of everybody at a site the observed share, events weighed by 1 / G, is 1 - Kaplan-Meier.

    Satten and Datta, Am Stat 2001;55:207.
    """
    rows = drawn(160, seed=seed, sites=sites)
    predicted = 1 - curves_at(rows.curve, QUARTERS.edges_months, HORIZONS)
    parts = survival_parts(rows, request())
    died = [
        1 - KaplanMeierFitter().fit(rows.time[own], rows.event[own]).predict(list(HORIZONS))
        for own in by_site(rows)
    ]
    observed = np.average(died, axis=0, weights=[own.sum() for own in by_site(rows)])
    for index in range(len(HORIZONS)):
        found = survival.calibration_at(parts, index, groups=1)
        assert found is not None
        assert found[0] == pytest.approx([predicted[:, index].mean()], abs=1e-9)
        assert found[1] == pytest.approx([observed[index]], abs=1e-9)
        assert found[2].tolist() == [160]


def test_a_perfect_model_is_calibrated() -> None:
    """Of 4,000 patients whose true curves are predicted, each fifth dies as foretold."""
    generator = np.random.default_rng(0)
    hazard = np.exp(0.7 * generator.normal(size=4000)) / 60
    death, left = generator.exponential(1 / hazard), generator.uniform(6, 90, 4000)
    curve = np.exp(-hazard[:, None] * np.array(QUARTERS.edges_months))
    site = generator.integers(0, 4, 4000)
    rows = Rows(site, np.minimum(death, left), death <= left, np.log(hazard), curve)
    parts = survival_parts(rows, request(), minimum_count=5)
    for index in range(len(HORIZONS)):
        found = survival.calibration_at(parts, index)
        assert found is not None
        np.testing.assert_allclose(found[1], found[0], atol=0.06)


@pytest.mark.parametrize("last", [40.0, 59.0])
def test_nothing_is_calibrated_where_nobody_was_followed(last: float) -> None:
    """Who was censored before a horizon that nobody outlived would count as alive at it."""
    rows = drawn(200, seed=0)
    closed = Rows(
        rows.site,
        np.minimum(rows.time, last),
        rows.event & (rows.time <= last),
        rows.risk,
        rows.curve,
    )
    for minimum_count in (1, 5):
        parts = survival_parts(closed, request(), minimum_count)
        found = [survival.calibration_at(parts, index) is not None for index in range(4)]
        assert found == [True, True, True, False]


def test_calibration_needs_enough_who_outlived_the_horizon() -> None:
    rows = drawn(200, seed=0)
    order = np.argsort(rows.time)
    for outlived, told in ((4, False), (5, True)):
        time = rows.time.copy()
        time[order[-outlived:]] = 70.0
        time[order[:-outlived]] = np.minimum(time[order[:-outlived]], 59.0)
        event = rows.event & (time == rows.time)
        event[order[-outlived:]] = False
        few = Rows(rows.site, time, event, rows.risk, rows.curve)
        parts = survival_parts(few, request(), minimum_count=5)
        assert (survival.calibration_at(parts, 3) is not None) is told


@pytest.mark.parametrize("seed", range(3))
def test_times_of_any_value_are_weighed_exactly(seed: int) -> None:
    """The site knows when its patients left; only what it tells lies on a grid."""
    rows = drawn(150, seed=seed, on_grid=False)
    parts = survival_parts(rows, request())
    y = structured(rows)
    uno, curve = survival.uno_c(parts), survival.brier_curve(parts, null_curve(rows))
    assert uno is not None
    assert curve is not None
    expected = concordance_index_ipcw(y, y, rows.risk, tau=HORIZONS[-1])[0]
    assert uno.values[0] == pytest.approx(expected, abs=1e-9)
    auc = cumulative_dynamic_auc(y, y, rows.risk, HORIZONS)[0]
    for index in range(len(HORIZONS)):
        found = survival.auc_at(parts, index)
        assert found is not None
        assert found.values[0] == pytest.approx(auc[index], abs=1e-9)
    predicted = curves_at(rows.curve, QUARTERS.edges_months, TIMES)
    np.testing.assert_allclose(curve.model[0], brier_score(y, y, predicted, TIMES)[1], atol=1e-9)


def test_a_cell_of_calibration_tells_nobodys_time_of_death() -> None:
    """By its own weight a cell's only death would say when it was: what is told says nothing.

    Ten deaths of ten cells, five at 2 and five at 50 months, whose weights differ by much: they
    change places, and every cell tells the same.
    """
    death = np.array([2.0, 50.0, 2.0, 50.0, 2.0, 50.0, 2.0, 50.0, 2.0, 50.0])
    left = np.linspace(3, 80, 60)
    event = np.concatenate([np.ones(10, bool), np.zeros(60, bool)])
    hazard = np.concatenate(
        [np.linspace(0.002, 0.02, 10), np.repeat(np.linspace(0.002, 0.02, 10), 6)]
    )
    curve = np.exp(-hazard[:, None] * np.array(QUARTERS.edges_months))
    told = []
    for first in (death[:5], death[:5][[1, 0, 2, 4, 3]]):
        time = np.concatenate([first, death[5:], left])
        rows = Rows(np.zeros(70, int), time, event, np.log(hazard), curve)
        (part,) = survival_parts(rows, request(), minimum_count=5)
        told.append(part.calibration[3].values)
    assert (told[0][0, :, 2] > 0).sum() == 10
    np.testing.assert_allclose(told[0], told[1], atol=1e-9)


@pytest.mark.parametrize("sites", [1, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_risk_groups_agree_with_lifelines(seed: int, sites: int) -> None:
    rows = drawn(90, seed=seed, sites=sites)
    counts = risk_groups.group_counts(survival_parts(rows, request()), QUARTERS.intervals + 1)
    assert counts is not None
    high = rows.risk > 0
    for group, own in enumerate((~high, high)):
        curve = risk_groups.survival_counts(counts[group, 0], QUARTERS)
        fitted = KaplanMeierFitter().fit(rows.time[own], rows.event[own])
        theirs = fitted.survival_function_at_times(QUARTERS.edges_months)
        np.testing.assert_allclose(curve.survival_at(QUARTERS.edges_months), theirs, atol=1e-9)
    both = [risk_groups.survival_counts(counts[g, 0], QUARTERS) for g in (0, 1)]
    test = logrank_test(rows.time[~high], rows.time[high], rows.event[~high], rows.event[high])
    assert kaplan_meier.log_rank(both) == pytest.approx(test.p_value, abs=1e-9)
    cox = CoxPHSurvivalAnalysis(ties="efron", tol=1e-15)
    ratio = risk_groups.log_hazard_ratio(counts[0], counts[1])[0]
    fitted = cox.fit(high[:, None].astype(float), structured(rows))
    assert ratio == pytest.approx(fitted.coef_[0], abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40), st.sampled_from([1, 3, 5]))
def test_merged_intervals_keep_every_patient_and_event(
    seed: int, patients: int, minimum_count: int
) -> None:
    rows = drawn(patients, seed=seed, sites=2, on_grid=False)
    parts = survival_parts(rows, request(), minimum_count)
    counts = risk_groups.group_counts(parts, QUARTERS.intervals + 1)
    told = np.unique(rows.site)[[bool(part.groups) for part in parts]]
    kept = np.isin(rows.site, told)
    if counts is None:
        assert not kept.any()
        return
    assert counts[:, 0].sum() == pytest.approx(kept.sum())
    within = rows.event & (rows.time <= QUARTERS.edges_months[-1])
    assert counts[:, 0, :, 0].sum() == pytest.approx((kept & within).sum())
    for part in parts:
        for group in part.groups:
            sizes = group.cells.values[0].sum(axis=1)
            assert ((sizes == 0) | (sizes >= minimum_count)).all()


def test_intervals_are_those_of_patients_rows() -> None:
    rows = drawn(60, seed=5, sites=2)
    parts = survival_parts(rows, request(resamples=40))
    found = survival.harrell_c(parts)
    assert found is not None
    names = [f"site_{number}" for number in rows.site]
    seed = derive_seed(0, "internal/os")
    expected = c_index_estimate(rows.time, rows.event, rows.risk, names, resamples=40, seed=seed)
    assert percentile_estimate(found.values, n=60) == expected


def test_a_time_that_nobody_outlived_has_no_brier_score() -> None:
    rows = drawn(40, seed=6)
    short = Rows(rows.site, np.minimum(rows.time, 31.5), rows.event, rows.risk, rows.curve)
    curve = survival.brier_curve(survival_parts(short, request()), np.ones(7))
    assert curve is not None
    assert np.isnan(curve.model[0]).tolist() == [False] * 4 + [True] * 3
    both = curve.integrated(TIMES)
    assert both is not None
    assert np.isfinite(both[0].values).all()


def test_cuts_divide_by_the_share_of_patients() -> None:
    rows = drawn(101, seed=1, sites=3)
    asked = request()
    parts = survival_parts(rows, type(asked)(**{**vars(asked), "thresholds": None}))
    assert all(part.pairs is None for part in parts)
    (median,) = risk_groups.risk_cuts(parts, 2)
    assert abs(median - np.median(rows.risk)) <= 1 / 32 + 0.05
    low, high = risk_groups.risk_cuts(parts, 3)
    assert low < median < high
    shares = [(rows.risk < cut).mean() for cut in (low, high)]
    np.testing.assert_allclose(shares, [1 / 3, 2 / 3], atol=0.06)


def with_events(event: list[int], patients: int = 12) -> Rows:
    rows = drawn(patients, seed=0)
    flags = np.resize(np.array(event, dtype=bool), patients)
    return Rows(rows.site, rows.time, flags, rows.risk, rows.curve)


def test_brier_scores_of_all_events_agree_with_scikit_survival() -> None:
    rows = with_events([1], patients=40)
    curve = survival.brier_curve(survival_parts(rows, request()), null_curve(rows))
    assert curve is not None
    y = structured(rows)
    times = [months for months in TIMES if months < rows.time.max()]
    predicted = curves_at(rows.curve, QUARTERS.edges_months, tuple(times))
    expected = brier_score(y, y, predicted, times)[1]
    np.testing.assert_allclose(curve.model[0, : len(times)], expected, atol=1e-9)


def test_brier_scores_of_no_event_are_grafs() -> None:
    """scikit-survival refuses them; without an event only those who outlive a time count."""
    drawn_rows = drawn(40, seed=0)
    nobody = np.zeros(40, bool)
    time = np.floor(drawn_rows.time / 3) * 3 + 1.5
    rows = Rows(drawn_rows.site, time, nobody, drawn_rows.risk, drawn_rows.curve)
    curve = survival.brier_curve(survival_parts(rows, request()), null_curve(rows))
    assert curve is not None
    observed = KaplanMeierFitter().fit(time, ~nobody).survival_function_at_times(TIMES).to_numpy()
    predicted = curves_at(rows.curve, QUARTERS.edges_months, TIMES)
    outlived = time[:, None] > np.array(TIMES)
    expected = (outlived * (1 - predicted) ** 2 / observed).mean(axis=0)
    np.testing.assert_allclose(curve.model[0], expected, atol=1e-9)
    np.testing.assert_allclose(curve.null[0], 0, atol=1e-9)


def test_without_an_event_there_is_no_pair_and_no_test() -> None:
    rows = with_events([0], patients=40)
    parts = survival_parts(rows, request())
    assert [survival.auc_at(parts, index) for index in range(len(HORIZONS))] == [None] * 4
    uno = survival.uno_c(parts)
    assert uno is not None
    assert np.isnan(uno.values[0])
    counts = risk_groups.group_counts(parts, QUARTERS.intervals + 1)
    assert counts is not None
    both = [risk_groups.survival_counts(counts[g, 0], QUARTERS) for g in (0, 1)]
    assert kaplan_meier.log_rank(both) is None
    assert all((curve.survival == 1).all() for curve in both)


def test_of_all_events_risk_groups_agree_with_lifelines() -> None:
    rows = with_events([1], patients=40)
    counts = risk_groups.group_counts(survival_parts(rows, request()), QUARTERS.intervals + 1)
    assert counts is not None
    high = rows.risk > 0
    # The grid counts an event at the end of its interval.
    grid = np.array(QUARTERS.edges_months)
    end = grid[np.minimum(np.searchsorted(grid, rows.time), len(grid) - 1)]
    both = [risk_groups.survival_counts(counts[g, 0], QUARTERS) for g in (0, 1)]
    test = logrank_test(end[~high], end[high])
    assert kaplan_meier.log_rank(both) == pytest.approx(test.p_value, abs=1e-9)


def test_no_events_and_all_events_are_no_error() -> None:
    none, everybody = with_events([0]), with_events([1])
    for rows in (none, everybody):
        parts = survival_parts(rows, request(resamples=5))
        assert survival.brier_curve(parts, null_curve(rows)) is not None
    found = survival.harrell_c(survival_parts(none, request()))
    assert found is not None
    assert np.isnan(found.values).all()
    expected = concordance_index(everybody.time, -everybody.risk, everybody.event)
    found = survival.harrell_c(survival_parts(everybody, request()))
    assert found is not None
    assert found.values[0] == pytest.approx(expected, abs=1e-9)
    counts = risk_groups.group_counts(survival_parts(none, request()), QUARTERS.intervals + 1)
    assert counts is not None
    assert np.isnan(risk_groups.log_hazard_ratio(counts[0], counts[1])).all()


def test_one_patient_and_nobody() -> None:
    one = with_events([1], patients=1)
    found = survival.harrell_c(survival_parts(one, request()))
    assert found is not None
    assert np.isnan(found.values[0])
    assert survival_parts(one, request(), minimum_count=5)[0].labelled is None
    for statistic in (survival.harrell_c, survival.uno_c):
        assert statistic([]) is None


def test_a_whole_site_withheld_leaves_the_others_exact() -> None:
    """Site 1 has 3 events only, and its sums are not told: site 0's are all there is."""
    rows = drawn(60, seed=3)
    site = np.arange(60) % 2
    event = np.where(site == 1, np.arange(60) < 6, rows.event)
    both = Rows(site, rows.time, event, rows.risk, rows.curve)
    parts = survival_parts(both, request(), minimum_count=5)
    assert parts[1].pairs is None
    assert parts[1].labelled == 30
    found = survival.harrell_c(parts)
    own = site == 0
    assert found is not None
    expected = concordance_index(rows.time[own], -rows.risk[own], event[own])
    assert found.values[0] == pytest.approx(expected, abs=1e-9)
    assert found.patients == 30
