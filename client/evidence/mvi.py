"""Sums that judge MVI predictions on one institution's patients."""

import numpy as np
from numpy.typing import ArrayLike

from client.evidence.rule import Rule
from shared.evidence.axes import PROBABILITY
from shared.evidence.cells import FloatArray, count_cells, merged_starts
from shared.evidence.sums import MviSums
from shared.metrics.labelled import BinaryRows, labelled_binary


def mvi_sums(
    label: ArrayLike,
    probability: ArrayLike,
    *,
    site: str,
    cohort: str,
    threshold: float | None,
    resamples: int,
    rule: Rule,
) -> MviSums:
    """Return a cohort's sums; all are withheld where a class has too few patients.

    Parameters
    ----------
    label, probability : array_like, shape (n,)
        0 or 1, NaN unknown; in [0, 1].
    site, cohort : str
        Whose resamples are drawn.
    threshold : float or None
        Frozen; None gives no confusion table, and so does a call with too few patients.
    resamples : int
    rule : Rule
    """
    rows = labelled_binary(label, probability)
    patients, positive = len(rows.score), int(rows.positive.sum())
    if not rule.allows(patients):
        return MviSums(labelled=None)
    if patients == 0 or not rule.allows(positive, patients - positive):
        return MviSums(labelled=patients)
    weights = rule.weights(site, patients, f"{cohort}/mvi", resamples)
    position = PROBABILITY.position(rows.score)
    starts = merged_starts(np.bincount(position, minlength=PROBABILITY.bins), rule.minimum_count)
    classes = np.stack([rows.positive, ~rows.positive], axis=1).astype(np.float64)
    return MviSums(
        labelled=patients,
        scores=count_cells(weights, position, classes, starts),
        predicted=count_cells(weights[:1], position, rows.score[:, None], starts),
        pairs=_pairs(weights, rows),
        squared_error=weights @ (rows.score - rows.positive) ** 2,
        confusion=_confusion(weights, rows, threshold, rule),
    )


def _pairs(weights: FloatArray, rows: BinaryRows) -> FloatArray:
    """Return pairs of a positive and a negative patient: concordant, discordant, tied."""
    first, second = rows.score[rows.positive, None], rows.score[None, ~rows.positive]
    positive, negative = weights[:, rows.positive], weights[:, ~rows.positive]
    return np.stack(
        [
            np.einsum("bj,bj->b", positive @ order.astype(np.float64), negative)
            for order in (first > second, first < second, first == second)
        ],
        axis=1,
    )


def _confusion(
    weights: FloatArray, rows: BinaryRows, threshold: float | None, rule: Rule
) -> FloatArray | None:
    if threshold is None:
        return None
    called = rows.score >= threshold
    if not rule.allows(int(called.sum()), int((~called).sum())):
        return None
    yes, no = rows.positive, ~rows.positive
    cells = np.stack([called & yes, called & no, ~called & yes, ~called & no], axis=1)
    return np.asarray(weights @ cells.astype(np.float64))
