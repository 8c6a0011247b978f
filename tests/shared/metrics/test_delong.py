"""The paired test of two AUCs against its definition, pair by pair."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from shared.metrics.delong import auc_difference

scores = st.integers(0, 6).map(lambda k: k / 6)
cohorts = st.lists(st.tuples(st.booleans(), scores, scores), min_size=4, max_size=40)


def by_definition(label: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return V10 and V01 of the paper's equation 4: the mean of psi over the other class."""
    psi = np.array(
        [[1.0 if x > y else 0.5 if x == y else 0.0 for y in score[~label]] for x in score[label]]
    )
    return psi.mean(axis=1), psi.mean(axis=0)


@settings(max_examples=60, deadline=None)
@given(cohorts)
def test_it_is_the_papers(rows: list[tuple[bool, float, float]]) -> None:
    """S = S10 / m + S01 / n with covariances of both scores; L S L' for L = (1, -1)."""
    label, first, second = (np.array(column) for column in zip(*rows, strict=True))
    found = auc_difference(label, first, second)
    if not 0 < label.sum() < len(label):
        assert found.value is None
        return
    assert found.value == pytest.approx(
        roc_auc_score(label, first) - roc_auc_score(label, second), abs=1e-9
    )
    if min(label.sum(), (~label).sum()) < 2:
        assert found.ci95 is None
        return
    one, other = by_definition(label, first), by_definition(label, second)
    parts = [np.cov(np.stack([a, b])) / len(a) for a, b in zip(one, other, strict=True)]
    s = parts[0] + parts[1]
    variance = s[0, 0] + s[1, 1] - 2 * s[0, 1]
    assert found.ci95 is not None
    half = (found.ci95[1] - found.ci95[0]) / 2
    assert half == pytest.approx(1.959963984540054 * max(variance, 0) ** 0.5, abs=1e-7)


def test_the_same_score_twice_does_not_differ() -> None:
    found = auc_difference([0, 1, 0, 1], [0.1, 0.4, 0.5, 0.8], [0.1, 0.4, 0.5, 0.8])
    assert found.value == 0
    assert found.ci95 == (0, 0)


def test_unknown_labels_are_left_out() -> None:
    found = auc_difference([0, 1, np.nan], [0.1, 0.4, 0.0], [0.5, 0.4, 1.0])
    assert (found.value, found.ci95, found.n) == (1.0, None, 2)
