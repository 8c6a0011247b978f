"""The multi-task network: one 3D DenseNet trunk, an MVI head and two survival heads."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from shared.measurements import MEASUREMENTS
from shared.model.batch import RoiBatch
from shared.model.heads import (
    SHARED_RISK,
    LogisticHead,
    ProportionalHazardHead,
    squared_weights,
    zero_linear,
)
from shared.model.settings import ModelSettings
from shared.model.standardise import Centre, Standardise
from shared.model.trunk import build_trunk, pooled_maps, precision, stages
from shared.regions import region_moments, region_weights, resample_regions
from shared.tasks import LIVER_LABEL, PHASES, SURVIVAL_TASKS, TASKS, TUMOUR_LABEL


class MultiTaskNet(nn.Module):
    """The shared network of the federation.

    The heads are linear. They read the lesion's measurements (`shared.measurements`), the signs
    by which radiologists judge: 192 patients are too few to learn these from voxels; and the
    clinical variables of the study, if it names any. Beside them stands what a 3D DenseNet
    sees, its maps pooled over tumour core, rim and ring apart (`shared.regions`) and
    standardised (`Centre`). The three outcomes go with the same signs, so each head is what all
    share and a part of its own; the penalty (`ridge`) holds both near zero.

    Parameters
    ----------
    settings : ModelSettings
    baseline : Tensor, shape (T,)
        Logits at which the hazards of the federation's T intervals begin (`constant_hazard`); one
        for the Cox loss.
    """

    told: Tensor

    def __init__(self, settings: ModelSettings, baseline: Tensor) -> None:
        super().__init__()
        self.settings = settings
        self.standardise = Standardise(len(settings.clinical_variables))
        told = [name not in settings.withheld_measurements for name in MEASUREMENTS]
        told += [True] * len(settings.clinical_variables)
        self.register_buffer("told", torch.tensor(told), persistent=False)
        features = len(settings.clinical_variables)
        features += len(MEASUREMENTS) if settings.measurements else 0
        if settings.trunk != "none":
            channels = len(PHASES) + (2 if settings.mask_channel else 0)
            self.trunk = build_trunk(settings, channels)
            self.centre = Centre(pooled_maps(settings))
            self.embed = nn.Sequential(
                nn.Dropout(settings.dropout),
                nn.Linear(pooled_maps(settings), settings.embedding),
                nn.ELU(),
            )
            features += settings.embedding
        self.heads = nn.ModuleDict({SHARED_RISK: zero_linear(features, bias=False)})
        self.heads["mvi"] = LogisticHead(features)
        for task in SURVIVAL_TASKS:
            self.heads[task] = ProportionalHazardHead(features, baseline)

    def forward(self, batch: RoiBatch) -> dict[str, Tensor]:
        """Return ``{"mvi": (B,) logit, "rfs": (B, T), "os": (B, T) hazard logits}``."""
        features = self.features(batch)
        shared_risk = self.heads[SHARED_RISK](features)
        return {task: self.heads[task](features, shared_risk) for task in TASKS}

    def ridge(self, shared: float, own: float) -> Tensor:
        """Return half the penalised squares of the shared weights and of each task's own."""
        squares = [shared * squared_weights(self.heads[SHARED_RISK])]
        squares += [own * squared_weights(cast(nn.Module, self.heads[task].risk)) for task in TASKS]
        return torch.stack(squares).sum() / 2

    def features(self, batch: RoiBatch) -> Tensor:
        """Return the features that all heads share, shape (B, F)."""
        standardised = cast(Tensor, self.standardise(batch.head_inputs)) * self.told
        read = standardised if self.settings.measurements else standardised[:, len(MEASUREMENTS) :]
        if self.settings.trunk == "none":
            return read
        embedded = self.embed(self.centre(self.pool(batch)))
        return torch.cat([read, self.settings.embedding_scale * embedded], dim=1)

    def pool(self, batch: RoiBatch) -> Tensor:
        """Return the means of the trunk's maps in every region, shape (B, P), float32."""
        tumour = batch.mask == TUMOUR_LABEL
        regions = region_weights(tumour)
        pooled = []
        with precision(self.settings, batch.mask.device):
            x = self._input_channels(batch, tumour)
            for name, layer in self.trunk.named_children():
                x = layer(x)
                if name in stages(self.settings):
                    weights = resample_regions(regions, x.shape[2:])
                    maps = functional.elu(x)
                    pooled.append(region_moments(maps, weights, order=1).flatten(1))
        return torch.cat(pooled, dim=1).float()

    def _input_channels(self, batch: RoiBatch, tumour: Tensor) -> Tensor:
        phases, liver = batch.phases, batch.mask > 0
        if self.settings.liver_clipped:
            # A mask that marks the tumour alone does not tell what is liver.
            marked = (batch.mask == LIVER_LABEL).flatten(1).any(dim=1).view(-1, 1, 1, 1)
            phases = phases * (liver | ~marked)[:, None]
        if not self.settings.mask_channel:
            return phases
        masks = torch.stack([tumour, liver], dim=1)
        return torch.cat([phases, masks.to(phases.dtype)], dim=1)
