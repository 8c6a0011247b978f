"""Prepared cases to batches of tensors."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from client.cohort import PreparedCase
from client.imaging.cache import load_roi
from client.imaging.roi import Roi
from shared.losses.multitask import Targets, targets_from_labels
from shared.model import RoiBatch
from shared.tasks import Labels


def roi_of(case: PreparedCase) -> Roi:
    """Return a prepared case's region, read anew: 0.1 ms, where keeping all costs 0.45 MB each."""
    return load_roi(case.roi_path)


def stack_rois(rois: Sequence[Roi]) -> RoiBatch:
    """Stack ROIs of one shape into a batch."""
    return RoiBatch(
        phases=torch.from_numpy(np.stack([roi.phases for roi in rois])).float(),
        mask=torch.from_numpy(np.stack([roi.mask for roi in rois])),
        present=torch.from_numpy(np.stack([roi.present for roi in rois])).float(),
        spacing_mm=torch.tensor([roi.spacing_mm for roi in rois], dtype=torch.float32),
        measurements=torch.from_numpy(np.stack([roi.measurements for roi in rois])),
    )


def collate(cases: Sequence[PreparedCase]) -> RoiBatch:
    """Read prepared cases and stack them in the order given."""
    return stack_rois([roi_of(case) for case in cases])


def shuffled(
    cases: Sequence[PreparedCase], batch_size: int, generator: torch.Generator
) -> Iterator[tuple[RoiBatch, Targets]]:
    """Yield all cases once, in random order; batches are full, as from `in_order`."""
    order = torch.randperm(len(cases), generator=generator).tolist()
    return in_order([cases[i] for i in order], batch_size)


def in_order(cases: Sequence[PreparedCase], batch_size: int) -> Iterator[tuple[RoiBatch, Targets]]:
    """Yield all cases once, as they come, in batches of exactly `batch_size`.

    The last batch is filled up with blank patients of unknown labels, who weigh nothing in any
    loss. oneDNN compiles its kernels anew for every batch size it has not met, which costs
    more than a small site's whole round; with one size it compiles once.
    """
    for start in range(0, len(cases), batch_size):
        chosen = cases[start : start + batch_size]
        missing = batch_size - len(chosen)
        labels = [case.labels for case in chosen] + [Labels()] * missing
        yield _fill_up(collate(chosen), missing), targets_from_labels(labels)


def _fill_up(batch: RoiBatch, missing: int) -> RoiBatch:
    if missing == 0:
        return batch

    def blank(column: Tensor, value: float = 0.0) -> Tensor:
        return torch.cat([column, column.new_full((missing, *column.shape[1:]), value)])

    return RoiBatch(
        phases=blank(batch.phases),
        mask=blank(batch.mask),
        present=blank(batch.present),
        spacing_mm=blank(batch.spacing_mm, 1.0),
        measurements=blank(batch.measurements),
    )
