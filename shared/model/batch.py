"""What the network sees of patients."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from shared.regions import REGIONS, region_moments


@dataclass(frozen=True)
class RoiBatch:
    """What the network sees of B patients.

    Attributes
    ----------
    phases : Tensor, shape (B, 3, D, H, W), float32
        Normalised intensities in the order of `PHASES`; zero where a phase is absent.
    mask : Tensor, shape (B, D, H, W), uint8
        0 background, 1 liver, 2 tumour.
    present : Tensor, shape (B, 3), float32
        1 where the phase was acquired.
    spacing_mm : Tensor, shape (B,), float32
        Edge of a voxel.
    measurements : Tensor, shape (B, M), float32
        In the order of `shared.measurements.MEASUREMENTS`; NaN where unknown.
    clinical : Tensor, shape (B, V), float32
        In the order of `ModelSettings.clinical_variables`; NaN where unknown.
    """

    phases: Tensor
    mask: Tensor
    present: Tensor
    spacing_mm: Tensor
    measurements: Tensor
    clinical: Tensor

    @property
    def head_inputs(self) -> Tensor:
        """What the heads read directly, shape (B, M + V); NaN where unknown."""
        return torch.cat([self.measurements, self.clinical], dim=1)

    def to(self, device: torch.device) -> Self:
        """Return the batch on a device; one that is pinned goes while the device computes."""
        moved = {key: value.to(device, non_blocking=True) for key, value in vars(self).items()}
        return type(self)(**moved)

    def pinned(self) -> Self:
        """Return the batch in memory from which a GPU fetches it by itself."""
        return type(self)(**{key: value.pin_memory() for key, value in vars(self).items()})


def direct_features(batch: RoiBatch, regions: Tensor) -> tuple[Tensor, Tensor]:
    """Return what is taken from the image itself, and what of it is known.

    Mean and deviation of every phase in core, rim and ring; which phases are there; what the
    heads read.

    Parameters
    ----------
    batch : RoiBatch
    regions : Tensor, shape (B, 3, D, H, W)
        From `shared.regions.region_weights`.

    Returns
    -------
    values, known : Tensor, shape (B, `DIRECT_FEATURES` + V)
        `known` is 0 for what an absent phase would have told, else 1; values are finite.
    """
    moments = region_moments(batch.phases, regions, order=2)
    read = batch.head_inputs
    values = torch.cat([moments.flatten(1), batch.present, torch.nan_to_num(read)], dim=1)
    by_phase = batch.present.repeat(1, 2).repeat_interleave(len(REGIONS), dim=1)
    always = torch.ones_like(batch.present)
    return values, torch.cat([by_phase, always, (~torch.isnan(read)).to(values.dtype)], dim=1)
