"""Submits a run and follows it to its end, through whatever becomes of the app and the link.

Where the federation stands is read from its state folder, which the app writes; the link is only
asked whether the app still lives. So the one who watches may come and go.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.live import Live

from server.checkpoint import read_history
from server.link import FINISHED, LinkUnreachableError
from server.live import COLUMNS, live_view, round_cells
from server.progress import Progress, read_progress
from server.settings import ServerSettings
from shared.durable_file import write_durably
from shared.run_folder import OutputFolderError

RUNS_FILE = "runs.json"
_LOOK_EVERY_S = 0.5
_ASK_EVERY_S = 3.0
STOPPED = f"{FINISHED}:stopped"


@dataclass(frozen=True)
class Outcome:
    """How a federation ended.

    Attributes
    ----------
    end : str
        One of `server.progress.End`, ``stopped`` or ``unreachable``.
    reason : str
        In one sentence.
    """

    end: str
    reason: str = ""


def follow(settings: ServerSettings, state_dir: Path, console: Console) -> Outcome:
    """Follow the run of a state folder; submit it first where none is at work.

    Parameters
    ----------
    settings : ServerSettings
    state_dir : Path
    console : Console

    Raises
    ------
    LinkError
        The superlink refuses.
    OutputFolderError
        The list of runs is damaged.
    """
    run_id = attach(settings, state_dir, console)
    submitted = 1
    watch = _Watch(settings, state_dir, console)
    with watch.live:
        while True:
            outcome = watch.until_something_ends(run_id)
            if outcome is not None:
                return outcome
            if submitted > settings.resubmissions:
                return Outcome("failed", _silent_death(submitted, state_dir))
            run_id = _resubmit(settings, state_dir, run_id)
            submitted += 1
            watch.tell(f"the ServerApp died: run {run_id} goes on from the last checkpoint")


def attach(settings: ServerSettings, state_dir: Path, console: Console) -> int:
    """Return the id of the run at work, submitted anew where the last one has ended."""
    with FileLock(state_dir / "submission.lock"):
        runs = _runs(state_dir)
        status = settings.link.status(runs[-1]) if runs else ""
        if status and not status.startswith(FINISHED):
            console.print(f"Following run {runs[-1]}, which goes on", highlight=False)
            return runs[-1]
        run_id = _submit(settings, state_dir, runs)
    console.print(f"Submitted run {run_id}", highlight=False)
    return run_id


def stop(settings: ServerSettings, state_dir: Path) -> str:
    """End the run at work; return what there is to say."""
    runs = _runs(state_dir)
    if not runs or settings.link.status(runs[-1]).startswith(FINISHED):
        return "no run is at work"
    settings.link.stop(runs[-1])
    return f"stopped run {runs[-1]}; the same command without action=stop goes on from there"


class _Watch:
    """Looks at the state folder and at the link, and shows what it sees."""

    def __init__(self, settings: ServerSettings, state_dir: Path, console: Console) -> None:
        self._settings = settings
        self._state_dir = state_dir
        self._console = console
        self._said = 0
        self._note = ""
        self._silent_since: float | None = None
        self.live = Live(console=console, refresh_per_second=4, transient=False)

    def tell(self, note: str) -> None:
        """Say something that is no round."""
        self._console.print(note, highlight=False)

    def until_something_ends(self, run_id: int) -> Outcome | None:
        """Watch a run until the federation ends; None where only the app's process did."""
        asked = float("-inf")
        while True:
            progress = self._show()
            outcome = _outcome(progress, run_id)
            if outcome is not None:
                return outcome
            if time.monotonic() - asked >= _ASK_EVERY_S:
                asked, status = time.monotonic(), self._status(run_id)
                if status is None:
                    return self._unreachable()
                if status.startswith(FINISHED):
                    return self._last_word(run_id, status)
            time.sleep(_LOOK_EVERY_S)

    def _last_word(self, run_id: int, status: str) -> Outcome | None:
        # The app writes its last word before its process ends.
        outcome = _outcome(self._show(), run_id)
        if outcome is None and status == STOPPED:
            return Outcome("stopped", "somebody stopped the run; its last checkpoint stands")
        return outcome

    def _status(self, run_id: int) -> str | None:
        """Return the run's status, ``unknown`` while the link is silent, None when for too long."""
        try:
            status = self._settings.link.status(run_id)
        except LinkUnreachableError as error:
            now = time.monotonic()
            self._silent_since = self._silent_since or now
            self._note = f"{error}; waiting since {now - self._silent_since:.0f} s"
            too_long = now - self._silent_since > self._settings.unreachable_s
            return None if too_long else "unknown"
        self._silent_since, self._note = None, ""
        return status

    def _unreachable(self) -> Outcome:
        return Outcome("unreachable", f"{self._note}: the run may still go on")

    def _show(self) -> Progress | None:
        progress, history = read_progress(self._state_dir), read_history(self._state_dir)
        rounds = self._settings.rounds
        self.live.update(live_view(history, progress, rounds, self._note))
        if not self._console.is_terminal:
            for record in history[self._said + 1 :]:
                cells = zip(COLUMNS, round_cells(record), strict=True)
                self.tell("  ".join(f"{name} {value or '-'}" for name, value in cells))
            self._said = max(self._said, len(history) - 1)
        return progress


def _outcome(progress: Progress | None, run_id: int) -> Outcome | None:
    if progress is None or progress.end is None or progress.run_id != run_id:
        return None
    return Outcome(progress.end, progress.reason)


def _silent_death(times: int, state_dir: Path) -> str:
    told = f"the ServerApp died {times} times without a word: see the executor's log"
    if read_progress(state_dir) is not None:
        return told
    return (
        f"{told}. It wrote nothing into {state_dir.resolve()}: the account that runs the executor"
        " must be able to write there (its systemd unit writes only into the coordinator's home"
        " and outputs folder: output_dir=coordinator/outputs/NAME)"
    )


def _resubmit(settings: ServerSettings, state_dir: Path, dead: int) -> int:
    """Submit again after a run's death, unless another watcher has done so."""
    with FileLock(state_dir / "submission.lock"):
        runs = _runs(state_dir)
        return runs[-1] if runs[-1] != dead else _submit(settings, state_dir, runs)


def _submit(settings: ServerSettings, state_dir: Path, runs: list[int]) -> int:
    run_id = settings.link.submit(settings.run_config(state_dir))
    write_durably(state_dir / RUNS_FILE, json.dumps([*runs, run_id]).encode())
    return run_id


def _runs(state_dir: Path) -> list[int]:
    """Return the ids of the runs that were submitted, oldest first.

    Raises
    ------
    OutputFolderError
        The file is damaged: a run may be at work that nobody would know of.
    """
    path = state_dir / RUNS_FILE
    if not path.exists():
        return []
    try:
        return TypeAdapter(list[int]).validate_json(path.read_bytes(), strict=True)
    except ValidationError as error:
        raise OutputFolderError(
            f"{path} is damaged: see by `flwr ls` whether a run is at work and end it by"
            " `flwr stop`, then remove the file; the same command goes on from the last checkpoint"
        ) from error
