"""An institution's patients as training sees them: prepared, or set aside with the reason.

Apart from `client.cohort`, which makes them: what learns from prepared regions reads no image,
and carries no library that does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from client.clinical import Variables
from shared.tasks import TASKS, Labels, Task


@dataclass(frozen=True)
class PreparedCase:
    """A patient ready to train on.

    Attributes
    ----------
    patient_id : str
        Stays at the site.
    roi_path : Path
        The prepared region (`client.imaging.cache.load_roi`).
    present : tuple of bool
        Which of `PHASES` could be used.
    labels : Labels
    clinical : tuple of (str, float)
        The clinical variables that are known.
    """

    patient_id: str
    roi_path: Path
    present: tuple[bool, ...]
    labels: Labels
    clinical: Variables = ()


def labelled(cases: Sequence[PreparedCase]) -> dict[Task, int]:
    """Return how many patients have each task's label."""
    return {task: sum(getattr(case.labels, task) is not None for case in cases) for task in TASKS}


@dataclass(frozen=True, order=True)
class SetAside:
    """A patient not used, or used only in part, and why."""

    patient_id: str
    reason: str
    file: str
