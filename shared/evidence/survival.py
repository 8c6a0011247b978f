"""Survival statistics from the sums of sites, for the cohort and all its resamples at once.

All pairs are pairs of patients of one site: those across sites cannot be had from sums, and are
not guessed at. For a cohort of one site these are all pairs there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.evidence.axes import PROBABILITY
from shared.evidence.cells import FloatArray
from shared.evidence.mvi import grouped
from shared.evidence.ratio import ratio
from shared.evidence.sums import SurvivalSums


@dataclass(frozen=True, eq=False)
class Valued:
    """A statistic of shape (R,), and the patients behind it."""

    values: FloatArray
    patients: int


def harrell_c(parts: Sequence[SurvivalSums]) -> Valued | None:
    """Return the share of concordant pairs, a tie counting half."""
    told = [part for part in parts if part.pairs is not None]
    if not told:
        return None
    pairs = np.asarray(sum(np.asarray(part.pairs) for part in told))
    concordant = pairs[:, 0] + pairs[:, 2] / 2
    return Valued(ratio(concordant, pairs.sum(axis=1)), _labelled(told))


def uno_c(parts: Sequence[SurvivalSums]) -> Valued | None:
    """Return the same by inverse squared probability of censoring (Stat Med 2011;30:1105).

    Censoring is estimated at each site: here, in the Brier score and in calibration.
    """
    told = [part for part in parts if part.weighted_pairs is not None]
    if not told:
        return None
    pairs = np.asarray(sum(np.asarray(part.weighted_pairs) for part in told))
    return Valued(ratio(pairs[:, 0], pairs[:, 1]), _labelled(told))


def auc_at(parts: Sequence[SurvivalSums], horizon: int) -> Valued | None:
    """Return the AUC at a horizon, by its index: cumulative cases, dynamic controls."""
    told = [p for p in parts if p.auc is not None and p.auc[0, horizon, 1] > 0]
    if not told:
        return None
    pairs = np.asarray(sum(np.asarray(part.auc)[:, horizon] for part in told))
    return Valued(ratio(pairs[:, 0], pairs[:, 1]), _labelled(told))


@dataclass(frozen=True, eq=False)
class BrierCurve:
    """Weighted squared errors over time.

    Attributes
    ----------
    model, null : ndarray, shape (R, K)
        Of the predictions, and of the cohort's own Kaplan-Meier curve for everybody; NaN at a
        time at which no site tells.
    patients : ndarray, shape (K,), int64
        0 at such a time.
    """

    model: FloatArray
    null: FloatArray
    patients: NDArray[np.int64]

    def integrated(self, months: tuple[float, ...]) -> tuple[Valued, Valued] | None:
        """Return the means of both over the times that are told (trapezoidal rule)."""
        told = np.flatnonzero(self.patients > 0)
        if len(told) < 2:
            return None
        times = np.array(months)[told]
        patients = int(self.patients[told].min())
        model, null = (
            np.trapezoid(curve[:, told], times, axis=1) / (times[-1] - times[0])
            for curve in (self.model, self.null)
        )
        return Valued(model, patients), Valued(null, patients)


def brier_curve(parts: Sequence[SurvivalSums], null_survival: FloatArray) -> BrierCurve | None:
    """Return Brier scores at the times they were asked for.

    Of a cohort the weights 1 / G sum to its patients, those who had the event by a time and those
    who outlived it together (Satten and Datta, Am Stat 2001;55:207). Of a resample, weighed by the
    cohort's G, they do not: the mean is over its weights. The Kaplan-Meier curve is fitted to each
    resample as to the cohort: it moves by as much as the weighted share of those who outlived a
    time, which at one site is Kaplan-Meier itself; of S the score is then S (1 - S), at most 1/4.

    Parameters
    ----------
    parts : sequence of SurvivalSums
    null_survival : ndarray, shape (K,)
        Kaplan-Meier survival of the cohort at these times.
    """
    told = [(p.brier, p.brier_patients) for p in parts if p.brier is not None]
    counts = [patients for _, patients in told if patients is not None]
    if not told or not counts:
        return None
    error, dead, alive = np.moveaxis(np.asarray(sum(sums for sums, _ in told)), 2, 0)
    patients = np.asarray(sum(counts), dtype=np.int64)
    weight = dead + alive
    share = ratio(alive, weight)
    survival = null_survival + share - share[0]
    null = dead * survival**2 + alive * (1 - survival) ** 2
    return BrierCurve(ratio(error, weight), ratio(null, weight), patients)


def calibration_at(
    parts: Sequence[SurvivalSums], horizon: int, groups: int = 5
) -> tuple[FloatArray, FloatArray, NDArray[np.int64]] | None:
    """Return mean predicted and observed event probability, and patients, by group.

    A site gives events of about one prediction one weight: the share of everybody is exact.
    None where no site tells of a horizon: where nobody was followed to it, nothing was observed.
    """
    told = [part.calibration[horizon] for part in parts if part.calibration]
    if not told:
        return None
    sums = np.asarray(sum(cells.spread(PROBABILITY.bins)[0] for cells in told))
    if not sums[:, 0].any():
        return None
    return grouped(sums[:, 0], sums[:, 1], sums[:, 2], groups)


def _labelled(parts: Sequence[SurvivalSums]) -> int:
    return sum(part.labelled or 0 for part in parts)
