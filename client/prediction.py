"""What a model says of one patient."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from shared.losses.logistic_hazard import survival_curve
from shared.model import MultiTaskNet, RoiBatch, ranking_score
from shared.model_folder import ModelFolder
from shared.tasks import SURVIVAL_TASKS, SurvivalTask

GROUP_NAMES = {2: ("low", "high"), 3: ("low", "medium", "high")}


@dataclass(frozen=True)
class SurvivalPrediction:
    """One survival task.

    Attributes
    ----------
    risk : float
        `shared.model.ranking_score`: higher is worse.
    group : str or None
        By the cuts fixed on internal validation; None where there are none.
    months, survival : tuple of float
        The curve at the edges of the time grid, as far as `followed_edges`; empty where the model
        gives none.
    median_months : float or None
        When survival falls to one half; None where it does not within these months.
    grid_months : float or None
        Where the time grid ends; None where the model gives no curve.
    followed_months : float or None
        To which month training patients were followed; None where it is not known.
    """

    risk: float
    group: str | None
    months: tuple[float, ...]
    survival: tuple[float, ...]
    median_months: float | None
    grid_months: float | None
    followed_months: float | None


@dataclass(frozen=True)
class Prediction:
    """All tasks of one patient, at the thresholds of the model's folder."""

    mvi_probability: float
    mvi_threshold: float | None
    rfs: SurvivalPrediction
    os: SurvivalPrediction

    @property
    def mvi_positive(self) -> bool | None:
        """Whether the frozen threshold is reached; None where there is none."""
        if self.mvi_threshold is None:
            return None
        return self.mvi_probability >= self.mvi_threshold

    def survival(self, task: SurvivalTask) -> SurvivalPrediction:
        """Return a survival task's prediction."""
        return self.rfs if task == "rfs" else self.os


@torch.no_grad()
def predict(model: MultiTaskNet, batch: RoiBatch, about: ModelFolder) -> Prediction:
    """Predict for a batch of one patient."""
    outputs = model(batch)
    found: dict[SurvivalTask, SurvivalPrediction] = {}
    for task in SURVIVAL_TASKS:
        followed = about.followed_months.get(task)
        months: tuple[float, ...] = ()
        curve: tuple[float, ...] = ()
        end: float | None = None
        if about.plan.loss.survival == "logistic_hazard":
            edges = about.plan.time_grid.edges_months
            months, end = followed_edges(edges, followed), edges[-1]
            curve = tuple(survival_curve(outputs[task].double())[0].tolist())[: len(months)]
        risk = float(ranking_score(outputs[task])[0])
        group = risk_group(risk, about.risk_cuts.get(task, ()))
        median = median_months(months, curve)
        found[task] = SurvivalPrediction(risk, group, months, curve, median, end, followed)
    probability = float(torch.sigmoid(outputs["mvi"].double())[0])
    return Prediction(probability, about.mvi_threshold, found["rfs"], found["os"])


def followed_edges(edges: tuple[float, ...], followed: float | None) -> tuple[float, ...]:
    """Return the edges of the time grid to which training patients were followed.

    All of them where that is not known. The curve ends at an edge and not at the very month: the
    hazard of an interval is that of the whole of it, and nobody was seen to finish the one in
    which follow-up ends. There it rests on whoever had the event, or on nobody.
    """
    return edges if followed is None else tuple(edge for edge in edges if edge <= followed)


def risk_group(risk: float, cuts: Sequence[float]) -> str | None:
    """Return the name of the group; a risk that equals a cut is in the group below it."""
    if not cuts:
        return None
    index = int(np.searchsorted(cuts, risk, side="left"))
    names = GROUP_NAMES.get(len(cuts) + 1)
    return names[index] if names else f"{index + 1} of {len(cuts) + 1}"


def median_months(months: Sequence[float], survival: Sequence[float]) -> float | None:
    """Return when a curve falls to one half, linear between the edges; None where it does not.

    Parameters
    ----------
    months, survival : sequence of float, length T
        A falling curve at increasing times; it starts at (0, 1).
    """
    before_month, before = 0.0, 1.0
    for month, value in zip(months, survival, strict=True):
        if value <= 0.5:
            return before_month + (month - before_month) * (before - 0.5) / (before - value)
        before_month, before = month, value
    return None
