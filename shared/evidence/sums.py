"""Evidence of a model at one site: sums over its patients of a cohort, and what is withheld."""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.activation_share import ActivationShares
from shared.evidence.axes import PROBABILITY, RISK
from shared.evidence.cells import Cells, FloatArray
from shared.evidence.follow_up import FollowUpCells
from shared.results import Cohort
from shared.tasks import SurvivalTask

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class MviSums:
    """Sums that judge MVI predictions; R is 1 and the number of resamples.

    What is None is withheld by the site, or was not asked for.

    Attributes
    ----------
    labelled : int or None
        Patients whose MVI status is known; None where they are fewer than the site's minimum.
    scores : Cells or None
        Along `shared.evidence.axes.PROBABILITY`: patients with MVI, and without.
    predicted : Cells or None
        Along the same cells, of the cohort itself alone: the sum of the probabilities.
    pairs : ndarray, shape (R, 3), or None
        Pairs of a patient with and one without MVI, concordant, discordant and tied.
    squared_error : ndarray, shape (R,), or None
        Of the probability, summed.
    confusion : ndarray, shape (R, 4), or None
        True positive, false positive, false negative, true negative at the frozen threshold.
    """

    labelled: int | None = 0
    scores: Cells | None = None
    predicted: Cells | None = None
    pairs: FloatArray | None = None
    squared_error: FloatArray | None = None
    confusion: FloatArray | None = None

    def __post_init__(self) -> None:
        rows = _rows(self.scores)
        _check("labelled", self.labelled)
        _check_cells("scores", self.scores, 2)
        _check_cells("predicted", self.predicted, 1)
        _check("pairs", self.pairs, (rows, 3))
        _check("squared_error", self.squared_error, (rows,))
        _check("confusion", self.confusion, (rows, 4))

    def fits(self, rows: int) -> bool:
        """Return whether all is told for so many resamples, or nothing."""
        arrays = (self.pairs, self.squared_error, self.confusion)
        cells = [(c, n) for c, n in ((self.scores, rows), (self.predicted, 1)) if c is not None]
        return (
            all(a is None or len(a) == rows for a in arrays)
            and (self.scores is None) == (self.predicted is None)
            and all(len(c.values) == n and c.starts[-1] < PROBABILITY.bins for c, n in cells)
        )


@dataclass(frozen=True, eq=False)
class SurvivalSums:
    """Sums that judge the predictions of one survival task.

    H horizons, K times of the Brier score, g risk groups. What is None is withheld by the site,
    was not asked for, or needs a predicted curve that the model does not give.

    Attributes
    ----------
    labelled : int or None
        Patients whose outcome is known; None where they are fewer than the site's minimum.
    risk : Cells or None
        Along `shared.evidence.axes.RISK`: patients; in the answer that fixes thresholds only.
    pairs : ndarray, shape (R, 3), or None
        Comparable pairs within the site, concordant, discordant and tied (Harrell).
    weighted_pairs : ndarray, shape (R, 2), or None
        The same pairs by the inverse squared probability of being uncensored: concordant with
        half of the tied, and all (Uno).
    groups : tuple of FollowUpCells
        One for each risk group, along the follow-up grid: events and censorings.
    auc : ndarray, shape (R, H, 2), or None
        At each horizon, pairs of a patient who had the event and one who did not yet, by the
        inverse probability that neither is censored: concordant with half of the tied, and all;
        0 where withheld.
    brier : ndarray, shape (R, K, 3), or None
        At each time, the weighted squared error, the weight of patients who had the event, and
        that of those who did not; 0 where withheld.
    brier_patients : ndarray, shape (K,), int64, or None
        Patients behind `brier` at each time; 0 where withheld.
    calibration : tuple of Cells
        One for each horizon, along `shared.evidence.axes.PROBABILITY` of the predicted event:
        patients, sum of predictions, weight of those who had the event; of nobody where withheld,
        and where the predicted curves do not reach.
    """

    labelled: int | None = 0
    risk: Cells | None = None
    pairs: FloatArray | None = None
    weighted_pairs: FloatArray | None = None
    groups: tuple[FollowUpCells, ...] = ()
    auc: FloatArray | None = None
    brier: FloatArray | None = None
    brier_patients: NDArray[np.int64] | None = None
    calibration: tuple[Cells, ...] = ()

    def __post_init__(self) -> None:
        rows = len(self.pairs) if self.pairs is not None else None
        _check("labelled", self.labelled)
        _check_cells("risk", self.risk, 1)
        _check("pairs", self.pairs, (rows, 3))
        _check("weighted_pairs", self.weighted_pairs, (rows, 2))
        _check("auc", self.auc, (rows, None, 2))
        _check("brier", self.brier, (rows, None, 3))
        _check("brier_patients", self.brier_patients, (None,))
        for cells in self.calibration:
            _check_cells("calibration", cells, 3)

    def fits(self, rows: int, *, groups: int, horizons: int, times: int, bins: int) -> bool:
        """Return whether all is told for what was asked, or not at all."""
        arrays = (self.pairs, self.weighted_pairs, self.auc, self.brier)
        return (
            all(a is None or len(a) == rows for a in arrays)
            and (self.auc is None or self.auc.shape[1] == horizons)
            and (self.brier is None or self.brier.shape[1] == times)
            and (self.brier is None) == (self.brier_patients is None)
            and (self.brier_patients is None or len(self.brier_patients) == times)
            and (self.risk is None or self.risk.starts[-1] < RISK.bins)
            and len(self.groups) in (0, groups)
            and all(len(c.cells.values) == rows and c.fits(bins) for c in self.groups)
            and len(self.calibration) in (0, horizons)
            and all(c.starts[-1] < PROBABILITY.bins for c in self.calibration)
            and all(len(c.values) == 1 for c in self.calibration)
        )


@dataclass(frozen=True, eq=False)
class CohortSums:
    """All tasks of one cohort at one site.

    Attributes
    ----------
    patients : int or None
        Patients of the cohort; None where they are fewer than the site's minimum.
    activation : ActivationShares or None
        How much of the maps of death lies in the tumour; None where it is withheld, or was not
        asked for.
    """

    patients: int | None = 0
    activation: ActivationShares | None = None
    mvi: MviSums = field(default_factory=MviSums)
    rfs: SurvivalSums = field(default_factory=SurvivalSums)
    os: SurvivalSums = field(default_factory=SurvivalSums)

    def survival(self, task: SurvivalTask) -> SurvivalSums:
        """Return a survival task's sums."""
        return self.rfs if task == "rfs" else self.os


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a site answers: the sums of each of its cohorts that was asked for.

    Attributes
    ----------
    site : str
    minimum_count : int
        The site's own: no cell of fewer patients is in the sums.
    cohorts : dict of Cohort to CohortSums
    """

    site: str
    minimum_count: int
    cohorts: dict[Cohort, CohortSums]


def same(first: Any, second: Any) -> bool:
    """Return whether two values of this module hold the same numbers."""
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return np.array_equal(first, second)
    if type(first) is not type(second):
        return False
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, tuple):
        return len(first) == len(second) and all(map(same, first, second))
    if hasattr(first, "__dataclass_fields__"):
        names = [f.name for f in fields(first)]
        return all(same(getattr(first, name), getattr(second, name)) for name in names)
    return bool(first == second)


def _rows(cells: Cells | None) -> int | None:
    return None if cells is None else len(cells.values)


def _check_cells(name: str, cells: Cells | None, columns: int) -> None:
    if cells is not None and cells.values.shape[2] != columns:
        raise ValueError(f"{name} needs {columns} sums a cell, got {cells.values.shape[2]}")


def _check(name: str, value: int | NDArray[Any] | None, shape: tuple[int | None, ...] = ()) -> None:
    """Refuse another shape (None is any length), and numbers that no count or sum can be."""
    if value is None:
        return
    found = np.shape(value)
    fits = len(found) == len(shape) and all(
        want in (None, have) for have, want in zip(found, shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{name} must have shape {shape}, got {found}")
    if not np.isfinite(value).all() or (np.asarray(value) < 0).any():
        raise ValueError(f"{name} must be finite and >= 0")
