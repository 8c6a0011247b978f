"""Kaplan-Meier and log-rank from counts of events and censorings, which add up over sites."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, ndtri

from shared.metrics.labelled import FloatArray, labelled_survival
from shared.time_grid import TimeGrid

IntArray = NDArray[np.int64]
# Counts are whole, or fractions where a site's merged intervals were spread over a finer grid.
Counts = NDArray[np.int64] | NDArray[np.float64]
# Parts of one event may add up to a little less.
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class SurvivalCounts:
    """How many patients had the event, and how many were censored, at each time.

    Everyone leaves at one of the times, so the numbers at risk follow. Counts of several
    sites, or of sites with different times, add up to what pooled rows give.

    Attributes
    ----------
    times_months : ndarray, shape (K,), float64
        Strictly increasing.
    events, censored : ndarray, shape (K,)
        A patient censored at a time is still at risk for the events of that time.

    Raises
    ------
    ValueError
        Different lengths, times that do not increase, or negative counts.
    """

    times_months: FloatArray
    events: Counts
    censored: Counts

    def __post_init__(self) -> None:
        if not self.times_months.shape == self.events.shape == self.censored.shape:
            raise ValueError("times, events and censored must have the same length")
        if not (np.isfinite(self.times_months).all() and (np.diff(self.times_months) > 0).all()):
            raise ValueError("times must be finite and strictly increasing")
        if (self.events < 0).any() or (self.censored < 0).any():
            raise ValueError("counts must be >= 0")

    def __add__(self, other: "SurvivalCounts") -> "SurvivalCounts":
        times = np.union1d(self.times_months, other.times_months)
        sums = np.zeros((2, len(times)), dtype=np.result_type(self.events, other.events))
        for part in (self, other):
            sums[:, np.searchsorted(times, part.times_months)] += [part.events, part.censored]
        return SurvivalCounts(times, sums[0], sums[1])

    @property
    def patients(self) -> int:
        """Number of patients counted."""
        return round(float(self.events.sum() + self.censored.sum()))

    @property
    def at_risk(self) -> Counts:
        """Patients under observation just before each time, shape (K,)."""
        leaving = self.events + self.censored
        at_risk: Counts = leaving[::-1].cumsum()[::-1]
        return at_risk

    @property
    def survival(self) -> FloatArray:
        """Kaplan-Meier estimate just after each time, shape (K,); 1 before the first."""
        kept: FloatArray = 1 - _share(self.events, self.at_risk)
        return kept.cumprod()

    @property
    def observed(self) -> FloatArray:
        """Chance to be uncensored still just before each time, shape (K,).

        The Kaplan-Meier estimate of the time to censoring; events at a time come first.
        """
        kept = (1 - _share(self.censored, self.at_risk - self.events)).cumprod()
        return np.concatenate([np.ones(1), kept[:-1]])[: len(kept)]

    def confidence_band(self, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Return the pointwise lower and upper limit of `survival`, each of shape (K,).

        Greenwood's variance on the scale of log(-log S), which keeps the limits within [0, 1]
        (Kalbfleisch and Prentice 2002, section 1.4). It has no width where S is 1, and both
        limits are 0 where S is 0: there the scale ends. Nor has it any before one whole event:
        events of a merged cell are placed in parts, and of a hundredth of one the lower limit
        would be 0.
        """
        survival, at_risk = self.survival, self.at_risk
        variance = np.cumsum(_share(self.events, at_risk * (at_risk - self.events)))
        deviation = np.sqrt(np.maximum(variance, 0))
        whole = np.cumsum(self.events) > 1 - _ROUNDING
        inside = (survival > 0) & (survival < 1) & whole
        log_survival = np.log(survival, where=inside, out=np.full_like(survival, -1.0))
        spread = np.exp(ndtri((1 + level) / 2) * deviation / -log_survival)
        lower = np.where(inside, survival**spread, survival)
        upper = np.where(inside, survival ** (1 / spread), survival)
        return lower, upper

    def survival_at(self, months: ArrayLike) -> FloatArray:
        """Return the estimate just after given times, of their shape."""
        steps = np.concatenate([[1.0], self.survival])
        return steps[np.searchsorted(self.times_months, np.asarray(months), side="right")]

    def at_risk_at(self, months: ArrayLike) -> Counts:
        """Return the numbers at risk just before given times, of their shape."""
        counts = np.concatenate([self.at_risk, [0]])
        return counts[np.searchsorted(self.times_months, np.asarray(months), side="left")]

    def remaining_at(self, months: ArrayLike) -> Counts:
        """Return the numbers at risk just after the events of given times, of their shape.

        Of counts on a grid those who outlived its edges: an event counts at the end of its
        interval, so that before the events of an edge the dead of that interval are counted too.
        """
        place = np.searchsorted(self.times_months, np.asarray(months), side="left")
        here = np.append(self.times_months, np.inf)[place] == months
        counts: Counts = self.at_risk_at(months) - here * np.append(self.events, 0)[place]
        return counts


def survival_counts(
    time: ArrayLike, event: ArrayLike, time_grid: TimeGrid | None = None
) -> SurvivalCounts:
    """Count patients at their exact times, or on the federation's grid.

    On the grid an event counts at the end of its interval, and a censoring at the end of the
    last interval finished (0 where none was), as `TimeGrid.discretise` says. The curve is then
    the Kaplan-Meier estimate of grouped times.

    Parameters
    ----------
    time, event : array_like, shape (n,)
        Months, and 1 where the event was seen; NaN in either is unknown.
    time_grid : TimeGrid or None
        None for exact times, which a site does not share.
    """
    rows = labelled_survival(time, event, np.zeros(np.shape(time)))
    if time_grid is None:
        times, position = np.unique(rows.time, return_inverse=True)
        return _count(times, position, rows.event)
    interval, seen = time_grid.discretise(rows.time, rows.event)
    return _count(np.array([0.0, *time_grid.edges_months]), interval + 1, seen)


def log_rank(groups: Sequence[SurvivalCounts]) -> float | None:
    """Return the p-value of the log-rank test that all groups share one hazard.

    Observed minus expected events with their hypergeometric covariance (Mantel, Cancer
    Chemother Rep 1966;50:163; Peto and Peto, J R Stat Soc A 1972;135:185), as R's ``survdiff``:
    groups with nobody at risk at any event do not count as groups.

    Parameters
    ----------
    groups : sequence of SurvivalCounts

    Returns
    -------
    float or None
        None where fewer than two groups are at risk at an event.
    """
    times = np.unique(
        np.concatenate([np.empty(0), *(g.times_months[g.events > 0] for g in groups)])
    )
    at_risk = np.array([group.at_risk_at(times) for group in groups], dtype=np.float64)
    at_risk = at_risk.reshape(len(groups), len(times))
    total = at_risk.sum(axis=0)
    events = np.array([_events_at(group, times) for group in groups]).reshape(at_risk.shape)
    deaths = events.sum(axis=0)
    share = at_risk / total
    difference = (events - deaths * share).sum(axis=1)
    # With one patient left there is no variance; the guard only avoids 0 / 0.
    spread = deaths * np.maximum(total - deaths, 0) / np.maximum(total - 1, 1)
    covariance = np.diag((spread * share).sum(axis=1)) - (spread * share) @ share.T
    counted = np.flatnonzero(np.diag(covariance) > 0)[:-1]
    if not len(counted):
        return None
    kept = np.ix_(counted, counted)
    statistic = difference[counted] @ np.linalg.solve(covariance[kept], difference[counted])
    return float(chdtrc(len(counted), max(0.0, statistic)))


def _count(times: FloatArray, position: IntArray, event: NDArray[np.bool_]) -> SurvivalCounts:
    return SurvivalCounts(
        times,
        np.bincount(position[event], minlength=len(times)),
        np.bincount(position[~event], minlength=len(times)),
    )


def _share(part: Counts, whole: Counts) -> FloatArray:
    """Return part / whole, at most 1, and 0 where nobody is there."""
    share = np.zeros(len(part))
    np.divide(part, whole, out=share, where=whole > 0)
    return np.asarray(np.minimum(share, 1))


def _events_at(group: SurvivalCounts, times: FloatArray) -> FloatArray:
    events = np.zeros(len(times))
    seen = group.events > 0
    events[np.searchsorted(times, group.times_months[seen])] = group.events[seen]
    return events
