"""The server's half of SCAFFOLD: everybody's control variate, from the sites' changes of theirs.

Karimireddy et al., arXiv 1910.06378, algorithm 1, weigh sites alike:
``c <- c + |S| / N * mean of (c_i+ - c_i)``, so that c stays the mean of all c_i, also of sites
that missed the round. Here the average is weighted by patients, and so is c: kept is the sum
``n_i c_i`` over all sites, n_i the patients behind an entry as in `server.averaging`, and c is
that sum over the patients of all sites whose updates have counted so far. Corrections then
cancel in the average, entry by entry: ``sum_i n_i (c - c_i) = 0``. Where a round has no label of
a task at a site, nobody stands behind the head: the site keeps its c_i of it, and its share of c
stays. A site whose patients change in the midst of a run leaves its earlier share at its earlier
weight.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from server.averaging import ExactSum
from server.optimiser import Memory
from shared.protocol import Update, patients_behind, task_of
from shared.tasks import Task
from shared.weights import Weights

_PREFIX = "control/"


class ControlChange:
    """The sum of the changes of a round, built as updates come, in whatever order.

    Parameters
    ----------
    control : Weights
        The control variate that went out.
    """

    def __init__(self, control: Weights) -> None:
        self._sums = {key: ExactSum(value.shape) for key, value in control.items()}

    def add(self, update: Update) -> None:
        """Take in the change of one valid update."""
        if update.control is None:
            raise ValueError(f"the update of {update.site} has no control variate")
        for key, total in self._sums.items():
            patients = patients_behind(key, update.patients, update.labelled)
            if patients:
                total.add(update.control[key], patients)

    def added_to(self, memory: Memory) -> Memory:
        """Return the sums of all sites' control variates after the round."""
        return {
            f"{_PREFIX}{key}": memory.get(f"{_PREFIX}{key}", 0.0) + total.sum()
            for key, total in self._sums.items()
        }


def variate(memory: Memory, history: Sequence[Mapping[str, Any]], parameters: Weights) -> Weights:
    """Return c, float32, in the keys and shapes of the trainable parameters.

    Parameters
    ----------
    memory : Memory
        With the sums; without them, as before the first round, c is 0.
    history : sequence of mapping
        The rounds' records: each site's patients behind an entry are those of its last update
        that had any.
    parameters : Weights
    """
    found: Weights = {}
    behind: dict[Task | None, int] = {}
    for key, like in parameters.items():
        task = task_of(key)
        if task not in behind:
            behind[task] = _last_behind(history, key)
        patients = behind[task]
        total = memory.get(f"{_PREFIX}{key}")
        found[key] = (
            np.zeros(like.shape, np.float32)
            if total is None or not patients
            else (total / patients).astype(np.float32)
        )
    return found


def _last_behind(history: Sequence[Mapping[str, Any]], key: str) -> int:
    last: dict[str, int] = {}
    for record in history:
        for site, said in record.get("sites", {}).items():
            if patients := patients_behind(key, said["patients"], said["labelled"]):
                last[site] = patients
    return sum(last.values())


def without(memory: Memory) -> Memory:
    """Return what a server optimiser remembers, without the control variates."""
    return {key: value for key, value in memory.items() if not key.startswith(_PREFIX)}
