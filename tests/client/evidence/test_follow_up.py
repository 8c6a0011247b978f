"""Curves from cells of follow-up against lifelines on patients' rows, in simulated federations."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter

from client.evidence.follow_up import follow_up_cells
from client.evidence.rule import Rule
from shared.evidence.cells import Cells
from shared.evidence.follow_up import FollowUpCells, supported_months, survival_bounds
from shared.evidence.request import follow_up_grid
from shared.evidence.risk_groups import follow_up_counts
from shared.metrics.kaplan_meier import SurvivalCounts
from shared.metrics.labelled import FloatArray
from shared.plan import Plan

GRID = follow_up_grid(Plan())
TIMES = np.array([0.0, *GRID.edges_months])
BINS = GRID.intervals + 1


@dataclass(frozen=True)
class Federation:
    """One risk group's rows at several sites, and what the sites tell of them."""

    time: FloatArray
    event: np.ndarray
    told: list[FollowUpCells]

    @property
    def curve(self) -> SurvivalCounts:
        counts = follow_up_counts(self.told, GRID)
        assert counts is not None
        return counts

    @property
    def exact(self) -> FloatArray:
        fitted = KaplanMeierFitter().fit(self.time, self.event)
        return np.asarray(fitted.survival_function_at_times(TIMES))

    @property
    def worst(self) -> float:
        shown = supported_months(self.told, GRID) >= TIMES
        return float(np.abs(self.curve.survival - self.exact)[shown].max())


def federation(
    sites: int, patients: int, closed_months: float, seed: int, minimum_count: int = 5
) -> Federation:
    """Draw deaths with a mean of 40 months, of patients who enter until 3 months before the end."""
    generator = np.random.default_rng(seed)
    death = generator.exponential(40, (sites, patients))
    left = generator.uniform(3, closed_months, (sites, patients))
    time, event = np.maximum(np.minimum(death, left), 0.1), death <= left
    once, rule = np.ones((1, patients)), Rule(minimum_count, 0)
    told = [follow_up_cells(t, e, once, GRID, rule) for t, e in zip(time, event, strict=True)]
    return Federation(time.ravel(), event.ravel(), told)


@pytest.mark.parametrize(
    ("sites", "patients", "closed"),
    [(5, 23, 36), (5, 23, 60), (2, 26, 36), (2, 13, 20), (5, 60, 60)],
)
def test_curves_of_merged_cells_stay_near_those_of_rows(
    sites: int, patients: int, closed: float
) -> None:
    """What the page says: 0.05 at the worst time as a rule, less than 0.2 always."""
    found = [federation(sites, patients, closed, seed) for seed in range(20)]
    worst = [each.worst for each in found]
    assert np.median(worst) < 0.08
    assert max(worst) < 0.2


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(1, 4),
    st.integers(5, 30),
    st.sampled_from([8.0, 36.0, 300.0]),
    st.sampled_from([1, 5]),
)
def test_bounds_hold_for_every_federation(
    seed: int, sites: int, patients: int, closed: float, minimum_count: int
) -> None:
    rows = federation(sites, patients, closed, seed, minimum_count)
    lowest, highest = survival_bounds(rows.told, GRID)
    followed = rows.time.max() >= TIMES
    assert (lowest <= rows.exact + 1e-9)[followed].all()
    assert (rows.exact <= highest + 1e-9)[followed].all()


def test_bounds_by_hand() -> None:
    """Ten patients, no cell but one that ends at 6 months: 2 die there, 3 are censored.

    At 3 months the worst is that the three left at once and both of seven died; the best that
    nobody did. At 6 months the best is that both died of ten.
    """
    cells = Cells(np.array([0, 3]), np.array([[[2.0, 3.0], [0.0, 5.0]]]))
    lowest, highest = survival_bounds([FollowUpCells(cells, np.array([1, 20]))], GRID)
    np.testing.assert_allclose(lowest[:4], [1, 5 / 7, 5 / 7, 5 / 7])
    np.testing.assert_allclose(highest[:4], [1, 1, 8 / 10, 8 / 10])


def test_nothing_is_drawn_where_nobody_was_followed() -> None:
    """Two sites whose study closed at 20 months, on a grid that goes on to 120."""
    rows = federation(2, 13, 20, seed=1)
    assert supported_months(rows.told, GRID) < rows.time.max()
    assert rows.curve.at_risk_at([48.0, 96.0]).tolist() == [0, 0]


def test_cells_of_one_bin_are_exact() -> None:
    rows = federation(3, 40, 60, seed=2, minimum_count=1)
    last = GRID.discretise(rows.time, rows.event)[0].max() + 1
    assert supported_months(rows.told, GRID) == TIMES[last]
    summed = sum(cells.placed(BINS)[0] for cells in rows.told)
    np.testing.assert_array_equal(np.asarray(summed), np.asarray(summed).round())


def test_a_middle_tells_no_single_patients_bin() -> None:
    """Of a cell that ends at 15 months, who knows four patients does not learn the fifth's."""
    event, once = np.zeros(10, bool), np.ones((1, 10))
    known, others = [4.0, 4.0, 4.0, 16.0], [40.0] * 5
    told = [
        follow_up_cells(np.array([*known, fifth, *others]), event, once, GRID, Rule(5, 0))
        for fifth in (7.0, 10.0)
    ]
    assert [cells.middles[0] for cells in told] == [2, 2]
    assert [cells.cells.starts[1] for cells in told] == [6, 6]


def test_nobody_has_an_event_before_the_first_interval() -> None:
    """Most were censored at once, so that the middle is bin 0: the one event is in bin 1."""
    cells = FollowUpCells(Cells(np.array([0]), np.array([[[1.0, 5.0]]])), np.array([0]))
    placed = cells.placed(BINS)[0]
    assert placed[:3].tolist() == [[0, 5], [1, 0], [0, 0]]


@pytest.mark.parametrize("middles", [[1, 3], [4, 4], [1]])
def test_a_middle_outside_its_cell_is_refused(middles: list[int]) -> None:
    with pytest.raises(ValueError, match="middle"):
        FollowUpCells(Cells(np.array([0, 4]), np.ones((1, 2, 2))), np.array(middles))
