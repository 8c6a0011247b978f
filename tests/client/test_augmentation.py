"""What a training batch may become: labels stay true, and the same seed gives the same batch."""

from dataclasses import replace

import pytest
import torch

from client.augmentation import augment
from shared.measurements import MEASUREMENTS
from shared.model import RoiBatch
from shared.plan import AugmentationSettings
from tests.simulation.small_sites import NO_AUGMENTATION

EACH = (
    replace(NO_AUGMENTATION, flip=True),
    replace(NO_AUGMENTATION, shift_voxels=2),
    replace(NO_AUGMENTATION, intensity_shift=0.1, intensity_scale=0.1, noise=0.05),
    replace(NO_AUGMENTATION, phase_dropout=0.5),
)


def batch(patients: int = 4) -> RoiBatch:
    """Return a tumour brighter by one than all around it, in phases of levels 1, 2 and 3."""
    mask = torch.ones(patients, 20, 20, 20, dtype=torch.uint8)
    mask[:, 6:14, 6:12, 4:14] = 2
    phases = (mask == 2)[:, None] + torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1, 1)
    measurements = torch.zeros(patients, len(MEASUREMENTS))
    present, spacing = torch.ones(patients, 3), torch.full((patients,), 3.0)
    return RoiBatch(phases, mask, present, spacing, measurements, torch.empty(patients, 0))


def changed(settings: AugmentationSettings, seed: int = 0) -> RoiBatch:
    return augment(batch(), settings, torch.Generator().manual_seed(seed))


def test_without_any_strength_nothing_changes() -> None:
    for before, after in zip(
        vars(batch()).values(), vars(changed(NO_AUGMENTATION)).values(), strict=True
    ):
        torch.testing.assert_close(after, before)


def test_where_nobody_looks_at_images_only_phases_are_withheld() -> None:
    everything = replace(EACH[2], flip=True, shift_voxels=2, phase_dropout=0.5)
    generator = torch.Generator().manual_seed(0)
    seen = augment(batch(), everything, generator, images=False)
    assert seen.present.sum() < batch().present.sum()
    torch.testing.assert_close(seen.mask, batch().mask)
    withheld = batch().phases * seen.present.view(4, 3, 1, 1, 1)
    torch.testing.assert_close(seen.phases, withheld)


@pytest.mark.parametrize("settings", EACH)
def test_a_seed_decides_the_batch_and_another_another(settings: AugmentationSettings) -> None:
    first, again, other = changed(settings), changed(settings), changed(settings, seed=1)
    for name, value in vars(first).items():
        torch.testing.assert_close(value, getattr(again, name), equal_nan=True)
    assert not torch.equal(first.phases, batch().phases)
    assert not torch.equal(first.phases, other.phases)


@pytest.mark.parametrize("settings", EACH[:2])
def test_image_and_mask_move_together(settings: AugmentationSettings) -> None:
    moved = changed(settings)
    assert set(moved.mask.flatten().tolist()) <= {0, 1, 2}
    tumour = moved.mask == 2
    inside = moved.phases[:, 0][tumour]
    assert inside.mean() > 1.85
    assert moved.phases[:, 0][moved.mask == 1].mean() < 1.05
    # The tumour keeps its size: that is what is learned from it.
    assert tumour.flatten(1).sum(1).tolist() == [480] * 4


def test_what_leaves_at_one_wall_does_not_come_in_at_the_other() -> None:
    """A second tumour at the region's edge, and a margin thinner than the shift."""
    at_the_wall = batch(8)
    at_the_wall.mask[:, 0], at_the_wall.mask[:, :, :, -1] = 2, 2
    far = (slice(None), slice(3, None), slice(None), slice(None, -3))
    seen = augment(at_the_wall, EACH[1], torch.Generator().manual_seed(0))
    assert not torch.equal(seen.mask, at_the_wall.mask)
    assert (seen.mask[:, -1, :, 0] == 1).all()
    assert (seen.mask[far] == 2).flatten(1).sum(1).tolist() == [480] * 8


def test_a_withheld_phase_takes_its_measurements_along_and_one_phase_is_kept() -> None:
    withheld = changed(replace(NO_AUGMENTATION, phase_dropout=0.9))
    assert (withheld.present.sum(1) >= 1).all()
    assert (withheld.present == 0).any()
    absent = withheld.present == 0
    assert not withheld.phases[absent].any()
    for phase, name in enumerate(("arterial", "portal_venous", "delayed")):
        columns = [name in measurement for measurement in MEASUREMENTS]
        unknown = withheld.measurements[:, columns].isnan()
        assert (unknown == absent[:, phase : phase + 1]).all()
