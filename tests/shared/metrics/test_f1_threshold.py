"""The threshold for F1 against scikit-learn's F1 of every cut, on draws whose chances are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.metrics import f1_score

from shared.metrics.f1_threshold import f1_threshold, grouped_f1_threshold


def drawn(patients: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return labels, and the chances that they were drawn by."""
    generator = np.random.default_rng(seed)
    chance = expit(generator.normal(-0.75, 1.8, patients))
    return (generator.random(patients) < chance).astype(float), chance


def best_f1(label: np.ndarray, probability: np.ndarray) -> float:
    cuts = np.quantile(probability, np.linspace(0.02, 0.98, 97))
    return max(float(f1_score(label, probability >= cut)) for cut in cuts)


def test_of_three_patients_by_hand() -> None:
    """Chances 0.8, 0.4, 0.1: of 1.3 expected, F1 is 1.6/2.3, 2.4/3.3 and 2.6/4.3; half is 0.364.

    A patient's worth of outcomes in these very proportions leaves the chances as they are.
    """
    chance = [0.8, 0.4, 0.1]
    found = grouped_f1_threshold([1.0, 1.0, 1.0], chance, chance)
    assert found == pytest.approx(1.2 / 3.3, abs=1e-6)


@pytest.mark.parametrize(("shift", "slope"), [(0, 1), (-0.8, 1), (0.3, 0.6), (0.2, 1.7)])
def test_many_patients_are_called_as_well_as_by_the_best_cut(shift: float, slope: float) -> None:
    """Whatever the model makes of the chances, as long as it keeps their order."""
    label, chance = drawn(8000, 1)
    said = expit(shift + slope * logit(chance))
    threshold = f1_threshold(label[:4000], said[:4000])
    assert threshold is not None
    reached = f1_score(label[4000:], said[4000:] >= threshold)
    assert reached == pytest.approx(best_f1(label[4000:], said[4000:]), abs=0.01)


def test_few_patients_lose_less_than_by_their_own_best_cut() -> None:
    """45 patients of a site: the best of their cuts loses 0.02 of the F1 of others here."""
    others, chance = drawn(4000, 0)
    best, lost = best_f1(others, chance), []
    for seed in range(1, 41):
        threshold = f1_threshold(*drawn(45, seed))
        assert threshold is not None
        lost.append(best - f1_score(others, chance >= threshold))
    assert np.mean(lost) < 0.01


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=30))
def test_any_patients_have_a_threshold_or_nobody_to_find(rows: list[tuple[bool, float]]) -> None:
    label, score = (np.array(column, float) for column in zip(*rows, strict=True))
    threshold = f1_threshold(label, score)
    if not label.any():
        assert threshold is None
        return
    assert threshold is not None
    assert 0 < threshold < 1


@given(st.integers(0, 50), st.integers(2, 4))
def test_patients_alike_may_be_one_group(seed: int, copies: int) -> None:
    label, chance = drawn(20, seed)
    label[0] = 1
    rows = f1_threshold(np.repeat(label, copies), np.repeat(chance, copies))
    groups = grouped_f1_threshold(np.full(20, copies), copies * label, chance)
    assert rows == pytest.approx(groups, abs=1e-5)


def test_unknown_labels_are_left_out() -> None:
    label, chance = drawn(30, 3)
    more = np.append(label, np.nan), np.append(chance, 0.99)
    assert f1_threshold(*more) == f1_threshold(label, chance)
