"""Augmentation of a batch of ROIs: geometry, scanner, contrast timing, missing phases."""

from dataclasses import replace

import torch
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.nn import functional

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
    batch = _warp(batch, settings, generator)
    batch = _thicken(batch, settings.blur_voxels, generator)
    batch = _delay(batch, settings.late_fraction, generator)
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
        # The margin that wraps around is thinner than the margin around every tumour.
        phases[patient] = phases[patient].roll(offset, dims=(1, 2, 3))
        mask[patient] = mask[patient].roll(offset, dims=(0, 1, 2))
    return replace(batch, phases=phases, mask=mask)


def _warp(batch: RoiBatch, settings: AugmentationSettings, generator: torch.Generator) -> RoiBatch:
    """Rotate and bend image and mask together, in one interpolation."""
    if settings.rotate_degrees == 0 and settings.elastic_voxels == 0:
        return batch
    count, edge = len(batch.mask), batch.mask.shape[-1]
    angles = (2 * torch.rand(count, 3, generator=generator) - 1) * settings.rotate_degrees
    turned = Rotation.from_euler("xyz", angles.numpy(), degrees=True).as_matrix()
    affine = torch.cat([torch.from_numpy(turned).float(), torch.zeros(count, 3, 1)], dim=2)
    size = [count, 1, *batch.mask.shape[1:]]
    grid = functional.affine_grid(affine, size, align_corners=False)
    coarse = 2 * torch.rand(count, 3, 4, 4, 4, generator=generator) - 1
    bent = functional.interpolate(coarse, size[2:], mode="trilinear", align_corners=True)
    grid = grid + bent.permute(0, 2, 3, 4, 1) * (2 * settings.elastic_voxels / edge)
    phases = functional.grid_sample(batch.phases, grid, padding_mode="border", align_corners=False)
    mask = functional.grid_sample(
        batch.mask[:, None].float(), grid, mode="nearest", align_corners=False
    )
    return replace(batch, phases=phases, mask=mask[:, 0].to(batch.mask.dtype))


def _thicken(batch: RoiBatch, most_voxels: float, generator: torch.Generator) -> RoiBatch:
    if most_voxels == 0:
        return batch
    sigma = most_voxels * torch.rand(len(batch.mask), 1, generator=generator)
    reach = torch.arange(-3.0, 4.0)
    kernel = torch.exp(-(reach**2) / (2 * sigma.clamp_min(1e-2) ** 2))
    kernel = kernel / kernel.sum(1, keepdim=True)
    padded = functional.pad(batch.phases, (0, 0, 0, 0, 3, 3), mode="replicate")
    windows = padded.unfold(2, 7, 1)
    return replace(batch, phases=torch.einsum("bcdhwk,bk->bcdhw", windows, kernel))


def _delay(batch: RoiBatch, most: float, generator: torch.Generator) -> RoiBatch:
    """Move a phase's contrast towards the next phase's, where both were acquired."""
    if most == 0:
        return batch
    earlier, later = batch.phases[:, :-1], batch.phases[:, 1:]
    part = most * torch.rand(earlier.shape[:2], generator=generator)
    part = part * batch.present[:, :-1] * batch.present[:, 1:]
    moved = earlier + part[..., None, None, None] * (later - earlier)
    return replace(batch, phases=torch.cat([moved, batch.phases[:, -1:]], dim=1))


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
