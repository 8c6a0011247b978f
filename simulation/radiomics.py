"""The rival that any federation must beat: a linear model on lesion features, pooled."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter
from lifelines.exceptions import ConvergenceError
from lifelines.utils import k_fold_cross_validation
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from client.batches import collate
from client.cases import PreparedCase
from shared.model import RoiBatch
from shared.regions import REGIONS, region_weights
from shared.tasks import PHASES, SURVIVAL_TASKS, TUMOUR_LABEL, SurvivalTask

Features = NDArray[np.float64]

PERCENTILES = (10, 50, 90)
RIDGE_PENALTIES = (0.03, 0.1, 0.3, 1.0)
_FOLDS = 5
_COLUMNS = {"duration_col": "months", "event_col": "event"}
_SEED = 0


@dataclass(frozen=True)
class Radiomics:
    """Fitted linear models; each is None where its task cannot be fitted."""

    scaler: Pipeline
    mvi: GridSearchCV | None
    survival: dict[SurvivalTask, CoxPHFitter | None]

    def mvi_probability(self, features: Features) -> Features:
        """Return probabilities, shape (n,); NaN where no model could be fitted."""
        if self.mvi is None:
            return np.full(len(features), np.nan)
        return np.asarray(self.mvi.predict_proba(self.scaler.transform(features))[:, 1])

    def risk(self, task: SurvivalTask, features: Features) -> Features:
        """Return log partial hazards, shape (n,); NaN where no model could be fitted."""
        model = self.survival[task]
        if model is None:
            return np.full(len(features), np.nan)
        frame = _frame(self.scaler.transform(features))
        return np.asarray(model.predict_log_partial_hazard(frame), dtype=np.float64)


def lesion_features(cases: Sequence[PreparedCase]) -> Features:
    """Return features of lesion, rim and surroundings, shape (n, 34).

    Log equivalent diameter, rim over smooth surface, elongation, tumour components' share, and
    by phase and region the percentiles of `PERCENTILES`, NaN where the phase is absent. The
    tumour is all of label 2 in the ROI.
    """
    return np.stack([_features(collate([case])) for case in cases])


def _features(roi: RoiBatch) -> NDArray[np.float64]:
    tumour = roi.mask == TUMOUR_LABEL
    regions = region_weights(tumour)[0].numpy() > 0
    inside = tumour[0].numpy()
    values = _shape_features(inside, regions[REGIONS.index("rim")], float(roi.spacing_mm[0]))
    for phase in range(len(PHASES)):
        intensities = roi.phases[0, phase].numpy()
        for region in regions:
            known = bool(roi.present[0, phase] > 0) and region.any()
            values += (
                list(np.percentile(intensities[region], PERCENTILES))
                if known
                else [np.nan] * len(PERCENTILES)
            )
    return np.asarray(values, dtype=np.float64)


def _shape_features(
    inside: NDArray[np.bool_], rim: NDArray[np.bool_], spacing_mm: float
) -> list[float]:
    voxels = max(int(inside.sum()), 1)
    diameter_mm = spacing_mm * (6 * voxels / np.pi) ** (1 / 3)
    roughness = rim.sum() / (np.pi ** (1 / 3) * (6 * voxels) ** (2 / 3))
    extents_mm = spacing_mm * np.ptp(np.argwhere(inside), axis=0) if inside.any() else np.ones(3)
    elongation = float(extents_mm.max() / max(extents_mm.min(), spacing_mm))
    filled = voxels * spacing_mm**3 / np.prod(extents_mm + spacing_mm)
    return [float(np.log(diameter_mm)), float(roughness), elongation, float(filled)]


def fit_radiomics(cases: Sequence[PreparedCase], features: Features) -> Radiomics:
    """Fit on training patients; penalties are chosen by cross-validation among them.

    What lifelines cannot fit, as where a few patients are told apart whole, stays unfitted.
    """
    scaler = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler()).fit(features)
    scaled = scaler.transform(features)
    return Radiomics(
        scaler=scaler,
        mvi=_fit_mvi(cases, scaled),
        survival={task: _fit_cox(task, cases, scaled) for task in SURVIVAL_TASKS},
    )


def _fit_mvi(cases: Sequence[PreparedCase], scaled: Features) -> GridSearchCV | None:
    known = [index for index, case in enumerate(cases) if case.labels.mvi is not None]
    labels = np.array([cases[index].labels.mvi for index in known], dtype=int)
    if len(known) == 0 or min(np.bincount(labels, minlength=2)) < _FOLDS:
        return None
    model = GridSearchCV(
        LogisticRegression(max_iter=1000),
        {"C": np.logspace(-3, 1, 9)},
        scoring="neg_log_loss",
        cv=_FOLDS,
    )
    return model.fit(scaled[known], labels)


def _fit_cox(
    task: SurvivalTask, cases: Sequence[PreparedCase], scaled: Features
) -> CoxPHFitter | None:
    outcomes = [getattr(case.labels, task) for case in cases]
    known = [index for index, outcome in enumerate(outcomes) if outcome is not None]
    frame = _frame(scaled[known])
    # Of a phase that nobody has: lifelines divides by its deviation.
    frame = frame.loc[:, frame.nunique() > 1].copy()
    frame["months"] = [outcomes[index].months for index in known]
    frame["event"] = [int(outcomes[index].event) for index in known]
    if frame["event"].sum() < 2 * _FOLDS:
        return None
    found = {penalty: _cross_validated(penalty, frame) for penalty in RIDGE_PENALTIES}
    scores = {penalty: score for penalty, score in found.items() if score is not None}
    if not scores:
        return None
    best = max(scores, key=lambda penalty: scores[penalty])
    try:
        return CoxPHFitter(penalizer=best).fit(frame, **_COLUMNS)
    except ConvergenceError:
        return None


def _cross_validated(penalty: float, frame: pd.DataFrame) -> float | None:
    """Return the mean log likelihood of patients left out; None where a fold cannot be fitted."""
    candidate = CoxPHFitter(penalizer=penalty)
    try:
        folds = k_fold_cross_validation(
            candidate, frame, k=_FOLDS, scoring_method="log_likelihood", seed=_SEED, **_COLUMNS
        )
    except ConvergenceError:
        return None
    return float(np.mean(folds))


def _frame(values: Features) -> pd.DataFrame:
    return pd.DataFrame(values, columns=[f"x{index}" for index in range(values.shape[1])])
