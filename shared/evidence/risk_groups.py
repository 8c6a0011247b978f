"""Risk groups from the sums of sites: Kaplan-Meier, log-rank and hazard ratio.

Counts lie on the common follow-up grid; where a site merged intervals they are placed in them by
`shared.evidence.follow_up`, and so may be fractions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.evidence.axes import RISK
from shared.evidence.cells import FloatArray, IntArray
from shared.evidence.follow_up import FollowUpCells
from shared.evidence.sums import SurvivalSums
from shared.metrics.kaplan_meier import SurvivalCounts
from shared.time_grid import TimeGrid

_MOST_LOG_RATIO = 20.0
_STEPS = 60
_PRECISION = 1e-13


def group_counts(parts: Sequence[SurvivalSums], bins: int) -> FloatArray | None:
    """Return summed counts, shape (g, R, bins, 2); None where no site tells its groups."""
    told = [part.groups for part in parts if part.groups]
    if not told:
        return None
    return np.asarray([sum(groups[g].placed(bins) for groups in told) for g in range(len(told[0]))])


def survival_counts(counts: FloatArray, grid: TimeGrid) -> SurvivalCounts:
    """Return one group's counts, shape (bins, 2), on the grid."""
    times = np.array([0.0, *grid.edges_months])
    return SurvivalCounts(times, counts[:, 0], counts[:, 1])


def follow_up_counts(
    cells: Sequence[FollowUpCells | None], grid: TimeGrid
) -> SurvivalCounts | None:
    """Return the summed counts of sites that tell their follow-up; None where none does."""
    told = [own.placed(grid.intervals + 1)[0] for own in cells if own is not None]
    return survival_counts(np.asarray(sum(told)), grid) if told else None


def log_hazard_ratio(low: FloatArray, high: FloatArray) -> FloatArray:
    """Return the log hazard ratio of one group against another, shape (R,).

    Cox regression on one binary covariate with Efron's ties (JASA 1977;72:557), by Newton's
    method on the counts. For a fraction of an event, Efron's steps are weighed to sum to it.
    NaN where a group has no event while the other is at risk: no finite ratio fits.

    Parameters
    ----------
    low, high : ndarray, shape (R, bins, 2)
    """
    events = np.stack([low[..., 0], high[..., 0]])
    risk = np.stack([_at_risk(low), _at_risk(high)])
    both = (risk > 0).all(axis=0)
    comparable = ((events * both).sum(axis=-1) > 0).all(axis=0)
    steps = _EfronSteps.of(events, risk)
    beta = np.zeros(len(low))
    for _ in range(_STEPS):
        score, information = steps.score(beta)
        step = np.divide(score, information, out=np.zeros_like(score), where=information > 0)
        beta = np.clip(beta + np.clip(step, -1, 1), -_MOST_LOG_RATIO, _MOST_LOG_RATIO)
        if np.abs(step[comparable]).max(initial=0) < _PRECISION:
            break
    return np.where(comparable & (np.abs(beta) < _MOST_LOG_RATIO), beta, np.nan)


@dataclass(frozen=True, eq=False)
class _EfronSteps:
    """The terms of the partial likelihood: of d events at one time, d terms.

    Attributes
    ----------
    row : ndarray, shape (n,), int64
        The resample of each term.
    low, high : ndarray, shape (n,)
        Patients of each group at risk, less the share of the tied that has gone.
    weight : ndarray, shape (n,)
        1, or less of a fraction of an event.
    events : ndarray, shape (R,)
        Of the high group.
    """

    row: IntArray
    low: FloatArray
    high: FloatArray
    weight: FloatArray
    events: FloatArray

    @classmethod
    def of(cls, events: FloatArray, risk: FloatArray) -> "_EfronSteps":
        """Return the terms of two groups' events and patients at risk, shape (2, R, bins)."""
        deaths = events.sum(axis=0)
        steps = np.ceil(deaths - 1e-9).astype(np.int64)
        number = np.arange(max(int(steps.max(initial=0)), 1))
        row, time, done = np.nonzero(number < steps[..., None])
        gone = done / steps[row, time]
        return cls(
            row=row,
            low=risk[0, row, time] - gone * events[0, row, time],
            high=risk[1, row, time] - gone * events[1, row, time],
            weight=deaths[row, time] / steps[row, time],
            events=events[1].sum(axis=-1),
        )

    def score(self, beta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return score and information, each of shape (R,)."""
        high = self.high * np.exp(beta)[self.row]
        share = high / (self.low + high)
        expected = np.bincount(self.row, self.weight * share, len(beta))
        information = np.bincount(self.row, self.weight * share * (1 - share), len(beta))
        return np.asarray(self.events - expected), np.asarray(information, dtype=np.float64)


def _at_risk(counts: FloatArray) -> FloatArray:
    leaving = counts.sum(axis=-1)
    return np.asarray(leaving[..., ::-1].cumsum(axis=-1)[..., ::-1])


def risk_cuts(parts: Sequence[SurvivalSums], groups: int) -> tuple[float, ...]:
    """Return the edges of the risk axis that divide patients into equal groups.

    Each cut is the edge with the share of patients below it that is nearest to the group's:
    the median for two groups, tertiles for three, within a bin of the axis. Fewer cuts, where
    patients are too few or too alike to be divided.
    """
    told = [part.risk for part in parts if part.risk is not None]
    if not told:
        return ()
    patients = sum(cells.spread(RISK.bins)[0, :, 0] for cells in told)
    below = np.concatenate([[0.0], np.cumsum(patients)])
    if below[-1] <= 0:
        return ()
    cuts = []
    for group in range(1, groups):
        away = np.abs(below / below[-1] - group / groups).round(12)
        nearest = np.flatnonzero(away == away.min())
        cuts.append(float(RISK.edges[nearest[len(nearest) // 2]]))
    return tuple(sorted(set(cuts)))
