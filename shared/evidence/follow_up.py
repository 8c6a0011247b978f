"""Follow-up in cells of enough patients: where in a cell they left, and what that leaves open."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.evidence.cells import Cells, FloatArray, IntArray
from shared.metrics.kaplan_meier import SurvivalCounts
from shared.time_grid import TimeGrid

EVENT, CENSORED = range(2)


@dataclass(frozen=True, eq=False)
class FollowUpCells:
    """Patients who left in each of m cells along the follow-up grid.

    Attributes
    ----------
    cells : Cells
        Events and censorings, by the bins of `shared.evidence.axes.follow_up_position`.
    middles : ndarray, shape (m,), int64
        The bin nearest to the mean of a cell's patients' bins; of events and censorings
        together, since there may be one event only. Rounded to a bin: a mean in months and four
        of five patients would tell the fifth's. The first bin where nobody is.

    Raises
    ------
    ValueError
        Other columns than two, or a middle outside its cell.
    """

    cells: Cells
    middles: IntArray

    def __post_init__(self) -> None:
        starts = self.cells.starts
        if self.cells.values.shape[2] != 2:
            raise ValueError("follow-up needs events and censorings in each cell")
        if self.middles.shape != starts.shape:
            raise ValueError(f"{len(starts)} cells, but middles of shape {self.middles.shape}")
        if (self.middles < starts).any() or (self.middles[:-1] >= starts[1:]).any():
            raise ValueError("the middle of a cell lies in it")

    def fits(self, bins: int) -> bool:
        """Return whether all lies on a grid of so many bins."""
        return bool(self.cells.starts[-1] < bins and self.middles[-1] < bins)

    def last(self) -> int:
        """Return the bin to which follow-up is certain: the middle of the last cell of anybody.

        Who of that cell stayed longest, and until when, is not told.
        """
        held = np.flatnonzero(self.cells.values[0].sum(axis=1))
        return int(self.middles[held[-1]]) if len(held) else 0

    def placed(self, bins: int) -> FloatArray:
        """Return events and censorings at each bin, shape (R, bins, 2); they may be fractions.

        A cell's patients are taken to leave evenly around its middle, as far as the nearer of its
        ends: exact where each cell is one bin. Nobody has an event in bin 0.
        """
        (first, last), bin_ = self._ends(bins), np.arange(bins)
        reach = np.minimum(self.middles - first, last - self.middles)
        near = np.abs(bin_ - self.middles[:, None]) <= reach[:, None]
        after = near & (bin_ > 0)
        after[:, 1] |= ~after.any(axis=1)
        values = self.cells.values
        columns = [values[:, :, EVENT] @ _shares(after), values[:, :, CENSORED] @ _shares(near)]
        return np.stack(columns, axis=2)

    def leaving(self, bins: int) -> FloatArray:
        """Return each cell's first and last bin, events and censorings, shape (m, 4)."""
        return np.column_stack([*self._ends(bins), self.cells.values[0]])

    def _ends(self, bins: int) -> tuple[IntArray, IntArray]:
        starts = self.cells.starts
        return starts, np.append(starts[1:], bins) - 1


def _shares(where: NDArray[np.bool_]) -> FloatArray:
    return np.asarray(where / where.sum(axis=1, keepdims=True))


def supported_months(told: Sequence[FollowUpCells], grid: TimeGrid) -> float:
    """Return until when sites together are certain to have followed somebody."""
    return (0.0, *grid.edges_months)[max((cells.last() for cells in told), default=0)]


def survival_bounds(told: Sequence[FollowUpCells], grid: TimeGrid) -> tuple[FloatArray, FloatArray]:
    """Return the lowest and highest Kaplan-Meier estimates that patients' exact times could give.

    At 0 and every edge of the grid, each of shape (bins,). Survival at a time is the product of
    1 - 1 / (patients at risk) over the events until then. A censoring that is moved forward past
    an event lowers it, and so does an event that is moved back past a censoring, or comes to lie
    before the time. The lowest at a time has therefore each cell's censorings at its beginning,
    and its events as late as they can be but not after that time. The highest has its events at
    the beginning, or after the time if they can be, and its censorings at the very end, which is
    within the bin after its last edge and so after that bin's events.
    """
    bins = grid.intervals + 1
    first, last, events, censored = np.concatenate([cells.leaving(bins) for cells in told]).T
    first_event = np.maximum(first, 1)
    bounds = np.ones((2, bins))
    for now in range(1, bins):
        late = np.clip(now, first_event, np.maximum(last, 1))
        bounds[0, now] = _survival(late, events, first, censored, now)
        early = np.where(last <= now, first_event, last)
        bounds[1, now] = _survival(early, events, last + 1, censored, now)
    return bounds[0], bounds[1]


def _survival(
    event_bin: FloatArray, events: FloatArray, left_bin: FloatArray, censored: FloatArray, now: int
) -> float:
    """Return the Kaplan-Meier estimate at a bin of patients who leave at given bins."""
    bins = int(max(event_bin.max(), left_bin.max())) + 1
    counts = SurvivalCounts(
        np.arange(bins, dtype=np.float64),
        np.bincount(event_bin.astype(np.int64), events, bins),
        np.bincount(left_bin.astype(np.int64), censored, bins),
    )
    return float(counts.survival_at(now))
