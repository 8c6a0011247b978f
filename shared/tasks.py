"""The three tasks, the three phases, and what is known about one patient."""

import math
from dataclasses import dataclass
from typing import Literal

Phase = Literal["arterial", "portal_venous", "delayed"]
Task = Literal["mvi", "rfs", "os"]
SurvivalTask = Literal["rfs", "os"]

PHASES: tuple[Phase, ...] = ("arterial", "portal_venous", "delayed")
TASKS: tuple[Task, ...] = ("mvi", "rfs", "os")
SURVIVAL_TASKS: tuple[SurvivalTask, ...] = ("rfs", "os")

# Columns of clinical.csv that hold an outcome: never an input.
LABEL_COLUMNS = ("mvi", "rfs_months", "rfs_event", "os_months", "os_event")

LIVER_LABEL = 1
TUMOUR_LABEL = 2


@dataclass(frozen=True)
class Survival:
    """One observed survival time.

    Attributes
    ----------
    months : float
        Time from treatment to event or censoring; finite and > 0.
    event : bool
        True where the event was seen, False where the patient was censored.
    """

    months: float
    event: bool

    def __post_init__(self) -> None:
        if not (math.isfinite(self.months) and self.months > 0):
            raise ValueError(f"survival time must be finite and > 0 months, got {self.months}")


@dataclass(frozen=True)
class Labels:
    """What is known of one patient's outcome; None is unknown.

    Each task trains and is judged on the patients who have its label.
    """

    mvi: bool | None = None
    rfs: Survival | None = None
    os: Survival | None = None
