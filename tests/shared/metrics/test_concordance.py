"""Pair counts against lifelines and scikit-survival."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lifelines.utils import concordance_index
from sksurv.metrics import concordance_index_censored

from shared.metrics.concordance import PairCounts, concordance_pairs

# Few distinct times and risks: ties of every kind, censoring at event times, no events and
# single patients all come up. Risks are far enough apart for scikit-survival's tolerance.
Row = tuple[int, bool, int]
patients = st.lists(
    st.tuples(st.integers(1, 6), st.booleans(), st.integers(-3, 3)), min_size=1, max_size=25
)


def columns(rows: list[Row]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    time, event, risk = zip(*rows, strict=True)
    return np.array(time, float), np.array(event, bool), np.array(risk, float)


def test_by_hand() -> None:
    """Events at 1 and 2, censored at 2 and 3; risks 5, 5, 5, 7.

    The event at 1 outlived by three: tied, tied, discordant (5 < 7). The event at 2 is
    outlived by the one censored at 2 (tied) and at 3 (discordant).
    """
    pairs = concordance_pairs([1, 2, 2, 3], [1, 1, 0, 0], [5, 5, 5, 7])
    assert pairs == PairCounts(concordant=0, discordant=2, tied=3)
    assert pairs.c_index == 1.5 / 5


@given(patients)
def test_agrees_with_lifelines(rows: list[Row]) -> None:
    time, event, risk = columns(rows)
    ours = concordance_pairs(time, event, risk).c_index
    if ours is None:
        with pytest.raises(ZeroDivisionError):
            concordance_index(time, -risk, event)
    else:
        assert ours == pytest.approx(concordance_index(time, -risk, event), abs=1e-12)


@pytest.mark.filterwarnings("ignore:invalid value encountered in scalar divide")
@given(patients)
def test_counts_agree_with_scikit_survival(rows: list[Row]) -> None:
    time, event, risk = columns(rows)
    pairs = concordance_pairs(time, event, risk)
    try:
        c_index, *counts, _ = concordance_index_censored(event, time, risk)
    except ValueError:  # it refuses one patient, no event, no comparable pair
        assert pairs == PairCounts()
        return
    assert pairs == PairCounts(*counts)
    if pairs.c_index is not None:
        assert pairs.c_index == pytest.approx(c_index, abs=1e-12)


def test_all_events_and_no_tie_is_kendalls_order() -> None:
    assert concordance_pairs([1, 2, 3], [1, 1, 1], [3, 2, 1]) == PairCounts(3, 0, 0)


@pytest.mark.parametrize("event", [[0, 0, 0], [0, 0, 1]])
def test_no_comparable_pair_is_no_c_index(event: list[int]) -> None:
    pairs = concordance_pairs([1, 2, 3], event, [1, 2, 3])
    assert pairs.comparable == 0
    assert pairs.c_index is None


def test_no_patient_and_one_patient() -> None:
    assert concordance_pairs([], [], []) == PairCounts()
    assert concordance_pairs([5], [1], [0.3]) == PairCounts()


@given(st.lists(patients, min_size=1, max_size=4))
def test_sums_over_sites_are_pairs_within_sites(sites: list[list[Row]]) -> None:
    """The comparable pairs of the sum, counted one by one from the definition."""
    total = sum((concordance_pairs(*columns(rows)) for rows in sites), start=PairCounts())
    within = 0
    for rows in sites:
        for i, (time, event, _) in enumerate(rows):
            within += sum(
                event and (other > time or (other == time and not seen))
                for j, (other, seen, _) in enumerate(rows)
                if i != j
            )
    assert total.comparable == within


def test_unknown_labels_are_left_out() -> None:
    nan = math.nan
    assert concordance_pairs(
        [1, nan, 2, 3], [1, 1, nan, 0], [2.0, nan, 0.0, 1.0]
    ) == concordance_pairs([1, 3], [1, 0], [2.0, 1.0])


@pytest.mark.parametrize(
    ("time", "event", "risk", "message"),
    [
        ([1, 2], [1, 0], [math.nan, 1], "risk is NaN for 1 patients"),
        ([1, 2], [2, 0], [0, 1], "event must be 0 or 1"),
        ([1, math.inf], [1, 0], [0, 1], "time must be finite"),
        ([1, 2, 3], [1, 0], [0, 1], "of one length"),
        ([[1, 2]], [[1, 0]], [[0, 1]], "one-dimensional"),
    ],
)
def test_refuses_what_is_no_cohort(
    time: list[float], event: list[float], risk: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        concordance_pairs(time, event, risk)
