"""The common axes along which patients are counted; every edge is the same float everywhere."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.time_grid import TimeGrid

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """Equal bins from `low` to `high`; what lies beyond counts in the first and the last.

    Attributes
    ----------
    low, high : float
    bins : int
        A power of two where `high - low` is one, so that every edge is an exact float.
    unit : str
    """

    low: float
    high: float
    bins: int
    unit: str = ""

    @property
    def edges(self) -> FloatArray:
        """Ends of the bins, shape (bins + 1,)."""
        steps = np.arange(self.bins + 1, dtype=np.float64)
        edges: FloatArray = self.low + (self.high - self.low) / self.bins * steps
        return edges

    @property
    def centres(self) -> FloatArray:
        """Middles of the bins, shape (bins,)."""
        centres: FloatArray = (self.edges[:-1] + self.edges[1:]) / 2
        return centres

    def position(self, values: ArrayLike) -> IntArray:
        """Return the bin of each value, of their shape; bin k is ``[edge k, edge k + 1)``."""
        found = np.searchsorted(self.edges, np.asarray(values, dtype=np.float64), side="right")
        return np.clip(found - 1, 0, self.bins - 1).astype(np.int64)


PROBABILITY = Axis(0.0, 1.0, 128, "probability")
RISK = Axis(-16.0, 16.0, 1024, "log odds")


def follow_up_position(grid: TimeGrid, months: ArrayLike, event: ArrayLike) -> IntArray:
    """Return each patient's bin of follow-up, shape (n,), of ``grid.intervals + 1``.

    Bin 0 is censored before the first edge; bin k is an event in interval k - 1, or a censoring
    between its end and the next (`TimeGrid.discretise`); an event beyond the last edge counts
    as censored there.
    """
    interval, _ = grid.discretise(months, event)
    return interval + 1
