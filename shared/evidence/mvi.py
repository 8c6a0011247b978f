"""MVI statistics from the sums of sites: each for the cohort and all its resamples at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from shared.evidence.axes import PROBABILITY
from shared.evidence.cells import FloatArray
from shared.evidence.ratio import ratio
from shared.evidence.score_cells import (
    NEGATIVE,
    POSITIVE,
    PlacedPatients,
    cell_ends,
    cell_points,
    placed_patients,
)
from shared.evidence.sums import MviSums
from shared.metrics.f1_threshold import grouped_f1_threshold


@dataclass(frozen=True, eq=False)
class Auc:
    """An AUC over all pairs of a cohort.

    Attributes
    ----------
    values : ndarray, shape (R,)
    error : float or None
        How far the cohort's can be from that of patients' rows at most.
    patients : int
    """

    values: FloatArray
    error: float | None
    patients: int


@dataclass(frozen=True, eq=False)
class Confusion:
    """Calls at the frozen threshold, summed.

    Attributes
    ----------
    counts : ndarray, shape (R, 4)
        True positive, false positive, false negative, true negative.
    patients : int
    """

    counts: FloatArray
    patients: int

    def rates(self) -> dict[str, FloatArray]:
        """Return ``f1, sensitivity, specificity, ppv, npv, accuracy``, each of shape (R,).

        NaN where the denominator is 0; F1 also where there is nobody to find.
        """
        hit, false_alarm, missed, spared = self.counts.T
        f1 = ratio(2 * hit, 2 * hit + false_alarm + missed)
        return {
            "f1": np.where(hit + missed > 0, f1, np.nan),
            "sensitivity": ratio(hit, hit + missed),
            "specificity": ratio(spared, spared + false_alarm),
            "ppv": ratio(hit, hit + false_alarm),
            "npv": ratio(spared, spared + missed),
            "accuracy": ratio(hit + spared, self.counts.sum(axis=1)),
        }


def auc(parts: Sequence[MviSums]) -> Auc | None:
    """Return the AUC; None where no site tells of both its classes.

    Pairs of patients of one site are counted at the site, exactly. Pairs across sites come from
    the cells of scores, their patients placed on the common bins as by
    `shared.evidence.score_cells`, a pair in one bin counting half: so a cohort of one site has
    an exact AUC, and of several one within `Auc.error`.
    """
    told = placed_patients(parts)
    if not told:
        return None
    placed = [own.histogram() for own in told]
    total = sum(placed[1:], start=placed[0])
    concordant = _concordant(total)
    for own, histogram in zip(told, placed, strict=True):
        concordant = concordant - _concordant(histogram)
        if own.part.pairs is not None:
            concordant = concordant + own.part.pairs[:, 0] + own.part.pairs[:, 2] / 2
    counts = total.sum(axis=1)
    pairs = counts[:, POSITIVE] * counts[:, NEGATIVE]
    doubtful = sum(_doubt(here, there) for here, there in permutations(told, 2))
    error = doubtful / pairs[0] if pairs[0] else None
    return Auc(ratio(concordant, pairs), error, _labelled(own.part for own in told))


def confusion(parts: Sequence[MviSums]) -> Confusion | None:
    """Return the summed table; None where no site tells one."""
    told = [(part, part.confusion) for part in parts if part.confusion is not None]
    if not told:
        return None
    counts = sum((table for _, table in told[1:]), start=told[0][1])
    return Confusion(counts, _labelled(part for part, _ in told))


def brier(parts: Sequence[MviSums]) -> tuple[FloatArray, int] | None:
    """Return the mean squared error of the probabilities, shape (R,), and its patients."""
    told = [(part, part.squared_error) for part in parts if part.squared_error is not None]
    if not told:
        return None
    patients = _labelled(part for part, _ in told)
    return sum((e for _, e in told[1:]), start=told[0][1]) / patients, patients


def pooled_scores(parts: Sequence[MviSums]) -> FloatArray | None:
    """Return the cohort's histogram, shape (bins, 2): positive, negative, placed as for `auc`."""
    told = placed_patients(parts)
    return np.asarray(sum(own.histogram()[0] for own in told)) if told else None


def f1_threshold(parts: Sequence[MviSums]) -> float | None:
    """Return the threshold of `shared.metrics.f1_threshold` from cells; None without a positive.

    A cell's patients count at the mean of their predictions.
    """
    points = cell_points(parts)
    return None if points is None else grouped_f1_threshold(*points)


def roc(parts: Sequence[MviSums]) -> tuple[FloatArray, FloatArray] | None:
    """Return false and true positive rate at every edge, from (0, 0); None without a class."""
    histogram = pooled_scores(parts)
    if histogram is None or not histogram.sum(axis=0).all():
        return None
    above = np.concatenate([np.zeros((1, 2)), histogram[::-1].cumsum(axis=0)])
    rates = above / above[-1]
    return rates[:, NEGATIVE], rates[:, POSITIVE]


def net_benefit(
    parts: Sequence[MviSums], lowest: float = 0.05, highest: float = 0.8
) -> tuple[FloatArray, FloatArray, FloatArray] | None:
    """Return threshold probabilities, and net benefit of the model and of calling everybody.

    True positives less false positives weighed by the odds of the threshold, a patient
    (Vickers and Elkin, Med Decis Making 2006;26:565), at the edges within the range.
    """
    histogram = pooled_scores(parts)
    if histogram is None or not histogram.any():
        return None
    edges = PROBABILITY.edges[:-1]
    shown = (edges >= lowest) & (edges <= highest)
    above = histogram[::-1].cumsum(axis=0)[::-1]
    odds, patients = edges[shown] / (1 - edges[shown]), above[0].sum()
    model = (above[shown, POSITIVE] - odds * above[shown, NEGATIVE]) / patients
    everybody = (above[0, POSITIVE] - odds * above[0, NEGATIVE]) / patients
    return edges[shown], model, everybody


def calibration(
    parts: Sequence[MviSums], groups: int = 8
) -> tuple[FloatArray, FloatArray, NDArray[np.int64]] | None:
    """Return mean prediction, observed share and patients of groups alike in prediction.

    A cell falls into one group as a whole: nothing is assumed of where its patients lie.
    """
    points = cell_points(parts)
    if points is None:
        return None
    patients, positive, mean = (column[np.argsort(points[2], kind="stable")] for column in points)
    return grouped(patients, patients * mean, positive, groups)


def grouped(
    patients: FloatArray, predicted: FloatArray, observed: FloatArray, groups: int
) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    """Divide an axis into groups of about equally many patients, and average in each.

    Parameters
    ----------
    patients, predicted, observed : ndarray, shape (bins,)
        Sums along the axis.
    groups : int
        At most so many.
    """
    passed = patients.cumsum() - patients / 2
    number = np.floor(groups * passed / max(patients.sum(), 1e-300)).astype(np.int64)
    number = np.clip(number, 0, groups - 1)
    sums = [np.bincount(number, x, groups) for x in (patients, predicted, observed)]
    held = sums[0] > 0
    count, mean, share = (x[held] for x in sums)
    return mean / count, share / count, count.round().astype(np.int64)


def _concordant(histogram: FloatArray) -> FloatArray:
    """Return concordant pairs of all rows, (R,), a pair within a bin counting half."""
    positive, negative = histogram[:, :, POSITIVE], histogram[:, :, NEGATIVE]
    below = negative.cumsum(axis=1) - negative / 2
    return np.asarray((positive * below).sum(axis=1))


def _doubt(here: PlacedPatients, there: PlacedPatients) -> float:
    """Return how many pairs of a positive here and a negative there may be misplaced.

    A pair of cells that are apart is certain. Of others, their places say that a share p of the
    pairs is concordant, and any other share is possible: at most max(p, 1 - p) is wrong.
    """
    (low, high), (lower, upper) = cell_ends(here.cells), cell_ends(there.cells)
    apart = (high[:, None] <= lower) | (upper <= low[:, None])
    below = there.share[NEGATIVE].cumsum(axis=1) - there.share[NEGATIVE] / 2
    share = here.share[POSITIVE] @ below.T
    pairs = np.outer(here.cells.values[0, :, POSITIVE], there.cells.values[0, :, NEGATIVE])
    return float((pairs * np.where(apart, 0, np.maximum(share, 1 - share))).sum())


def _labelled(parts: Iterable[MviSums]) -> int:
    return sum(part.labelled or 0 for part in parts)
