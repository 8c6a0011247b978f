"""The federation's time grid: where observed times fall."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.time_grid import TimeGrid

GRID = TimeGrid((3.0, 6.0, 12.0))


@pytest.mark.parametrize(
    ("months", "event", "interval", "seen"),
    [
        (1.0, True, 0, True),
        (3.0, True, 0, True),  # an interval contains its end
        (3.5, True, 1, True),
        (12.0, True, 2, True),
        (12.5, True, 2, False),  # beyond the grid: censored at its end
        (1.0, False, -1, False),  # nothing finished
        (3.0, False, 0, False),
        (5.9, False, 0, False),
        (6.0, False, 1, False),
        (40.0, False, 2, False),
    ],
)
def test_a_time_falls_where_the_rules_say(
    months: float, event: bool, interval: int, seen: bool
) -> None:
    index, observed = GRID.discretise([months], [event])
    assert (index.tolist(), observed.tolist()) == ([interval], [seen])


@pytest.mark.parametrize(
    ("months", "event", "exposure", "died"),
    [
        (1.0, True, [1, 0, 0], [1, 0, 0]),  # an event counts whole, whenever it fell
        (3.0, True, [1, 0, 0], [1, 0, 0]),
        (7.5, True, [1, 1, 1], [0, 0, 1]),
        (12.5, True, [1, 1, 1], [0, 0, 0]),  # beyond the grid: it was survived
        (1.0, False, [1 / 3, 0, 0], [0, 0, 0]),
        (3.0, False, [1, 0, 0], [0, 0, 0]),
        (7.5, False, [1, 1, 0.25], [0, 0, 0]),
        (40.0, False, [1, 1, 1], [0, 0, 0]),
    ],
)
def test_an_interval_counts_by_the_share_that_was_observed(
    months: float, event: bool, exposure: list[float], died: list[int]
) -> None:
    share, where = GRID.exposure([months], [event])
    np.testing.assert_allclose(share, [exposure], rtol=1e-12)
    np.testing.assert_array_equal(where, np.array([died], dtype=bool))


def pycox_labels(
    months: np.ndarray, event: np.ndarray, cuts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Do what LabTransDiscreteTime is described to do with given cuts.

    Times beyond the last cut are censored there; then an event goes to the smallest cut that
    is not below it, a censoring to the largest cut that is not above it; the index of that cut
    is the label.
    """
    labels, events = [], []
    for time, seen in zip(months, event, strict=True):
        inside = bool(seen) and time <= cuts[-1]
        clipped = min(time, cuts[-1])
        kept = cuts[cuts >= clipped].min() if inside else cuts[cuts <= clipped].max()
        labels.append(int(np.flatnonzero(cuts == kept)[0]))
        events.append(inside)
    return np.array(labels), np.array(events)


quarters = st.integers(1, 80).map(lambda k: k / 4)


@given(st.lists(st.tuples(quarters, st.booleans()), min_size=1, max_size=30))
def test_agrees_with_pycox_on_cuts_that_begin_at_zero(rows: list[tuple[float, bool]]) -> None:
    months, event = (np.array(column) for column in zip(*rows, strict=True))
    interval, seen = GRID.discretise(months, event)
    expected, expected_event = pycox_labels(months, event, np.array([0.0, 3.0, 6.0, 12.0]))
    np.testing.assert_array_equal(interval + 1, expected)
    np.testing.assert_array_equal(seen, expected_event)


def test_a_float32_time_on_an_edge_meets_it() -> None:
    grid = TimeGrid((0.1, 12.1))
    interval, _ = grid.discretise(np.array([0.1, 12.1], dtype=np.float32), [True, False])
    assert interval.tolist() == [0, 1]


def test_widths_add_up_to_the_last_edge() -> None:
    assert GRID.widths_months == (3.0, 3.0, 6.0)
    assert GRID.intervals == 3


def test_no_patients_is_no_error() -> None:
    interval, event = GRID.discretise([], [])
    assert interval.shape == event.shape == (0,)


@pytest.mark.parametrize(
    "edges", [(), (0.0, 1.0), (-1.0,), (2.0, 1.0), (1.0, 1.0), (1.0, float("nan")), (float("inf"),)]
)
def test_refuses_edges_that_make_no_grid(edges: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="edges_months"):
        TimeGrid(edges)


@pytest.mark.parametrize("months", [0.0, -1.0, float("nan"), float("inf")])
def test_refuses_a_time_that_is_none(months: float) -> None:
    with pytest.raises(ValueError, match="months"):
        GRID.discretise([months], [True])


def test_refuses_columns_of_different_lengths() -> None:
    with pytest.raises(ValueError, match="one length"):
        GRID.discretise([1.0, 2.0], [True])
