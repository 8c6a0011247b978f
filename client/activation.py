"""Class activation maps: where the shared trunk found its evidence."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from monai.visualize import GradCAM
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from shared.model import MultiTaskNet, RoiBatch, ranking_score, stages
from shared.tasks import Task

# The finest map behind the stem: in a DenseNet a quarter of the ROI's resolution.
STAGE = 1


class _OneTask(nn.Module):
    """The network as MONAI's maps want it: one tensor in, one score a patient out."""

    def __init__(self, model: MultiTaskNet, task: Task) -> None:
        super().__init__()
        self.model = model
        self.task = task

    def forward(self, x: Tensor, batch: RoiBatch) -> Tensor:
        output = self.model(replace(batch, phases=x))[self.task]
        score: Tensor = output if self.task == "mvi" else ranking_score(output)
        return score.unsqueeze(1)


class _HiResCAM(GradCAM):  # type: ignore[misc]
    """HiResCAM (Draelos and Carin, arXiv 2011.08891) on MONAI's hooks.

    Grad-CAM averages the gradient over space before it weights the map. This network pools
    tumour core, rim and ring apart, so the gradient differs between them, and the average
    would show evidence where none was read. Without the average the map sums up to what the
    layer contributed.
    """

    def compute_map(
        self,
        x: Tensor,
        class_idx: int | None = None,
        retain_graph: bool = False,
        layer_idx: int = -1,
        **kwargs: Any,
    ) -> Tensor:
        _, activation, gradient = self.nn_module(
            x, class_idx=class_idx, retain_graph=retain_graph, **kwargs
        )
        return functional.relu((activation[layer_idx] * gradient[layer_idx]).sum(1, keepdim=True))


def activation_map(model: MultiTaskNet, batch: RoiBatch, task: Task) -> NDArray[np.float32]:
    """Return where evidence for a higher risk was found.

    Parameters
    ----------
    model : MultiTaskNet
    batch : RoiBatch
        Of B patients.
    task : Task

    Returns
    -------
    ndarray, shape (B, D, H, W)
        In [0, 1], 1 at each patient's own strongest place; all 0 where nothing speaks for a
        higher risk. It shows the trunk's share: what the heads read directly has no map, and a
        model without a trunk has none.
    """
    if model.settings.trunk == "none":
        return np.zeros(tuple(batch.mask.shape), np.float32)
    cam = _HiResCAM(
        nn_module=_OneTask(model, task),
        target_layers=f"model.trunk.{[*stages(model.settings)][STAGE]}",
        postprocessing=_to_unit_range,
    )
    with torch.enable_grad():
        maps: Tensor = cam(x=batch.phases.clone().requires_grad_(), class_idx=0, batch=batch)
    return np.asarray(maps.detach().squeeze(1), dtype=np.float32)


def _to_unit_range(maps: Tensor) -> Tensor:
    highest = maps.flatten(1).amax(dim=1).view(-1, 1, 1, 1, 1)
    return maps / highest.clamp_min(torch.finfo(maps.dtype).tiny)
