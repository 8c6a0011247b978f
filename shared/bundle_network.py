"""The network as a MONAI bundle runs it: one tensor in, one tensor out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from shared.config import build
from shared.losses.logistic_hazard import survival_curve
from shared.measurements import MEASUREMENTS
from shared.model import MultiTaskNet, RoiBatch, ranking_score
from shared.plan import Plan, new_model
from shared.tasks import PHASES, SURVIVAL_TASKS, TUMOUR_LABEL, SurvivalTask
from shared.weights import read_weights

INPUT_CHANNELS = (*PHASES, "labels", "spacing_mm", "measurements")


class BundleNetwork(nn.Module):
    """The federation's network behind the interface of MONAI's tools.

    Parameters
    ----------
    plan : Plan
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self.model: MultiTaskNet = new_model(plan)

    def load_weights(self, path: str | Path) -> Self:
        """Load a safetensors file and return the network in evaluation mode."""
        weights = read_weights(Path(path))
        self.model.load_state_dict({key: torch.from_numpy(w) for key, w in weights.items()})
        return self.eval()

    def forward(self, image: Tensor) -> Tensor:
        """Return what is predicted.

        Parameters
        ----------
        image : Tensor, shape (B, 6, D, H, W), float32
            Channels as in `INPUT_CHANNELS`: three phases as preprocessing leaves them, all zero
            where a phase is absent; labels 0, 1, 2; the edge of a voxel in mm, everywhere alike;
            `MEASUREMENTS` and the plan's clinical variables in the first voxels of a channel, NaN
            where unknown, zeros after them.

        Returns
        -------
        Tensor, shape (B, C), float32
            As `output_channels` names them.
        """
        outputs = self.model(unpack(image, len(self.plan.model.clinical_variables)))
        columns = [torch.sigmoid(outputs["mvi"].double()).unsqueeze(1)]
        for task in SURVIVAL_TASKS:
            if self.plan.loss.survival == "logistic_hazard":
                columns.append(survival_curve(outputs[task].double()))
            else:
                columns.append(ranking_score(outputs[task]).unsqueeze(1))
        return torch.cat(columns, dim=1).float()


def network_of(plan: Mapping[str, Any]) -> BundleNetwork:
    """Return the network of a plan written as plain values; ``inference.json`` calls this."""
    return BundleNetwork(build(Plan, plan, where="network_def.plan"))


def pack(batch: RoiBatch) -> Tensor:
    """Return a batch as one tensor, shape (B, 6, D, H, W); `unpack` is the inverse."""
    labels = batch.mask.float().unsqueeze(1)
    spacing_mm = batch.spacing_mm.view(-1, 1, 1, 1, 1).expand_as(labels)
    measurements = torch.zeros_like(labels).flatten(1)
    measurements[:, : batch.head_inputs.shape[1]] = batch.head_inputs
    return torch.cat([batch.phases, labels, spacing_mm, measurements.view_as(labels)], dim=1)


def unpack(image: Tensor, clinical_variables: int = 0) -> RoiBatch:
    """Return the batch that a tensor of shape (B, 6, D, H, W) stands for."""
    phases = image[:, : len(PHASES)]
    inputs = image[:, len(PHASES) + 2].flatten(1)[:, : len(MEASUREMENTS) + clinical_variables]
    return RoiBatch(
        phases=phases,
        mask=image[:, len(PHASES)].round().clamp(0, TUMOUR_LABEL).to(torch.uint8),
        present=(phases != 0).flatten(2).any(dim=2).float(),
        spacing_mm=image[:, len(PHASES) + 1].flatten(1).mean(dim=1),
        measurements=inputs[:, : len(MEASUREMENTS)],
        clinical=inputs[:, len(MEASUREMENTS) :],
    )


def output_channels(
    plan: Plan, followed_months: Mapping[SurvivalTask, float] | None = None
) -> tuple[str, ...]:
    """Return what each channel of the output is, in plain words.

    The network gives a number at every edge of the grid; a channel to whose time training
    patients are not certain to have been followed says so, where that is given.
    """
    followed = followed_months or {}
    names = ["probability of microvascular invasion"]
    for task in SURVIVAL_TASKS:
        if plan.loss.survival == "logistic_hazard":
            edges = plan.time_grid.edges_months
            last = followed.get(task, edges[-1])
            names += [
                f"{task.upper()} probability at {edge:g} months"
                + (", beyond the certain follow-up in training" if edge > last else "")
                for edge in edges
            ]
        else:
            names.append(f"{task.upper()} risk, higher is worse")
    return tuple(names)
