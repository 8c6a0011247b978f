"""A site's folder to prepared cases: what is used, what is set aside, and why."""

import csv
import logging
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

from client.clinical import FILE, ClinicalTable, SiteFolderError, read_clinical
from client.imaging import cache
from client.imaging.errors import ImagingError
from client.imaging.grid import Scan
from client.imaging.read import case_files, find_mask, find_phase, open_scan, read_mask
from client.imaging.roi import Frame, Roi
from client.imaging.workers import each_in_order
from shared.preprocessing import PreprocessingSettings
from shared.tasks import PHASES, Labels, Phase

logger = logging.getLogger("hepafed.client")

__all__ = ["PreparedCase", "PreparedSite", "SetAside", "SiteFolderError", "prepare_site"]


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
    """

    patient_id: str
    roi_path: Path
    present: tuple[bool, ...]
    labels: Labels


@dataclass(frozen=True, order=True)
class SetAside:
    """A patient not used, or used only in part, and why."""

    patient_id: str
    reason: str
    file: str


@dataclass(frozen=True)
class PreparedSite:
    """A site's patients; both in the order of patient_id."""

    name: str
    cases: tuple[PreparedCase, ...]
    set_aside: tuple[SetAside, ...]


@dataclass(frozen=True)
class _Task:
    """One patient's folder, and how to prepare it."""

    folder: Path
    settings: PreprocessingSettings
    cache_dir: Path
    known_digest: str | None


@dataclass(frozen=True)
class _Prepared:
    """What a worker returns: the region's file or nothing, and what went wrong on the way."""

    roi_path: Path | None
    present: tuple[bool, ...]
    problems: cache.Problems
    digest: str | None


def prepare_site(
    site_dir: Path,
    settings: PreprocessingSettings,
    cache_dir: Path,
    *,
    workers: int,
    progress: bool = True,
) -> PreparedSite:
    """Prepare every patient of a site; what was prepared before is taken from the cache.

    Parameters
    ----------
    site_dir : Path
        A site's folder of the data contract.
    settings : PreprocessingSettings
    cache_dir : Path
    workers : int
        Processes; 1 works in this one.
    progress : bool
        Whether to show a bar.

    Raises
    ------
    SiteFolderError
        The folder or its table is absent or of no use; a single patient never raises.
    """
    if not site_dir.is_dir():
        raise SiteFolderError(f"{site_dir}: no such folder")
    table = read_clinical(site_dir / FILE)
    folders = {path.name: path for path in sorted(site_dir.iterdir()) if path.is_dir()}
    if not folders:
        raise SiteFolderError(f"{site_dir}: holds no patient's folder beside {FILE}")
    usable = [folders[patient] for patient in sorted(folders.keys() & table.rows.keys())]
    index = cache.DigestIndex(cache_dir / "index.json")
    # Taken before the files are read: one that changes meanwhile is never known by its old state.
    states = [_state(folder) for folder in usable]
    tasks = [
        _Task(folder, settings, cache_dir, index.get(state))
        for folder, state in zip(usable, states, strict=True)
    ]
    prepared = each_in_order(_prepare, tasks, workers=workers, when_lost=_lost, preload=__name__)
    bar = f"Preparing {site_dir.name}"
    results = list(track(prepared, total=len(tasks), description=bar, disable=not progress))
    for state, result in zip(states, results, strict=True):
        if state is not None and result.digest is not None:
            index.put(state, result.digest)
    index.save()
    return _collect(site_dir.name, usable, results, table, folders)


def write_set_aside(rows: Sequence[SetAside], path: Path) -> None:
    """Write ``set_aside.csv``: patient_id, reason, file."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["patient_id", "reason", "file"])
        writer.writerows((row.patient_id, row.reason, row.file) for row in rows)


def _state(folder: Path) -> str | None:
    try:
        return cache.files_state(case_files(folder))
    except OSError:
        return None  # told as a reason when the patient is prepared


def _prepare(task: _Task) -> _Prepared:
    """Prepare one patient; whatever is wrong with it becomes a reason."""
    try:
        return _prepare_or_raise(task)
    except ImagingError as error:
        return _refused(error.reason, error.file, task.folder)
    except OSError as error:
        file = Path(error.filename) if isinstance(error.filename, str) else task.folder
        return _refused(
            f"cannot be opened: {error.strerror or type(error).__name__}", file, task.folder
        )
    except Exception as error:
        # Places in the code, not the message: it may quote a path, and so a patient.
        places = "".join(traceback.format_tb(error.__traceback__))
        logger.error("a patient could not be prepared: %s at\n%s", type(error).__name__, places)
        return _refused(f"unexpected {type(error).__name__}: see the log", task.folder, task.folder)


def _lost(task: _Task) -> _Prepared:
    reason = "the process that read it died: too little memory, or a file that breaks a decoder"
    return _refused(reason, task.folder, task.folder)


def _prepare_or_raise(task: _Task) -> _Prepared:
    digest = task.known_digest or cache.content_digest(case_files(task.folder), task.folder)
    path = cache.roi_path(task.cache_dir, digest, task.settings)
    found = cache.load_intact(path)
    if found is None:
        found = build_roi(task.folder, task.settings)
        cache.save_roi(found[0], path, found[1])
    roi, problems = found
    return _Prepared(path, tuple(bool(flag) for flag in roi.present), problems, digest)


def build_roi(folder: Path, settings: PreprocessingSettings) -> tuple[Roi, cache.Problems]:
    """Make a patient's region of interest from its folder.

    Returns
    -------
    roi : Roi
    problems : tuple of (reason, file)
        Phases that had to be left out; file is relative to the folder.

    Raises
    ------
    ImagingError
        No mask, no tumour, or no phase that can be used.
    """
    region = build_region(folder, settings)
    return region.roi, region.problems


@dataclass(frozen=True, eq=False)
class Region:
    """A patient's region of interest with what it was made from.

    Attributes
    ----------
    roi : Roi
    frame : Frame
        Where the region lies in the patient's space.
    scans : dict of Phase to Scan
        The phases that could be used.
    problems : tuple of (reason, file)
    """

    roi: Roi
    frame: Frame
    scans: dict[Phase, Scan]
    problems: cache.Problems


def build_region(folder: Path, settings: PreprocessingSettings) -> Region:
    """Make a patient's region as `build_roi` does, and keep where it came from."""
    mask_file = find_mask(folder)
    frame = Frame.around_tumour(read_mask(mask_file), settings, mask_file)
    phases, scans, problems = {}, {}, []
    for phase in PHASES:
        try:
            path = find_phase(folder, phase)
            if path is not None:
                scan = open_scan(path)
                phases[phase], scans[phase] = frame.bring_in(scan, path), scan
        except ImagingError as error:
            problems.append((error.reason, error.file.relative_to(folder).as_posix()))
    if not phases:
        told = "; ".join(f"{file}: {reason}" for reason, file in problems)
        raise ImagingError(f"no phase can be used{': ' if told else ''}{told}", folder)
    return Region(frame.roi(phases), frame, scans, tuple(problems))


def _refused(reason: str, file: Path, folder: Path) -> _Prepared:
    name = file.relative_to(folder.parent).as_posix() if file.is_relative_to(folder) else file.name
    return _Prepared(None, (False,) * len(PHASES), ((reason, name),), None)


def _collect(
    name: str,
    usable: Sequence[Path],
    results: Sequence[_Prepared],
    table: ClinicalTable,
    folders: dict[str, Path],
) -> PreparedSite:
    cases, aside = [], []
    for folder, result in zip(usable, results, strict=True):
        patient, row = folder.name, table.rows[folder.name]
        if result.roi_path is None:
            aside += [SetAside(patient, reason, file) for reason, file in result.problems]
            continue
        cases.append(PreparedCase(patient, result.roi_path, result.present, row.labels))
        aside += [
            SetAside(patient, f"used without this phase: {reason}", f"{patient}/{file}")
            for reason, file in result.problems
        ]
        aside += [SetAside(patient, f"used in part: {problem}", FILE) for problem in row.problems]
    aside += [SetAside(patient, reason, FILE) for patient, reason in table.refused.items()]
    for patient in sorted(folders.keys() - table.rows.keys() - table.refused.keys()):
        aside.append(SetAside(patient, f"no row in {FILE}", patient))
    for patient in sorted(table.rows.keys() - folders.keys()):
        aside.append(SetAside(patient, "no folder of this name", FILE))
    return PreparedSite(name, tuple(cases), tuple(sorted(aside)))
