"""Averages of updates: in site order, in float64, each head by its own task's patients."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shared.model import HEADS
from shared.protocol import Update
from shared.tasks import TASKS
from shared.weights import Weights


def average_updates(updates: Sequence[Update], current: Weights) -> Weights:
    """Return the federated average (McMahan et al., arXiv 1602.05629).

    The trunk is weighted by training patients. A head is weighted by the patients who have its
    task's label: a site without labels moves the head only by weight decay, which is no
    opinion, so it has none. A head that nobody has labels for stays as it is.

    Parameters
    ----------
    updates : sequence of Update
        Valid updates; they are added in the order of their sites' names, so that the order of
        arrival does not change the sum.
    current : Weights
        The global model before the round.
    """
    ordered = sorted(updates, key=lambda update: update.site)
    averaged: Weights = {}
    for key, before in current.items():
        shares = [_patients_behind(update, key) for update in ordered]
        total = sum(shares)
        if total == 0:
            averaged[key] = before
            continue
        mean: NDArray[np.float64] = np.zeros(before.shape, dtype=np.float64)
        for update, share in zip(ordered, shares, strict=True):
            mean += (share / total) * update.weights[key].astype(np.float64)
        averaged[key] = mean.astype(before.dtype)
    return averaged


def _patients_behind(update: Update, key: str) -> int:
    for task in TASKS:
        if key.startswith(f"{HEADS}.{task}."):
            return update.labelled[task]
    return update.patients
