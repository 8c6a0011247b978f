"""One cohort's predictions beside its labels, and the results table's row made from them.

Patients' rows: they stay where the patients are. Across institutions only sums travel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.metrics.bootstrap import RESAMPLES, auc_estimate, c_index_estimate, f1_estimate
from shared.metrics.labelled import FloatArray
from shared.results import Estimate, Metric
from shared.tasks import SurvivalTask


@dataclass(frozen=True, eq=False)
class SurvivalPredictions:
    """One survival task's labels and predictions of n patients.

    Attributes
    ----------
    months : ndarray, shape (n,), float64
        Time to event or censoring; NaN is unknown.
    event : ndarray, shape (n,), float64
        0 or 1; NaN is unknown.
    risk : ndarray, shape (n,), float64
        Higher is worse; of any unit.
    survival : ndarray, shape (n, T), float64
        Predicted survival at each edge of the time grid; T = 0 where a method gives none.
    """

    months: FloatArray
    event: FloatArray
    risk: FloatArray
    survival: FloatArray


@dataclass(frozen=True, eq=False)
class Predictions:
    """Labels and predictions of n patients of one cohort, in one order.

    Attributes
    ----------
    patient_id, site : tuple of str, length n
    mvi_label : ndarray, shape (n,), float64
        0 or 1; NaN is unknown.
    mvi_probability : ndarray, shape (n,), float64
    rfs, os : SurvivalPredictions

    Raises
    ------
    ValueError
        Columns of different lengths.
    """

    patient_id: tuple[str, ...]
    site: tuple[str, ...]
    mvi_label: FloatArray
    mvi_probability: FloatArray
    rfs: SurvivalPredictions
    os: SurvivalPredictions

    def __post_init__(self) -> None:
        columns = [self.mvi_label, self.mvi_probability]
        for task in (self.rfs, self.os):
            columns += [task.months, task.event, task.risk]
        shapes = {(len(self.patient_id),), (len(self.site),), *(c.shape for c in columns)}
        curves = (self.rfs.survival, self.os.survival)
        if len(shapes) != 1 or any(c.ndim != 2 or len(c) != len(self) for c in curves):
            raise ValueError(f"columns of {len(self)} patients differ in length: {sorted(shapes)}")

    def __len__(self) -> int:
        return len(self.patient_id)

    def survival(self, task: SurvivalTask) -> SurvivalPredictions:
        """Return a survival task's columns."""
        return self.rfs if task == "rfs" else self.os


def concatenate(parts: Sequence[Predictions]) -> Predictions:
    """Return the patients of all parts, in the order given.

    Raises
    ------
    ValueError
        No part, or survival curves on different grids.
    """
    if not parts:
        raise ValueError("there is nothing to concatenate")
    return Predictions(
        patient_id=tuple(name for part in parts for name in part.patient_id),
        site=tuple(name for part in parts for name in part.site),
        mvi_label=np.concatenate([part.mvi_label for part in parts]),
        mvi_probability=np.concatenate([part.mvi_probability for part in parts]),
        rfs=_concatenate_survival([part.rfs for part in parts]),
        os=_concatenate_survival([part.os for part in parts]),
    )


def evaluate(
    predictions: Predictions,
    mvi_threshold: float | None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[Metric, Estimate]:
    """Return a cohort's metrics with their intervals.

    Parameters
    ----------
    predictions : Predictions
    mvi_threshold : float or None
        Fixed beforehand, on other patients; None where it could not be, and so neither can F1.
    resamples, seed : int
        As in `shared.metrics.bootstrap.site_resamples`.
    """
    p = predictions
    mvi = (p.mvi_label, p.mvi_probability, p.site)
    mvi_auc = auc_estimate(*mvi, resamples=resamples, seed=seed)
    mvi_f1 = (
        Estimate(value=None, ci95=None, n=mvi_auc.n)
        if mvi_threshold is None
        else f1_estimate(*mvi, mvi_threshold, resamples=resamples, seed=seed)
    )
    c_index = {
        task: c_index_estimate(
            labels.months, labels.event, labels.risk, p.site, resamples=resamples, seed=seed
        )
        for task, labels in (("os", p.os), ("rfs", p.rfs))
    }
    return {
        "os_c_index": c_index["os"],
        "rfs_c_index": c_index["rfs"],
        "mvi_f1": mvi_f1,
        "mvi_auc": mvi_auc,
    }


def _concatenate_survival(parts: Sequence[SurvivalPredictions]) -> SurvivalPredictions:
    if len({part.survival.shape[1] for part in parts}) != 1:
        raise ValueError("survival curves lie on different time grids")
    return SurvivalPredictions(
        months=np.concatenate([part.months for part in parts]),
        event=np.concatenate([part.event for part in parts]),
        risk=np.concatenate([part.risk for part in parts]),
        survival=np.concatenate([part.survival for part in parts]),
    )
