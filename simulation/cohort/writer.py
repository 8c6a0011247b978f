"""Writes a synthetic federation in parallel, goes on with a partial one, keeps a whole one."""

import asyncio
import hashlib
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

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
            asyncio.run(_share_out(settings, missing, root, workers, lambda: progress.advance(bar)))
            return
        for patient in missing:
            write_patient(settings, patient, root)
            progress.advance(bar)


async def _share_out(
    settings: SyntheticCohortSettings,
    missing: Sequence[Patient],
    root: Path,
    workers: int,
    advance: Callable[[], None],
) -> None:
    """Hand each patient to the first worker that is free."""
    job = json.dumps({"settings": to_json(settings), "root": str(root.resolve())})
    waiting = deque(missing)
    await asyncio.gather(*(_keep_busy(job, waiting, advance) for _ in range(workers)))


async def _keep_busy(job: str, waiting: deque[Patient], advance: Callable[[], None]) -> None:
    process = await _start_worker()
    try:
        await _tell(process, job)
        while waiting:
            patient = waiting.popleft()
            await _tell(process, json.dumps({"site": patient.site, "index": patient.index}))
            if (await _answer(process)) != worker.DONE:
                raise CohortWriterError(
                    f"a patient of {patient.site} could not be written; the worker's message is "
                    "above. Run the same command again to go on from here."
                )
            advance()
    finally:
        if process.returncode is None:
            process.kill()
        # Not wait(): this also reads the pipes to their end, so that the loop leaves none open.
        await process.communicate()


async def _start_worker() -> Process:
    search_path = [str(_REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        **dict.fromkeys(_ONE_THREAD, "1"),
        "PYTHONPATH": os.pathsep.join(search_path),
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", worker.MODULE, stdin=PIPE, stdout=PIPE, env=environment
    )


async def _tell(process: Process, line: str) -> None:
    if process.stdin is None:
        raise CohortWriterError("a worker was started without an input")
    try:
        process.stdin.write(line.encode() + b"\n")
        await process.stdin.drain()
    except ConnectionError as error:
        raise CohortWriterError("a worker ended early; its message is above") from error


async def _answer(process: Process) -> str:
    if process.stdout is None:
        raise CohortWriterError("a worker was started without an output")
    return (await process.stdout.readline()).decode().strip()


def _write_manifest(settings: SyntheticCohortSettings, fingerprint: str, root: Path) -> None:
    manifest = {
        "generator": GENERATOR_VERSION,
        "fingerprint": fingerprint,
        "settings": json.loads(to_json(settings)),
    }
    partial = root / f".{MANIFEST}.{os.getpid()}"
    partial.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    partial.replace(root / MANIFEST)
