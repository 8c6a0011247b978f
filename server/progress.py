"""Where a federation stands, in a small file for whoever watches it."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from shared.config import ConfigurationError, from_json, to_json

PROGRESS_FILE = "progress.json"

End = Literal["completed", "too-few-sites", "judged-by-too-few", "another-plan", "failed"]


@dataclass(frozen=True)
class Progress:
    """What is going on in this moment.

    Attributes
    ----------
    run_id : int
        Flower's run that is, or was, at work.
    round : int
        0 before the first; one more than the last while that one's model is judged.
    attempt : int
        From 1.
    began : float
        When the attempt began, in seconds since the epoch.
    asked : tuple of str
        Sites that were asked, or nodes without a name.
    answered : tuple of str
    refused : dict of str to str
        Site -> why its answer does not count.
    absent : tuple of str
        Training sites that are not online.
    end : str or None
        How the run has ended; None while it goes on.
    reason : str
        Why it ended so, in one sentence.
    """

    run_id: int = 0
    round: int = 0
    attempt: int = 1
    began: float = 0.0
    asked: tuple[str, ...] = ()
    answered: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    end: End | None = None
    reason: str = ""


def write_progress(progress: Progress, folder: Path) -> None:
    """Replace the file; a reader finds the old one or the new one, whole."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{PROGRESS_FILE}.{os.getpid()}"
    partial.write_text(to_json(progress), encoding="utf-8")
    partial.replace(folder / PROGRESS_FILE)


def read_progress(folder: Path) -> Progress | None:
    """Return what the file says; None where there is none."""
    try:
        text = (folder / PROGRESS_FILE).read_text(encoding="utf-8")
        return from_json(Progress, text, where=PROGRESS_FILE)
    except (FileNotFoundError, ConfigurationError):
        return None
