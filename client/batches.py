"""Prepared cases to batches of tensors."""

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from client.cases import PreparedCase
from client.imaging.cache import load_roi
from client.imaging.roi import Roi
from shared.losses.multitask import Targets, targets_from_labels
from shared.model import RoiBatch
from shared.tasks import Labels

# Batches, and their labels.
Batches = Iterator[tuple[RoiBatch, Targets]]


def roi_of(case: PreparedCase) -> Roi:
    """Return a prepared case's region, read anew: 0.1 ms, where keeping all costs 0.45 MB each."""
    return load_roi(case.roi_path)


def stack_rois(
    rois: Sequence[Roi],
    clinical: Sequence[Mapping[str, float]] = (),
    clinical_variables: Sequence[str] = (),
) -> RoiBatch:
    """Stack ROIs of one shape into a batch.

    Parameters
    ----------
    rois : sequence of Roi, length B
    clinical : sequence of mapping of str to float, length B
        The clinical variables that are known of each patient.
    clinical_variables : sequence of str
        Those that the network reads, in its order; empty where it reads none.
    """
    known = clinical or [{}] * len(rois)
    values = [[row.get(name, math.nan) for name in clinical_variables] for row in known]
    return RoiBatch(
        phases=torch.from_numpy(np.stack([roi.phases for roi in rois])).float(),
        mask=torch.from_numpy(np.stack([roi.mask for roi in rois])),
        present=torch.from_numpy(np.stack([roi.present for roi in rois])).float(),
        spacing_mm=torch.tensor([roi.spacing_mm for roi in rois], dtype=torch.float32),
        measurements=torch.from_numpy(np.stack([roi.measurements for roi in rois])),
        clinical=torch.tensor(values, dtype=torch.float32),
    )


def collate(cases: Sequence[PreparedCase], clinical_variables: Sequence[str] = ()) -> RoiBatch:
    """Read prepared cases and stack them in the order given."""
    known = [dict(case.clinical) for case in cases]
    return stack_rois([roi_of(case) for case in cases], known, clinical_variables)


def shuffled(
    cases: Sequence[PreparedCase],
    batch_size: int,
    generator: torch.Generator,
    clinical_variables: Sequence[str] = (),
) -> Batches:
    """Yield all cases once, in random order; batches are full, as from `in_order`."""
    order = torch.randperm(len(cases), generator=generator).tolist()
    return in_order([cases[i] for i in order], batch_size, clinical_variables)


def in_steps(
    cases: Sequence[PreparedCase],
    batch_size: int,
    steps: int,
    generator: torch.Generator,
    clinical_variables: Sequence[str] = (),
) -> Batches:
    """Yield `steps` batches of `batch_size`, as `draw` draws them."""
    drawn = draw(cases, steps * batch_size, generator)
    return in_order(drawn, batch_size, clinical_variables)


def draw(
    cases: Sequence[PreparedCase], count: int, generator: torch.Generator
) -> list[PreparedCase]:
    """Return `count` cases: all in random order, again and again; nobody twice before all once."""
    order: list[int] = []
    while len(order) < count:
        order += torch.randperm(len(cases), generator=generator).tolist()
    return [cases[i] for i in order[:count]]


def in_order(
    cases: Sequence[PreparedCase], batch_size: int, clinical_variables: Sequence[str] = ()
) -> Batches:
    """Yield all cases once, as they come, in batches of exactly `batch_size`.

    The last batch is filled up with blank patients of unknown labels, who weigh nothing in any
    loss. oneDNN compiles its kernels anew for every batch size it has not met, which costs
    more than a small site's whole round; with one size it compiles once.
    """
    for start in range(0, len(cases), batch_size):
        chosen = cases[start : start + batch_size]
        missing = batch_size - len(chosen)
        labels = [case.labels for case in chosen] + [Labels()] * missing
        yield _fill_up(collate(chosen, clinical_variables), missing), targets_from_labels(labels)


def on_device(batches: Batches, device: torch.device) -> Batches:
    """Yield the same batches on a device; labels stay where they are.

    For a GPU the next batch is read, changed and pinned in a thread while this one is computed; on
    a CPU that would only take from the computing.
    """
    if device.type == "cpu":
        return batches
    pinned = ((batch.pinned(), targets) for batch, targets in batches)
    return ((batch.to(device), targets) for batch, targets in ahead(pinned))


def ahead(batches: Batches) -> Batches:
    """Yield the same batches in the same order; the next is made in a thread meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


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
        clinical=blank(batch.clinical),
    )
