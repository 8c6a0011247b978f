"""Writes a synthetic federation in parallel, goes on with a partial one, keeps a whole one."""

import contextlib
import hashlib
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from subprocess import PIPE, Popen

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from shared.config import to_json
from simulation.cohort import worker
from simulation.cohort.folder import TRUTH_CSV
from simulation.cohort.patient import Patient, draw_patients
from simulation.cohort.patient_folder import (
    patient_folder,
    remove_partial_folders,
    write_patient,
)
from simulation.cohort.settings import SyntheticCohortSettings
from simulation.cohort.tables import write_tables

# Raised with every change that changes a file of the cohort.
GENERATOR_VERSION = 1
MANIFEST = "cohort.json"
_FINGERPRINT_LETTERS = 8
_REPOSITORY = Path(__file__).resolve().parents[2]
# Rendering takes one thread a process: more would fight each other for the cores.
_ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)


class CohortWriterError(RuntimeError):
    """A patient could not be written."""


def cohort_fingerprint(settings: SyntheticCohortSettings) -> str:
    """Return a digest of all that a cohort's files depend on."""
    content = {"generator": GENERATOR_VERSION, "settings": json.loads(to_json(settings))}
    text = json.dumps(content, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def write_cohort(settings: SyntheticCohortSettings, data_dir: Path, *, workers: int) -> Path:
    """Write a synthetic federation's folder, or find it already written.

    Parameters
    ----------
    settings : SyntheticCohortSettings
    data_dir : Path
        The folder goes into it, named after the settings: other settings, other folder.
    workers : int
        Processes; the files are the same whatever their number.

    Returns
    -------
    Path
        ``<data_dir>/synthetic-<fingerprint>``, complete.

    Raises
    ------
    CohortWriterError
        A worker failed; what is written is kept, and the next call goes on from there.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    fingerprint = cohort_fingerprint(settings)
    root = data_dir / f"synthetic-{fingerprint[:_FINGERPRINT_LETTERS]}"
    patients = list(draw_patients(settings))
    missing = [patient for patient in patients if not patient_folder(root, patient).is_dir()]
    if not missing and (root / MANIFEST).is_file() and (root / TRUTH_CSV).is_file():
        return root
    if missing:
        _write_patients(settings, missing, root, workers=min(workers, len(missing)))
    remove_partial_folders(root)
    write_tables(patients, root)
    _write_manifest(settings, fingerprint, root)
    return root


def _write_patients(
    settings: SyntheticCohortSettings, missing: Sequence[Patient], root: Path, *, workers: int
) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        bar = progress.add_task("Writing synthetic patients", total=len(missing))
        if workers > 1:
            _share_out(settings, missing, root, workers, lambda: progress.advance(bar))
            return
        for patient in missing:
            write_patient(settings, patient, root)
            progress.advance(bar)


def _share_out(
    settings: SyntheticCohortSettings,
    missing: Sequence[Patient],
    root: Path,
    workers: int,
    advance: Callable[[], None],
) -> None:
    """Hand each patient to the first worker that is free; one thread talks to each worker."""
    job = json.dumps({"settings": to_json(settings), "root": str(root.resolve())})
    waiting = deque(missing)
    with ThreadPoolExecutor(workers) as threads:
        try:
            talks = [threads.submit(_keep_busy, job, waiting, advance) for _ in range(workers)]
            for talk in as_completed(talks):
                talk.result()
        finally:
            # After an error or an interruption the other workers end with their patient.
            waiting.clear()


def _keep_busy(job: str, waiting: deque[Patient], advance: Callable[[], None]) -> None:
    with _start_worker() as process:
        answer = _ask(process, job)
        while answer == worker.DONE and (patient := _next_of(waiting)) is not None:
            answer = _ask(process, json.dumps({"site": patient.site, "index": patient.index}))
            if answer == worker.DONE:
                advance()
    if answer != worker.DONE:
        raise CohortWriterError(
            "a patient could not be written; the worker's message is above. "
            "Run the same command again to go on from here."
        )


def _next_of(waiting: deque[Patient]) -> Patient | None:
    try:
        return waiting.popleft()
    except IndexError:
        return None


def _start_worker() -> Popen[str]:
    search_path = [str(_REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        **dict.fromkeys(_ONE_THREAD, "1"),
        "PYTHONPATH": os.pathsep.join(search_path),
    }
    command = [sys.executable, "-m", worker.MODULE]
    # The command is this interpreter and a module of ours: nothing in it comes from outside.
    return Popen(command, stdin=PIPE, stdout=PIPE, env=environment, encoding="utf-8")  # noqa: S603


def _ask(process: Popen[str], line: str) -> str:
    """Return the answer to a line; empty if the worker has ended."""
    if process.stdin is None or process.stdout is None:
        raise CohortWriterError("a worker was started without its pipes")
    try:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    except BrokenPipeError:
        # Closing tries to send the rest once more, and would hide the worker's own message.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        return ""
    return process.stdout.readline().strip()


def _write_manifest(settings: SyntheticCohortSettings, fingerprint: str, root: Path) -> None:
    manifest = {
        "generator": GENERATOR_VERSION,
        "fingerprint": fingerprint,
        "settings": json.loads(to_json(settings)),
    }
    partial = root / f".{MANIFEST}.{os.getpid()}"
    partial.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    partial.replace(root / MANIFEST)
