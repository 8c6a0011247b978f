"""Augmentation of a batch of ROIs: place, scanner, missing phases."""

from dataclasses import replace

import torch
from torch import Tensor

from shared.measurements import PHASE_MEASUREMENTS, SHAPE_MEASUREMENTS
from shared.model import RoiBatch
from shared.plan import AugmentationSettings


def augment(
    batch: RoiBatch,
    settings: AugmentationSettings,
    generator: torch.Generator,
    *,
    images: bool = True,
) -> RoiBatch:
    """Return a changed copy of a training batch.

    Image and mask move together; size, spacing and labels stay true. Every draw comes from
    `generator`, so that the same seed gives the same batch. Without `images` only phases are
    withheld: for a network that reads measurements alone.
    """
    if images:
        batch = _change_images(batch, settings, generator)
    present = _withhold_phases(batch.present, settings.phase_dropout, generator)
    # An absent phase is zero, as the network expects it, whatever was done to its intensities.
    phases = batch.phases * present.view(*present.shape, 1, 1, 1)
    measurements = batch.measurements.masked_fill(_of_absent_phases(present), torch.nan)
    return replace(batch, phases=phases, present=present, measurements=measurements)


def _change_images(
    batch: RoiBatch, settings: AugmentationSettings, generator: torch.Generator
) -> RoiBatch:
    batch = _flip(batch, settings, generator)
    batch = _shift(batch, settings.shift_voxels, generator)
    return replace(batch, phases=_intensity(batch.phases, settings, generator))


def _flip(batch: RoiBatch, settings: AugmentationSettings, generator: torch.Generator) -> RoiBatch:
    if not settings.flip:
        return batch
    phases, mask = batch.phases.clone(), batch.mask.clone()
    mirrored = torch.rand(len(mask), 3, generator=generator) < 0.5
    for patient, axes in enumerate(mirrored.tolist()):
        spatial = [axis for axis, mirror in enumerate(axes) if mirror]
        phases[patient] = phases[patient].flip([axis + 1 for axis in spatial])
        mask[patient] = mask[patient].flip(spatial)
    return replace(batch, phases=phases, mask=mask)


def _shift(batch: RoiBatch, most_voxels: int, generator: torch.Generator) -> RoiBatch:
    if most_voxels == 0:
        return batch
    phases, mask = batch.phases.clone(), batch.mask.clone()
    offsets = torch.randint(-most_voxels, most_voxels + 1, (len(mask), 3), generator=generator)
    for patient, offset in enumerate(offsets.tolist()):
        for axis, by in enumerate(offset):
            # The outermost layer is repeated: what would come into sight there is not known.
            came_from = (torch.arange(mask.shape[axis + 1]) - by).clamp(0, mask.shape[axis + 1] - 1)
            phases[patient] = phases[patient].index_select(axis + 1, came_from)
            mask[patient] = mask[patient].index_select(axis, came_from)
    return replace(batch, phases=phases, mask=mask)


def _intensity(
    phases: Tensor, settings: AugmentationSettings, generator: torch.Generator
) -> Tensor:
    per_phase = (*phases.shape[:2], 1, 1, 1)
    scale = 1 + settings.intensity_scale * torch.randn(per_phase, generator=generator)
    shift = settings.intensity_shift * torch.randn(per_phase, generator=generator)
    phases = phases * scale + shift
    if settings.noise > 0:
        deviation = settings.noise * torch.rand(len(phases), 1, 1, 1, 1, generator=generator)
        phases = phases + deviation * torch.randn(phases.shape, generator=generator)
    return phases


def _withhold_phases(present: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    kept = present * (torch.rand(present.shape, generator=generator) >= probability)
    none_left = kept.sum(dim=1, keepdim=True) == 0
    return torch.where(none_left, present, kept)


def _of_absent_phases(present: Tensor) -> Tensor:
    """Return which measurements need a phase that is not there, shape (B, M), bool."""
    absent = (present == 0).repeat_interleave(len(PHASE_MEASUREMENTS), dim=1)
    always = absent.new_zeros(len(present), len(SHAPE_MEASUREMENTS))
    return torch.cat([always, absent], dim=1)
