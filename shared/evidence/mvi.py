"""MVI statistics from the sums of sites: each for the cohort and all its resamples at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from shared.evidence.axes import PROBABILITY
from shared.evidence.cells import Cells, FloatArray
from shared.evidence.ratio import ratio
from shared.evidence.sums import MviSums

_POSITIVE, _NEGATIVE = range(2)


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
    the cells of scores, spread evenly over the common bins, a pair in one bin counting half: so
    a cohort of one site has an exact AUC, and of several one within `Auc.error`.
    """
    told = [(part, part.scores) for part in parts if part.scores is not None]
    if not told:
        return None
    spread = [scores.spread(PROBABILITY.bins) for _, scores in told]
    total = sum(spread[1:], start=spread[0])
    concordant = _concordant(total)
    for (part, _), own in zip(told, spread, strict=True):
        concordant = concordant - _concordant(own)
        if part.pairs is not None:
            concordant = concordant + part.pairs[:, 0] + part.pairs[:, 2] / 2
    counts = total.sum(axis=1)
    pairs = counts[:, _POSITIVE] * counts[:, _NEGATIVE]
    doubtful = sum(_doubt(a, b) for a, b in permutations([cells for _, cells in told], 2))
    error = doubtful / pairs[0] if pairs[0] else None
    return Auc(ratio(concordant, pairs), error, _labelled(part for part, _ in told))


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
    """Return the cohort's histogram, shape (bins, 2): positive, negative."""
    told = [part.scores for part in parts if part.scores is not None]
    if not told:
        return None
    return np.asarray(sum(cells.spread(PROBABILITY.bins)[0] for cells in told))


def best_f1_threshold(parts: Sequence[MviSums]) -> float | None:
    """Return the bin edge with the highest F1; None without a positive patient.

    Counts above an edge are exact where cells end at it, interpolated within a cell. Of equal
    cuts the highest is taken, and of the edges that make the same cut the middle one, as by
    `shared.metrics.classification.best_f1_threshold`.
    """
    histogram = pooled_scores(parts)
    if histogram is None or not histogram[:, _POSITIVE].any():
        return None
    above = histogram[::-1].cumsum(axis=0)[::-1].round(9)
    found, called = above[:, _POSITIVE], above[:, _POSITIVE] + above[:, _NEGATIVE]
    f1 = 2 * found / (called + found[0])
    best = int(np.flatnonzero(f1 == f1.max())[-1])
    same_cut = np.flatnonzero(called == called[best])
    return float(PROBABILITY.edges[same_cut[len(same_cut) // 2]])


def roc(parts: Sequence[MviSums]) -> tuple[FloatArray, FloatArray] | None:
    """Return false and true positive rate at every edge, from (0, 0); None without a class."""
    histogram = pooled_scores(parts)
    if histogram is None or not histogram.sum(axis=0).all():
        return None
    above = np.concatenate([np.zeros((1, 2)), histogram[::-1].cumsum(axis=0)])
    rates = above / above[-1]
    return rates[:, _NEGATIVE], rates[:, _POSITIVE]


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
    model = (above[shown, _POSITIVE] - odds * above[shown, _NEGATIVE]) / patients
    everybody = (above[0, _POSITIVE] - odds * above[0, _NEGATIVE]) / patients
    return edges[shown], model, everybody


def calibration(
    parts: Sequence[MviSums], groups: int = 8
) -> tuple[FloatArray, FloatArray, NDArray[np.int64]] | None:
    """Return mean prediction, observed share and patients of groups alike in prediction."""
    histogram = pooled_scores(parts)
    told = [part.predicted for part in parts if part.predicted is not None]
    if histogram is None or not told:
        return None
    predicted = np.asarray(sum(cells.spread(PROBABILITY.bins)[0, :, 0] for cells in told))
    return grouped(histogram.sum(axis=1), predicted, histogram[:, _POSITIVE], groups)


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
    positive, negative = histogram[:, :, _POSITIVE], histogram[:, :, _NEGATIVE]
    below = negative.cumsum(axis=1) - negative / 2
    return np.asarray((positive * below).sum(axis=1))


def _doubt(first: Cells, second: Cells) -> float:
    """Return how many pairs of a positive here and a negative there may be misplaced.

    A pair of cells that are apart is certain. Of others, spreading says that a share p of the
    pairs is concordant, and any other share is possible: at most max(p, 1 - p) is wrong.
    """
    edges = [np.append(c.starts, PROBABILITY.bins).astype(np.float64) for c in (first, second)]
    (a, b), (c, d) = ((e[:-1, None], e[1:, None]) for e in edges)
    c, d = c.T, d.T
    apart = (b <= c) | (d <= a)
    positive, negative = first.values[0, :, _POSITIVE, None], second.values[0, None, :, _NEGATIVE]
    share = _share_above(a, b, c, d)
    return float((positive * negative * np.where(apart, 0, np.maximum(share, 1 - share))).sum())


def _share_above(a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray) -> FloatArray:
    """Return the chance that a draw from bins [a, b) exceeds one from [c, d), a tie half."""

    def below(x: FloatArray) -> FloatArray:
        # Integral to x of the share of [c, d) below a point.
        inside = np.clip(x, c, d)
        return np.asarray((inside - c) ** 2 / (2 * (d - c)) + np.maximum(x - d, 0))

    return np.asarray((below(b) - below(a)) / (b - a))


def _labelled(parts: Iterable[MviSums]) -> int:
    return sum(part.labelled or 0 for part in parts)
