"""Where the patients of a site's cells of MVI scores lie: all that the cells tell, and no more."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.evidence.axes import PROBABILITY
from shared.evidence.cells import Cells, FloatArray
from shared.evidence.sums import MviSums
from shared.metrics.recalibration import recalibrate

POSITIVE, NEGATIVE = range(2)
# Wide: what the model's scores are worth is for the patients to say, from nothing to all.
_SHIFT_SD, _LOG_SLOPE_SD = 1.0, 1.0
_TINY = 1e-9


def cell_points(parts: Sequence[MviSums]) -> tuple[FloatArray, FloatArray, FloatArray] | None:
    """Return patients, those with MVI and the mean prediction of every cell that holds anybody."""
    told = [(part.scores, part.predicted) for part in parts if part.scores is not None]
    if not told:
        return None
    counts = np.concatenate([scores.values[0] for scores, _ in told])
    means = np.concatenate([_means(scores, predicted) for scores, predicted in told])
    held = counts.sum(axis=1) > 0
    return counts[held].sum(axis=1), counts[held, POSITIVE], means[held]


def _means(scores: Cells, predicted: Cells | None) -> FloatArray:
    """Return the mean prediction in each cell, shape (m,); its middle where that is not told."""
    low, high = cell_ends(scores)
    patients = scores.values[0].sum(axis=1)
    if predicted is None:
        return (low + high) / 2
    means = predicted.values[0, :, 0] / np.maximum(patients, 1)
    return np.where(patients > 0, np.clip(means, low, high), (low + high) / 2)


def cell_ends(cells: Cells) -> tuple[FloatArray, FloatArray]:
    """Return the lowest and the highest probability of each cell, both of shape (m,)."""
    edges = PROBABILITY.edges
    return edges[cells.starts], edges[np.append(cells.starts[1:], PROBABILITY.bins)]


@dataclass(frozen=True, eq=False)
class PlacedPatients:
    """One site's cells, and which share of each class of a cell lies in each bin.

    Attributes
    ----------
    part : MviSums
    cells : Cells
    share : ndarray, shape (2, m, bins)
        Adds up to 1 over the bins of a cell.
    """

    part: MviSums
    cells: Cells
    share: FloatArray

    def histogram(self) -> FloatArray:
        """Return patients on the common bins, shape (R, bins, 2): positive, negative."""
        columns = [self.cells.values[:, :, k] @ self.share[k] for k in (POSITIVE, NEGATIVE)]
        return np.stack(columns, axis=2)


def placed_patients(parts: Sequence[MviSums]) -> list[PlacedPatients]:
    """Place the patients of cells on the common bins; of the sites that tell theirs.

    Of a cell the ends and the mean prediction are told. Its patients are taken to lie evenly
    around that mean, as far as the nearer end; and of them those with MVI in proportion to the
    chance that all sites' cells give the prediction, those without in proportion to the rest. A
    cell of one bin has all of both in it.
    """
    points = cell_points(parts)
    if points is None:
        return []
    meaning = recalibrate(*points, shift_sd=_SHIFT_SD, log_slope_sd=_LOG_SLOPE_SD)
    chance = np.clip(meaning.chance(PROBABILITY.centres), _TINY, 1 - _TINY)
    return [
        PlacedPatients(part, part.scores, _shares(part.scores, part.predicted, chance))
        for part in parts
        if part.scores is not None
    ]


def _shares(scores: Cells, predicted: Cells | None, chance: FloatArray) -> FloatArray:
    low, high = (end[:, None] for end in cell_ends(scores))
    mean = _means(scores, predicted)[:, None]
    reach = np.maximum(np.minimum(mean - low, high - mean), _TINY)
    covered = np.clip(PROBABILITY.edges, mean - reach, mean + reach)
    # A mean at an end would reach beyond it: nobody is out of the cell.
    evenly = np.diff(np.clip(covered, low, high), axis=1)
    both = np.stack([evenly * chance, evenly * (1 - chance)])
    return np.asarray(both / both.sum(axis=2, keepdims=True))
