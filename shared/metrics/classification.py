"""Classification: confusion counts and AUC, from scores or from sums."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.evidence.cells import merged_starts
from shared.metrics.labelled import labelled_binary

SCORE_BINS = 128


@dataclass(frozen=True)
class ConfusionCounts:
    """Patients by class and call; counts of several sites add up.

    Ratios are None where their denominator is 0.

    Attributes
    ----------
    true_positive, false_positive, false_negative, true_negative : int
    """

    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0
    true_negative: int = 0

    def __add__(self, other: "ConfusionCounts") -> "ConfusionCounts":
        return ConfusionCounts(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
            self.true_negative + other.true_negative,
        )

    @property
    def patients(self) -> int:
        """Number of patients counted."""
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative

    @property
    def f1(self) -> float | None:
        """2 TP / (2 TP + FP + FN).

        None without a positive patient: there was nothing to find, and scikit-learn's 0 would
        blame the model for it.
        """
        if self.true_positive + self.false_negative == 0:
            return None
        wrong = self.false_positive + self.false_negative
        return 2 * self.true_positive / (2 * self.true_positive + wrong)

    @property
    def sensitivity(self) -> float | None:
        """TP / (TP + FN)."""
        return _ratio(self.true_positive, self.false_negative)

    @property
    def specificity(self) -> float | None:
        """TN / (TN + FP)."""
        return _ratio(self.true_negative, self.false_positive)

    @property
    def positive_predictive_value(self) -> float | None:
        """TP / (TP + FP)."""
        return _ratio(self.true_positive, self.false_positive)

    @property
    def negative_predictive_value(self) -> float | None:
        """TN / (TN + FN)."""
        return _ratio(self.true_negative, self.false_negative)


def confusion_counts(label: ArrayLike, score: ArrayLike, threshold: float) -> ConfusionCounts:
    """Count patients called positive where ``score >= threshold``.

    Parameters
    ----------
    label : array_like, shape (n,)
        0 or 1; NaN is unknown.
    score : array_like, shape (n,)
    threshold : float
    """
    rows = labelled_binary(label, score)
    called = rows.score >= threshold
    return ConfusionCounts(
        true_positive=int(np.count_nonzero(called & rows.positive)),
        false_positive=int(np.count_nonzero(called & ~rows.positive)),
        false_negative=int(np.count_nonzero(~called & rows.positive)),
        true_negative=int(np.count_nonzero(~called & ~rows.positive)),
    )


def auc(label: ArrayLike, score: ArrayLike) -> float | None:
    """Return the area under the ROC curve; None where a class is absent.

    It is the share of pairs of a positive and a negative patient in which the positive one
    has the higher score, a tie counting half (Hanley and McNeil, Radiology 1982;143:29).

    Parameters
    ----------
    label : array_like, shape (n,)
        0 or 1; NaN is unknown.
    score : array_like, shape (n,)
    """
    rows = labelled_binary(label, score)
    positive, negative = rows.score[rows.positive], np.sort(rows.score[~rows.positive])
    if not len(positive) or not len(negative):
        return None
    below = np.searchsorted(negative, positive, side="left").sum()
    up_to = np.searchsorted(negative, positive, side="right").sum()
    return float((below + up_to) / 2 / (len(positive) * len(negative)))


@dataclass(frozen=True, eq=False)
class ScoreHistogram:
    """Patients by class and predicted probability; histograms of several sites add up.

    Bin k holds scores in ``[k, k + 1) / SCORE_BINS``, the last one also 1. `SCORE_BINS` is a
    power of two: every edge is an exact float, and a score falls into one bin on any machine.

    Attributes
    ----------
    positive, negative : ndarray, shape (SCORE_BINS,), int64

    Raises
    ------
    ValueError
        Another shape, or anything but counts.
    """

    positive: NDArray[np.int64]
    negative: NDArray[np.int64]

    def __post_init__(self) -> None:
        for counts in (self.positive, self.negative):
            if counts.shape != (SCORE_BINS,):
                raise ValueError(f"expected {SCORE_BINS} bins, got shape {counts.shape}")
            if counts.dtype != np.int64 or (counts < 0).any():
                raise ValueError("a histogram holds counts: int64, >= 0")

    @classmethod
    def empty(cls) -> Self:
        """Return the histogram of no patient."""
        return cls(np.zeros(SCORE_BINS, np.int64), np.zeros(SCORE_BINS, np.int64))

    @classmethod
    def count(cls, label: ArrayLike, score: ArrayLike) -> Self:
        """Count patients.

        Parameters
        ----------
        label : array_like, shape (n,)
            0 or 1; NaN is unknown.
        score : array_like, shape (n,)
            In [0, 1].
        """
        rows = labelled_binary(label, score)
        if ((rows.score < 0) | (rows.score > 1)).any():
            raise ValueError("scores must lie in [0, 1]")
        bins = np.minimum((rows.score * SCORE_BINS).astype(np.int64), SCORE_BINS - 1)
        return cls(
            np.bincount(bins[rows.positive], minlength=SCORE_BINS),
            np.bincount(bins[~rows.positive], minlength=SCORE_BINS),
        )

    def coarsened(self, minimum_count: int) -> Self:
        """Return a histogram that tells no more than cells of `minimum_count` patients.

        Neighbouring bins are merged until they hold enough (`shared.evidence.cells`), and each
        class is laid evenly over its cell again: its counts stay, their places are only those
        of the cell. With a minimum of 1 nothing changes.
        """
        if minimum_count <= 1:
            return self
        edges = np.append(merged_starts(self.positive + self.negative, minimum_count), SCORE_BINS)
        return type(self)(_laid_evenly(self.positive, edges), _laid_evenly(self.negative, edges))

    def __add__(self, other: "ScoreHistogram") -> "ScoreHistogram":
        return ScoreHistogram(self.positive + other.positive, self.negative + other.negative)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ScoreHistogram):
            return NotImplemented
        return np.array_equal(self.positive, other.positive) and np.array_equal(
            self.negative, other.negative
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def auc(self) -> float | None:
        """Area under the ROC curve, within `auc_error` of the exact one; None for one class."""
        if not self._pairs:
            return None
        below = self.negative.cumsum() - self.negative
        return float((self.positive * (2 * below + self.negative)).sum() / 2 / self._pairs)

    @property
    def auc_error(self) -> float | None:
        """How far `auc` can be from the exact AUC at most; None for one class.

        A pair within one bin counts half, whatever its order: at most half of these pairs'
        share is lost or won.
        """
        if not self._pairs:
            return None
        return float((self.positive * self.negative).sum() / 2 / self._pairs)

    @property
    def _pairs(self) -> int:
        return int(self.positive.sum()) * int(self.negative.sum())


def _laid_evenly(counts: NDArray[np.int64], edges: NDArray[np.int64]) -> NDArray[np.int64]:
    laid = np.zeros_like(counts)
    for start, stop in pairwise(edges.tolist()):
        held = int(counts[start:stop].sum())
        places = start + ((np.arange(held) + 0.5) * (stop - start) / max(held, 1)).astype(np.int64)
        laid += np.bincount(places, minlength=len(counts))
    return laid


def _ratio(part: int, rest: int) -> float | None:
    return part / (part + rest) if part + rest else None
