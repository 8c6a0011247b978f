"""One loss from three tasks, each on the patients whose label is known."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from shared.losses.cox import cox_loss
from shared.losses.logistic_hazard import logistic_hazard_loss
from shared.tasks import SURVIVAL_TASKS, TASKS, Labels, Survival, SurvivalTask, Task
from shared.time_grid import TimeGrid


@dataclass(frozen=True)
class LossSettings:
    """How the tasks are trained.

    Attributes
    ----------
    survival : str
        ``"logistic_hazard"``: discrete time on the federation's grid; ``"cox"``: partial
        likelihood with Efron's ties, within the batch and its strata.
    mvi_weight, rfs_weight, os_weight : float
        Weight of each task in the total; 0 leaves a task untrained.
    mvi_label_smoothing : float
        In [0, 1): a target y becomes ``y (1 - s) + s / 2``, for a label that two pathologists
        may read differently.
    """

    survival: Literal["logistic_hazard", "cox"] = "logistic_hazard"
    mvi_weight: float = 1.0
    rfs_weight: float = 1.0
    os_weight: float = 1.0
    mvi_label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        if self.survival not in ("logistic_hazard", "cox"):
            raise ValueError(f"survival must be 'logistic_hazard' or 'cox', got {self.survival!r}")
        weights = (self.mvi_weight, self.rfs_weight, self.os_weight)
        if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
            raise ValueError(f"task weights must be finite and >= 0, got {weights}")
        if not any(weights):
            raise ValueError("task weights are all 0: nothing would be trained")
        if not 0 <= self.mvi_label_smoothing < 1:
            raise ValueError(
                f"mvi_label_smoothing must lie in [0, 1), got {self.mvi_label_smoothing}"
            )

    def weight(self, task: Task) -> float:
        """Return a task's weight."""
        return {"mvi": self.mvi_weight, "rfs": self.rfs_weight, "os": self.os_weight}[task]


@dataclass(frozen=True)
class SurvivalTargets:
    """One survival task's labels of B patients.

    Attributes
    ----------
    months : Tensor, shape (B,), float32
        Time to event or censoring; NaN is unknown.
    event : Tensor, shape (B,), bool
        False where unknown.
    """

    months: Tensor
    event: Tensor

    @property
    def known(self) -> Tensor:
        """Who has the label, shape (B,), bool."""
        return ~torch.isnan(self.months)


@dataclass(frozen=True)
class Targets:
    """Labels of a batch of B patients, on the CPU wherever the network computes.

    Who counts, and how often, is decided there: a GPU that is asked for it would be waited for.

    Attributes
    ----------
    mvi : Tensor, shape (B,), float32
        0 or 1; NaN is unknown.
    rfs, os : SurvivalTargets
    stratum : Tensor or None, shape (B,), int64
        Patients are compared only within a stratum (a site) by the Cox loss; None is one
        stratum.
    """

    mvi: Tensor
    rfs: SurvivalTargets
    os: SurvivalTargets
    stratum: Tensor | None = None

    def __len__(self) -> int:
        return len(self.mvi)

    def survival(self, task: SurvivalTask) -> SurvivalTargets:
        """Return a survival task's labels."""
        return self.rfs if task == "rfs" else self.os

    def known(self, task: Task) -> Tensor:
        """Return who has a task's label, shape (B,), bool."""
        return ~torch.isnan(self.mvi) if task == "mvi" else self.survival(task).known


def targets_from_labels(labels: Sequence[Labels], strata: Sequence[int] | None = None) -> Targets:
    """Stack patients' labels in the order given, on the CPU.

    Parameters
    ----------
    labels : sequence of Labels, length B
    strata : sequence of int or None, length B
        The site of each patient, for batches that mix sites.
    """
    return Targets(
        mvi=torch.tensor([math.nan if x.mvi is None else float(x.mvi) for x in labels]),
        rfs=_survival_targets([x.rfs for x in labels]),
        os=_survival_targets([x.os for x in labels]),
        stratum=None if strata is None else torch.tensor(strata, dtype=torch.int64),
    )


def _survival_targets(observed: Sequence[Survival | None]) -> SurvivalTargets:
    return SurvivalTargets(
        months=torch.tensor([math.nan if x is None else x.months for x in observed]),
        event=torch.tensor([x is not None and x.event for x in observed], dtype=torch.bool),
    )


def multitask_loss(
    outputs: Mapping[str, Tensor], targets: Targets, settings: LossSettings, time_grid: TimeGrid
) -> tuple[Tensor, dict[Task, Tensor]]:
    """Return the weighted loss of all tasks, and the loss of each.

    Each task is averaged over its labelled patients: a label's weight does not depend on how
    many others in the batch lack theirs. A task without a label in the batch is exactly 0 and
    sends a gradient of exactly 0.

    Parameters
    ----------
    outputs : mapping of str to Tensor
        ``"mvi"``, shape (B,), logits; ``"rfs"`` and ``"os"``, shape (B, T), logits of hazards
        on the grid, or shape (B, 1), log hazards for the Cox loss.
    targets : Targets
        Of the same B patients.
    settings : LossSettings
    time_grid : TimeGrid
        Of T intervals; not used by the Cox loss.

    Returns
    -------
    total : Tensor, shape ()
        Sum of weight times loss.
    losses : dict of Task to Tensor, shape ()
        Without weights, detached; times the number of labelled patients they are sums that
        can be added over batches and sites.

    Raises
    ------
    ValueError
        An output whose shape does not fit the targets, the grid or the loss.
    """
    sums: dict[Task, Tensor] = {"mvi": _mvi_sum(outputs["mvi"], targets.mvi, settings)}
    for task in SURVIVAL_TASKS:
        labels = targets.survival(task)
        if settings.survival == "cox":
            _check_shape(task, outputs[task], (len(targets), 1))
            sums[task] = _cox_sum(outputs[task], labels, targets.stratum)
        else:
            _check_shape(task, outputs[task], (len(targets), time_grid.intervals))
            sums[task] = _hazard_sum(outputs[task], labels, time_grid)
    # Where no label is known the sum is 0 in value and gradient, divided by 1.
    means = {task: sums[task] / targets.known(task).sum().clamp_min(1) for task in TASKS}
    total = torch.stack([settings.weight(task) * means[task] for task in TASKS]).sum()
    return total, {task: mean.detach() for task, mean in means.items()}


def _mvi_sum(logits: Tensor, mvi: Tensor, settings: LossSettings) -> Tensor:
    _check_shape("mvi", logits, (len(mvi),))
    smoothing = settings.mvi_label_smoothing
    target = torch.nan_to_num(mvi) * (1 - smoothing) + smoothing / 2
    known, target = _beside(logits, ~torch.isnan(mvi), target.to(logits.dtype))
    # An unknown patient's own logit is left out before the cost: it need not be finite.
    told = torch.where(known, logits, 0.0)
    cost = functional.binary_cross_entropy_with_logits(told, target, reduction="none")
    return torch.where(known, cost, 0.0).sum()


def _hazard_sum(logits: Tensor, labels: SurvivalTargets, time_grid: TimeGrid) -> Tensor:
    known = labels.known
    exposure = torch.zeros(len(known), time_grid.intervals, dtype=logits.dtype)
    died = torch.zeros(exposure.shape, dtype=torch.bool)
    share, where = time_grid.exposure(labels.months[known], labels.event[known])
    exposure[known], died[known] = torch.from_numpy(share).to(logits.dtype), torch.from_numpy(where)
    known, exposure, died = _beside(logits, known, exposure, died)
    told = torch.where(known[:, None], logits, 0.0)
    return logistic_hazard_loss(told, exposure, died).sum()


def _cox_sum(scores: Tensor, labels: SurvivalTargets, stratum: Tensor | None) -> Tensor:
    known = labels.known
    months, event = _beside(scores, labels.months[known], labels.event[known])
    own_stratum = None if stratum is None else _beside(scores, stratum[known])[0]
    return cox_loss(scores[known, 0], months, event, own_stratum)


def _beside(outputs: Tensor, *labels: Tensor) -> list[Tensor]:
    """Return labels on the device of the outputs, without waiting for what it computes."""
    return [label.to(outputs.device, non_blocking=True) for label in labels]


def _check_shape(task: str, output: Tensor, expected: tuple[int, ...]) -> None:
    if tuple(output.shape) != expected:
        raise ValueError(f"output {task!r} has shape {tuple(output.shape)}, expected {expected}")
