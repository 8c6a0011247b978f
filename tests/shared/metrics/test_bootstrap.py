"""Bootstrap estimates against a plain loop of lifelines and scikit-learn."""

import math
import time as clock

import numpy as np
import pytest
from lifelines.utils import concordance_index
from sklearn.metrics import f1_score, roc_auc_score

from shared.metrics.bootstrap import auc_estimate, c_index_estimate, f1_estimate, site_resamples
from shared.metrics.classification import auc, confusion_counts
from shared.metrics.concordance import PairCounts, concordance_pairs
from shared.results import Estimate

RNG = np.random.default_rng(11)
N = 60
SITE = [("north", "south", "west")[k] for k in RNG.choice(3, N, p=[0.5, 0.3, 0.2])]
TIME = np.ceil(RNG.exponential(12, N))
EVENT = (RNG.random(N) < 0.6).astype(float)
RISK = np.round(-TIME / 12 + RNG.normal(0, 1, N), 1)
LABEL = (RNG.random(N) < 0.4).astype(float)
SCORE = np.clip(np.round(0.3 * LABEL + 0.6 * RNG.random(N), 2), 0, 1)


def rows_of(weights: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(len(weights)), weights.astype(int))


def interval(values: list[float]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def assert_same(estimate: Estimate, value: float, resampled: list[float]) -> None:
    assert estimate.value == pytest.approx(value, abs=1e-12)
    assert estimate.ci95 == pytest.approx(interval(resampled), abs=1e-12)


def test_resamples_keep_the_size_of_each_site() -> None:
    weights = site_resamples(SITE, resamples=50, seed=1)
    assert weights.shape == (50, N)
    for name in set(SITE):
        own = np.array(SITE) == name
        assert (weights[:, own].sum(axis=1) == own.sum()).all()


def test_resamples_draw_every_patient_equally_often() -> None:
    """Mean 1 and, for n of one site, variance 1 - 1/n: within 5 standard errors."""
    weights = site_resamples(["a"] * 20, resamples=4000, seed=2)
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=5 / math.sqrt(4000))
    assert weights.var() == pytest.approx(0.95, abs=0.05)


def test_a_sites_draws_do_not_depend_on_other_sites() -> None:
    alone = site_resamples(["a", "a", "a"], resamples=20, seed=3)
    beside = site_resamples(["b", "a", "a", "b", "a"], resamples=20, seed=3)
    np.testing.assert_array_equal(alone, beside[:, [1, 2, 4]])
    assert (alone != site_resamples(["a"] * 3, resamples=20, seed=4)).any()
    assert (alone != site_resamples(["b"] * 3, resamples=20, seed=3)).any()


def test_c_index_agrees_with_a_loop_over_the_same_resamples() -> None:
    def stratified(rows: np.ndarray) -> float:
        total = PairCounts()
        for name in set(SITE):
            own = rows[np.array(SITE)[rows] == name]
            total += concordance_pairs(TIME[own], EVENT[own], RISK[own])
        assert total.c_index is not None
        return total.c_index

    resamples = site_resamples(SITE, resamples=60, seed=5)
    estimate = c_index_estimate(TIME, EVENT, RISK, SITE, resamples=60, seed=5)
    assert_same(estimate, stratified(np.arange(N)), [stratified(rows_of(w)) for w in resamples])
    assert estimate.n == N


def test_c_index_of_one_site_agrees_with_lifelines_in_a_loop() -> None:
    site = ["only"] * N
    resamples = site_resamples(site, resamples=60, seed=6)
    estimate = c_index_estimate(TIME, EVENT, RISK, site, resamples=60, seed=6)
    resampled = [
        concordance_index(TIME[rows], -RISK[rows], EVENT[rows])
        for rows in (rows_of(w) for w in resamples)
    ]
    assert_same(estimate, concordance_index(TIME, -RISK, EVENT), resampled)


def test_auc_agrees_with_scikit_learn_in_a_loop() -> None:
    resamples = site_resamples(SITE, resamples=60, seed=7)
    estimate = auc_estimate(LABEL, SCORE, SITE, resamples=60, seed=7)
    resampled = [
        roc_auc_score(LABEL[rows], SCORE[rows]) for rows in (rows_of(w) for w in resamples)
    ]
    assert_same(estimate, roc_auc_score(LABEL, SCORE), resampled)
    assert estimate.value == auc(LABEL, SCORE)


def test_f1_agrees_with_scikit_learn_in_a_loop() -> None:
    resamples = site_resamples(SITE, resamples=60, seed=8)
    estimate = f1_estimate(LABEL, SCORE, SITE, 0.45, resamples=60, seed=8)
    called = SCORE >= 0.45
    resampled = [f1_score(LABEL[rows], called[rows]) for rows in (rows_of(w) for w in resamples)]
    assert_same(estimate, f1_score(LABEL, called), resampled)
    assert estimate.value == confusion_counts(LABEL, SCORE, 0.45).f1


def test_unknown_labels_are_removed_before_drawing() -> None:
    unknown = np.arange(N) % 4 == 0
    time, label = np.where(unknown, math.nan, TIME), np.where(unknown, math.nan, LABEL)
    site = [name for name, missing in zip(SITE, unknown, strict=True) if not missing]
    kept = ~unknown
    pairs = [
        (
            c_index_estimate(time, EVENT, RISK, SITE, resamples=20),
            c_index_estimate(TIME[kept], EVENT[kept], RISK[kept], site, resamples=20),
        ),
        (
            auc_estimate(label, SCORE, SITE, resamples=20),
            auc_estimate(LABEL[kept], SCORE[kept], site, resamples=20),
        ),
        (
            f1_estimate(label, SCORE, SITE, 0.5, resamples=20),
            f1_estimate(LABEL[kept], SCORE[kept], site, 0.5, resamples=20),
        ),
    ]
    for with_unknown, without in pairs:
        assert with_unknown == without
        assert with_unknown.n == 45


def test_what_cannot_be_had_is_none_with_its_n() -> None:
    nothing = Estimate(value=None, ci95=None, n=3)
    site = ["a", "a", "b"]
    assert c_index_estimate([1, 2, 3], [0, 0, 0], [1, 2, 3], site, resamples=9) == nothing
    assert auc_estimate([1, 1, 1], [0.1, 0.2, 0.3], site, resamples=9) == nothing
    assert f1_estimate([0, 0, 0], [0.1, 0.2, 0.3], site, 0.5, resamples=9) == nothing
    empty = Estimate(value=None, ci95=None, n=0)
    assert c_index_estimate([], [], [], [], resamples=9) == empty
    assert auc_estimate([], [], [], resamples=9) == empty
    assert f1_estimate([], [], [], 0.5, resamples=9) == empty
    assert auc_estimate([1], [0.5], ["a"], resamples=9).value is None


def test_one_pair_across_sites_is_no_pair() -> None:
    assert c_index_estimate([1, 2], [1, 1], [2, 1], ["a", "b"], resamples=9).value is None


def test_interval_is_none_where_most_resamples_are_empty() -> None:
    """Both patients of the only pair of 12 are drawn in 39% of resamples: too few.

    1 - 2 (11/12)^12 + (10/12)^12 = 0.39. The only positive of 12 is drawn in 65%: enough.
    """
    site = ["a"] * 12
    time, event = [*range(1, 11), 50, 60], [0] * 10 + [1, 0]
    pair = c_index_estimate(time, event, time, site, resamples=400)
    assert pair == Estimate(value=0.0, ci95=None, n=12)
    positive = auc_estimate([1] + [0] * 11, range(12), site, resamples=400)
    assert positive == Estimate(value=0.0, ci95=(0.0, 0.0), n=12)


def test_the_same_seed_gives_the_same_interval() -> None:
    one = auc_estimate(LABEL, SCORE, SITE, resamples=100, seed=1)
    assert one == auc_estimate(LABEL, SCORE, SITE, resamples=100, seed=1)
    assert one != auc_estimate(LABEL, SCORE, SITE, resamples=100, seed=2)


def test_a_thousand_resamples_of_a_published_cohort_are_quick() -> None:
    """300 patients, 1,000 resamples: the goal is half a second; a loop takes minutes."""
    rng = np.random.default_rng(0)
    start = clock.perf_counter()
    c_index_estimate(rng.random(300), np.ones(300), rng.random(300), ["a"] * 300, resamples=1000)
    assert clock.perf_counter() - start < 0.5


def test_refuses_sites_of_another_number_of_patients() -> None:
    with pytest.raises(ValueError, match="1 sites for 2 patients"):
        auc_estimate([0, 1], [0.1, 0.9], ["a"])


def test_refuses_no_resamples() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        site_resamples(["a"], resamples=0, seed=0)
