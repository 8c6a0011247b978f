"""A site's folder to prepared cases: what is used, what is set aside, and why."""

import csv
import hashlib
import logging
import traceback
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.progress import track

from client.cases import PreparedCase, SetAside
from client.clinical import FILE, ClinicalTable, SiteFolderError, read_clinical
from client.imaging import cache
from client.imaging.errors import ImagingError
from client.imaging.read import case_files
from client.imaging.roi import Roi
from client.imaging.workers import each_in_order
from client.preparation.facts import to_text
from client.preparation.measured import facts_of, first_files
from client.region import Region, build_region, build_roi
from client.series.choose import Choice
from client.series.override import FILE as PHASES_FILE
from client.series.override import NamedOfPatient, NamedPhases, read_named_phases
from client.series.patient import (
    ChoiceStore,
    choose_for_patient,
    is_mixed,
    mixed_files,
    notes_on_others,
)
from client.series.rows import SeriesRow
from shared.preprocessing import PreprocessingSettings
from shared.tasks import PHASES

logger = logging.getLogger("hepafed.client")

__all__ = [
    "PreparedSite",
    "Region",
    "SiteFolderError",
    "build_region",
    "build_roi",
    "prepare_site",
]


@dataclass(frozen=True)
class PreparedSite:
    """A site's patients; all in the order of patient_id.

    Attributes
    ----------
    name : str
    cases : tuple of PreparedCase
    set_aside : tuple of SetAside
    series : tuple of (patient_id, SeriesRow)
        Every series of the patients whose phases had to be chosen, and what became of it.
    fresh : int
        How many regions were made now, and not taken from the cache.
    """

    name: str
    cases: tuple[PreparedCase, ...]
    set_aside: tuple[SetAside, ...]
    series: tuple[tuple[str, SeriesRow], ...] = ()
    fresh: int = field(default=0, compare=False)


@dataclass(frozen=True)
class _Task:
    """One patient's folder, and how to prepare it."""

    folder: Path
    settings: PreprocessingSettings
    cache_dir: Path
    state: str | None
    known_digest: str | None
    named: NamedOfPatient


@dataclass(frozen=True)
class _Prepared:
    """What a worker returns: the region's file or nothing, and what went wrong on the way.

    `content` has a digest of each phase's voxels in the region.
    """

    roi_path: Path | None
    present: tuple[bool, ...]
    problems: cache.Problems
    digest: str | None
    content: tuple[str, ...] = ()
    series: tuple[SeriesRow, ...] = ()
    fresh: bool = False


def prepare_site(
    site_dir: Path,
    settings: PreprocessingSettings,
    cache_dir: Path,
    *,
    workers: int,
    progress: bool = True,
    clinical_variables: Sequence[str] = (),
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
    clinical_variables : sequence of str
        Further columns of the table to read.

    Raises
    ------
    SiteFolderError
        The folder or its table is absent or of no use, or the cache cannot be written
        (`client.imaging.cache.CacheWriteError`); a single patient never raises.
    """
    if not site_dir.is_dir():
        raise SiteFolderError(f"{site_dir}: no such folder")
    table = read_clinical(site_dir / FILE, clinical_variables)
    folders = {path.name: path for path in sorted(site_dir.iterdir()) if path.is_dir()}
    if not folders:
        raise SiteFolderError(f"{site_dir}: holds no patient's folder beside {FILE}")
    usable = [folders[patient] for patient in sorted(folders.keys() & table.rows.keys())]
    index = cache.DigestIndex(cache_dir / "index.json")
    named = read_named_phases(site_dir / PHASES_FILE)
    # Taken before the files are read: one that changes meanwhile is never known by its old state.
    states = [_state(folder, named.get(folder.name, {})) for folder in usable]
    tasks = [
        _Task(folder, settings, cache_dir, state, index.get(state), named.get(folder.name, {}))
        for folder, state in zip(usable, states, strict=True)
    ]
    prepared = _each_prepared(tasks, workers)
    bar = f"Preparing {site_dir.name}"
    results: list[_Prepared] = []
    try:
        for result in track(prepared, total=len(tasks), description=bar, disable=not progress):
            results.append(result)
    finally:
        # Also of a start that is broken off: the next one goes on from here.
        _remember(index, states, results)
    return _collect(site_dir.name, usable, results, table, folders, _vain(named, usable))


def _vain(named: NamedPhases, usable: Sequence[Path]) -> list[SetAside]:
    """Return the patients of ``phases.csv`` of whom it decides nothing."""
    places = {folder.name: folder for folder in usable}
    reasons = {
        patient: "named there, but not among this site's patients"
        if patient not in places
        else f"used, though {PHASES_FILE} is not asked where phases lie under their own names"
        for patient in named
        if patient not in places or not is_mixed(places[patient])
    }
    return [SetAside(patient, reason, PHASES_FILE) for patient, reason in reasons.items()]


def write_set_aside(rows: Sequence[SetAside], path: Path) -> None:
    """Write ``set_aside.csv``: patient_id, reason, file."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["patient_id", "reason", "file"])
        writer.writerows((row.patient_id, row.reason, row.file) for row in rows)


def _state(folder: Path, named: NamedOfPatient) -> str | None:
    try:
        if not is_mixed(folder):
            return cache.files_state(case_files(folder))
        state = cache.files_state([*case_files(folder), *mixed_files(folder)])
    except OSError:
        return None  # told as a reason when the patient is prepared
    return None if state is None else f"{state}:{sorted(named.items())}"


def _remember(
    index: cache.DigestIndex, states: Sequence[str | None], results: Sequence[_Prepared]
) -> None:
    for state, result in zip(states, results, strict=False):
        if state is not None and result.digest is not None:
            index.put(state, result.digest)
    index.save()


def _each_prepared(tasks: Sequence[_Task], workers: int) -> Iterator[_Prepared]:
    """Yield every patient in order: what the cache holds from here, all else from processes.

    To start processes takes seconds, to read a prepared region a millisecond.
    """
    cached = [_is_cached(task) for task in tasks]
    others = [task for task, known in zip(tasks, cached, strict=True) if not known]
    fresh = each_in_order(_prepare, others, workers=workers, when_lost=_lost, preload=__name__)
    for task, known in zip(tasks, cached, strict=True):
        yield _prepare(task) if known else next(fresh)


def _is_cached(task: _Task) -> bool:
    """Return whether all that was made from a patient's files is there, and they are unchanged."""
    digest = task.known_digest
    if digest is None:
        return False
    if cache.load_intact(cache.roi_path(task.cache_dir, digest, task.settings)) is None:
        return False
    return (
        not is_mixed(task.folder) or _choice_store(task).load(task.state, task.folder) is not None
    )


def _prepare(task: _Task) -> _Prepared:
    """Prepare one patient; whatever is wrong with it becomes a reason.

    Raises
    ------
    CacheWriteError
        The machine is at fault, not the patient.
    """
    try:
        return _prepare_or_raise(task)
    except cache.CacheWriteError:
        raise
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
    choice = _choice(task) if is_mixed(task.folder) else None
    rows = () if choice is None else choice.rows
    try:
        digest = task.known_digest or _digest(task.folder, choice)
        path = cache.roi_path(task.cache_dir, digest, task.settings)
        found = cache.load_intact(path)
        fresh = found is None
        if found is None:
            region = build_region(task.folder, task.settings, choice)
            found = region.roi, region.problems
            facts = to_text(facts_of(region, first_files(task.folder, choice)))
            cache.save_roi(region.roi, path, region.problems, facts)
    except ImagingError as error:
        return replace(_refused(error.reason, error.file, task.folder), series=rows)
    roi, problems = found
    problems = (*problems, *notes_on_others(task.folder))
    present = tuple(bool(flag) for flag in roi.present)
    return _Prepared(path, present, problems, digest, _content(roi), rows, fresh)


def _content(roi: Roi) -> tuple[str, ...]:
    """Return what only the same images give: other phases, files and the outline may differ."""
    phases = roi.phases[roi.present > 0]
    return tuple(hashlib.blake2b(phase.tobytes(), digest_size=16).hexdigest() for phase in phases)


def _choice_store(task: _Task) -> ChoiceStore:
    return ChoiceStore(task.cache_dir / "series")


def _choice(task: _Task) -> Choice:
    store = _choice_store(task)
    choice = store.load(task.state, task.folder)
    if choice is None:
        choice = choose_for_patient(task.folder, task.named)
        if task.state is not None:
            store.save(task.state, task.folder, choice)
    return choice


def _digest(folder: Path, choice: Choice | None) -> str:
    if choice is None:
        return cache.content_digest(case_files(folder), folder)
    files = [file for files in choice.phases.values() for file in files]
    roles = [(phase, len(files)) for phase, files in choice.phases.items()]
    roles_text = f"{roles}:{choice.problems}"
    return cache.content_digest([*case_files(folder), *files], folder, roles_text)


def _refused(reason: str, file: Path, folder: Path) -> _Prepared:
    name = file.relative_to(folder.parent).as_posix() if file.is_relative_to(folder) else file.name
    return _Prepared(None, (False,) * len(PHASES), ((reason, name),), None)


def _doubles(results: Mapping[str, _Prepared], table: ClinicalTable) -> dict[str, str]:
    """Return whom to set aside since another has an image of theirs, voxel by voxel, and why.

    One person who trains and is judged too makes a model look better than it is. The first of
    them stays where all have the same labels; elsewhere nobody knows whose these are.
    """
    owners: dict[str, str] = {}
    sharing: dict[str, list[str]] = defaultdict(list)
    for patient, result in results.items():
        first = next((owners[image] for image in result.content if image in owners), patient)
        owners |= dict.fromkeys(result.content, first)
        sharing[first].append(patient)
    doubles = {}
    for patients in sharing.values():
        alike = len({table.rows[patient].labels for patient in patients}) == 1
        for patient in patients[1:] if alike else patients:
            other = patients[0] if patient != patients[0] else patients[1]
            labels = "" if alike else ", and other labels"
            doubles[patient] = f"has the images of {other}{labels}: leave one of the two"
    return doubles


def _collect(
    name: str,
    usable: Sequence[Path],
    results: Sequence[_Prepared],
    table: ClinicalTable,
    folders: dict[str, Path],
    vain: Sequence[SetAside],
) -> PreparedSite:
    cases, aside, series, fresh = [], [*vain], [], 0
    doubles = _doubles({path.name: one for path, one in zip(usable, results, strict=True)}, table)
    for folder, result in zip(usable, results, strict=True):
        patient, row = folder.name, table.rows[folder.name]
        series += [(patient, told) for told in result.series]
        if (reason := doubles.get(patient)) is not None:
            aside.append(SetAside(patient, reason, patient))
            continue
        if result.roi_path is None:
            aside += [SetAside(patient, reason, file) for reason, file in result.problems]
            continue
        fresh += result.fresh
        cases.append(
            PreparedCase(patient, result.roi_path, result.present, row.labels, row.clinical)
        )
        aside += [
            SetAside(patient, reason, f"{patient}/{file}") for reason, file in result.problems
        ]
        aside += [SetAside(patient, f"used in part: {problem}", FILE) for problem in row.problems]
        aside += [SetAside(patient, f"used, though {note}", FILE) for note in row.notes]
    aside += [SetAside(patient, reason, FILE) for patient, reason in table.refused.items()]
    for patient in sorted(folders.keys() - table.rows.keys() - table.refused.keys()):
        aside.append(SetAside(patient, f"no row in {FILE}", patient))
    for patient in sorted(table.rows.keys() - folders.keys()):
        aside.append(SetAside(patient, "no folder of this name", FILE))
    return PreparedSite(name, tuple(cases), tuple(sorted(aside)), tuple(series), fresh)
