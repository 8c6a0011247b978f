"""Confusion counts, AUC and thresholds against scikit-learn."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import (
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from shared.evidence.cells import merged_starts
from shared.metrics.classification import (
    SCORE_BINS,
    ConfusionCounts,
    ScoreHistogram,
    auc,
    confusion_counts,
)

Row = tuple[bool, float]
# Sixteenths tie often and sit on bin edges; the others fall anywhere.
scores = st.one_of(st.integers(0, 16).map(lambda k: k / 16), st.floats(0, 1))
patients = st.lists(st.tuples(st.booleans(), scores), min_size=1, max_size=40)


def columns(rows: list[Row]) -> tuple[np.ndarray, np.ndarray]:
    label, score = zip(*rows, strict=True)
    return np.array(label, int), np.array(score, float)


@given(patients, scores)
def test_confusion_agrees_with_scikit_learn(rows: list[Row], threshold: float) -> None:
    label, score = columns(rows)
    called = score >= threshold
    counts = confusion_counts(label, score, threshold)
    tn, fp, fn, tp = confusion_matrix(label, called, labels=[0, 1]).ravel()
    assert counts == ConfusionCounts(tp, fp, fn, tn)
    assert counts.patients == len(rows)
    sensitivity = recall_score(label, called, zero_division=math.nan)
    ratios = [
        # Without a positive patient scikit-learn has an F1, and this project none.
        (counts.f1, f1_score(label, called) if label.any() else math.nan),
        (counts.sensitivity, sensitivity),
        (counts.specificity, recall_score(1 - label, ~called, zero_division=math.nan)),
        (
            counts.positive_predictive_value,
            precision_score(label, called, zero_division=math.nan),
        ),
        (
            counts.negative_predictive_value,
            precision_score(1 - label, ~called, zero_division=math.nan),
        ),
    ]
    for ours, expected in ratios:
        assert (math.nan if ours is None else ours) == pytest.approx(expected, nan_ok=True)


def test_ratios_without_a_denominator_are_none() -> None:
    assert ConfusionCounts(false_positive=2, true_negative=1).f1 is None
    assert ConfusionCounts(false_positive=2, true_negative=1).sensitivity is None
    assert ConfusionCounts(true_positive=2).specificity is None
    assert ConfusionCounts(true_negative=2).positive_predictive_value is None
    assert ConfusionCounts(true_positive=2).negative_predictive_value is None


def test_confusion_of_sites_adds_up() -> None:
    label, score = [1, 0, 1, 0, 1], [0.9, 0.8, 0.2, 0.1, 0.7]
    both = confusion_counts(label[:2], score[:2], 0.5) + confusion_counts(label[2:], score[2:], 0.5)
    assert both == confusion_counts(label, score, 0.5) == ConfusionCounts(2, 1, 1, 1)


@given(patients)
def test_auc_agrees_with_scikit_learn(rows: list[Row]) -> None:
    label, score = columns(rows)
    if len(set(label)) < 2:
        assert auc(label, score) is None
    else:
        assert auc(label, score) == pytest.approx(roc_auc_score(label, score), abs=1e-12)


def test_unknown_labels_are_left_out() -> None:
    label, score = [1, math.nan, 0], [0.9, math.nan, 0.1]
    assert auc(label, score) == 1
    assert confusion_counts(label, score, 0.5) == ConfusionCounts(1, 0, 0, 1)
    assert ScoreHistogram.count(label, score).positive.sum() == 1


@pytest.mark.parametrize(
    ("label", "score", "message"),
    [([1, 0], [math.nan, 1], "score is NaN for 1"), ([3, 0], [0, 1], "label must be 0 or 1")],
)
def test_refuses_what_is_no_cohort(label: list[float], score: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        auc(label, score)


@given(patients)
def test_histogram_auc_is_within_its_bound(rows: list[Row]) -> None:
    label, score = columns(rows)
    histogram = ScoreHistogram.count(label, score)
    exact = auc(label, score)
    if exact is None:
        assert histogram.auc is None
        assert histogram.auc_error is None
    else:
        assert histogram.auc is not None
        assert histogram.auc_error is not None
        assert abs(histogram.auc - exact) <= histogram.auc_error + 1e-12


def test_histogram_auc_bound_is_reached_by_a_misordered_bin() -> None:
    """Positive above negative in one bin: exact 1, binned 1/2, bound 1/2."""
    histogram = ScoreHistogram.count([1, 0], [0.5001, 0.5])
    assert (histogram.auc, histogram.auc_error) == (0.5, 0.5)


@given(patients)
def test_histogram_auc_is_exact_for_scores_on_edges(rows: list[Row]) -> None:
    label, score = columns(rows)
    score = np.floor(score * SCORE_BINS) / SCORE_BINS
    score = np.minimum(score, 1 - 1 / SCORE_BINS)
    assume(0 < label.sum() < len(label))
    assert ScoreHistogram.count(label, score).auc == pytest.approx(auc(label, score), abs=1e-12)


@given(patients, patients)
def test_histograms_of_sites_add_up_to_the_pooled_one(one: list[Row], other: list[Row]) -> None:
    pooled = ScoreHistogram.count(*columns(one + other))
    assert ScoreHistogram.count(*columns(one)) + ScoreHistogram.count(*columns(other)) == pooled
    assert ScoreHistogram.empty() + pooled == pooled


@pytest.mark.parametrize(
    "counts",
    [
        np.zeros(SCORE_BINS - 1, np.int64),
        np.full(SCORE_BINS, -1, np.int64),
        np.zeros(SCORE_BINS, np.float64),
    ],
)
def test_refuses_what_is_no_histogram(counts: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"bins|counts"):
        ScoreHistogram(positive=counts, negative=np.zeros(SCORE_BINS, np.int64))


@pytest.mark.parametrize("score", [-0.01, 1.01])
def test_a_histogram_takes_probabilities_only(score: float) -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        ScoreHistogram.count([1], [score])


@pytest.mark.parametrize("minimum", [1, 5, 9])
def test_a_coarsened_histogram_tells_no_more_than_its_cells(minimum: int) -> None:
    """Two cohorts that differ only within cells cannot be told apart by it."""
    generator = np.random.default_rng(minimum)
    label, score = generator.random(40) < 0.4, generator.random(40)
    fine = ScoreHistogram.count(label, score)
    coarse = fine.coarsened(minimum)
    assert (coarse.positive.sum(), coarse.negative.sum()) == (label.sum(), (~label).sum())
    edges = np.append(merged_starts(fine.positive + fine.negative, minimum), SCORE_BINS)
    for start, stop in pairwise(edges.tolist()):
        assert coarse.positive[start:stop].sum() == fine.positive[start:stop].sum()
        assert coarse.negative[start:stop].sum() == fine.negative[start:stop].sum()
    if minimum == 1:
        assert coarse == fine
        return
    # Everybody of a cell moves to its last bin, which holds somebody in any case.
    moved = edges[np.searchsorted(edges, (score * SCORE_BINS).astype(int), side="right")] - 1
    same_cells = ScoreHistogram.count(label, np.minimum((moved + 0.5) / SCORE_BINS, 1))
    assert same_cells.coarsened(minimum) == coarse
