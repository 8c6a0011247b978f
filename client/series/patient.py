"""One patient's folder of mixed series: what is in it, and which files are the phases."""

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pydicom

from client.imaging.cache import Problems, write_whole
from client.imaging.dicom import open_files
from client.imaging.errors import ImagingError
from client.imaging.grid import Scan, Volume
from client.imaging.links import check_link
from client.imaging.read import VOLUME_SUFFIXES, case_files, find_mask, has_phases, read_mask
from client.series.choose import Choice, choose_phases
from client.series.headers import SliceHeader, dicom_candidates, has_dicom_mark, read_headers
from client.series.override import named_phases_of
from client.series.rows import SeriesRow
from client.series.screen import reason_to_pass_over
from client.series.stacks import find_stacks
from shared.tasks import PHASES, Phase

# Raised whenever the same files begin to give another choice: what was kept before is left.
CHOICE_VERSION = 3

# What is read, and formats that are not: a phase in one of them is to be converted.
_VOLUMES = (*VOLUME_SUFFIXES, ".mhd", ".nhdr", ".hdr", ".mgz")
_OTHER_DICOM = "used, though other DICOM files lie beside its phases, which are not looked at"
_HOW_CALLED = (
    "not looked at: a phase is called arterial, portal_venous or delayed, in small letters, and"
    f" ends in {', '.join(VOLUME_SUFFIXES)}"
)
_OTHER_VOLUME = f"used, though this is {_HOW_CALLED}"


def is_mixed(folder: Path) -> bool:
    """Return whether a patient's folder has none of the contract's phases, but other files.

    The contract's layout is the site's own word and is not second-guessed.
    """
    return not has_phases(folder) and bool(mixed_files(folder))


def notes_on_others(folder: Path) -> Problems:
    """Return what is told of scans that lie beside the contract's phases, each with its place.

    They are not looked at: whether a phase is missing among them, the site must say. A name
    that is almost a phase's is not guessed either.
    """
    if not has_phases(folder):
        return ()
    others = mixed_files(folder)
    volumes = [file for file in others if _is_volume(file)]
    # A folder is told once: a program that outlines organs leaves a hundred volumes in one.
    places = sorted({file.relative_to(folder).parts[0] for file in volumes})
    notes = [(_OTHER_VOLUME, place) for place in places]
    if any(has_dicom_mark(file) for file in others):
        notes.append((_OTHER_DICOM, "."))
    return tuple(notes)


def mixed_files(folder: Path) -> list[Path]:
    """Return every file below a mixed folder that may be DICOM, without the mask."""
    return dicom_candidates(folder, leave_out=case_files(folder))


def chosen_phases(folder: Path) -> Choice | None:
    """Return a mixed folder's phases, as a ``phases.csv`` beside it decides; None of any other.

    Raises
    ------
    ImagingError
        As `choose_for_patient`.
    SiteFolderError
        As `read_named_phases`.
    """
    return choose_for_patient(folder, named_phases_of(folder)) if is_mixed(folder) else None


def choose_for_patient(folder: Path, named: Mapping[Phase, str] | None = None) -> Choice:
    """Choose a patient's phases; `named` is what ``phases.csv`` says of this patient.

    Raises
    ------
    ImagingError
        A link in the folder leads nowhere: what it stands for may be a phase.
    """
    files = mixed_files(folder)
    for file in files:
        check_link(file, told=folder)
    volumes = [file for file in files if _is_volume(file)]
    headers, unreadable = read_headers([file for file in files if file not in volumes])
    mask, study = _mask(folder, headers)
    choice = choose_phases(headers, len(unreadable), mask, mask_study=study, named=named)
    if not volumes:
        return choice
    # Their names may be a person's.
    told = (f"a volume that is no DICOM is {_HOW_CALLED}", ".")
    return replace(choice, problems=(*choice.problems, told))


def _is_volume(file: Path) -> bool:
    return file.name.lower().endswith(_VOLUMES)


def _mask(folder: Path, headers: Sequence[SliceHeader]) -> tuple[Volume | None, str | None]:
    """Return the mask and the study that it says it belongs to, as far as they can be had."""
    try:
        file = find_mask(folder)
        if file.suffix != ".dcm":
            return read_mask(file), None
        mask = read_mask(file, _drawn_on(headers))
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["StudyInstanceUID"])
    except ImagingError:
        return None, None  # told when the region is made
    return mask, str(header.get("StudyInstanceUID") or "") or None


def _drawn_on(headers: Sequence[SliceHeader]) -> list[Scan]:
    """Return the scans on which a DICOM mask may have been drawn."""
    scans: list[Scan] = []
    for stack in find_stacks(headers):
        if reason_to_pass_over(stack) is None:
            with contextlib.suppress(ImagingError):  # told when the series is examined
                scans.append(open_files(stack.files, stack.files[0].parent))
    return scans


@dataclass(frozen=True)
class ChoiceStore:
    """Choices made before, by the state of the files that they were made from.

    Files are kept as their places in the folder's order: no name of a file, and so of a person,
    comes into the cache.
    """

    folder: Path

    def load(self, state: str | None, folder: Path) -> Choice | None:
        """Return what was chosen for files in a state; None where nothing intact is kept."""
        if state is None:
            return None
        try:
            kept = json.loads(self._path(state).read_text(encoding="utf-8"))
            files = mixed_files(folder)
            phases: dict[Phase, tuple[Path, ...]] = {
                phase: tuple(files[place] for place in kept["phases"][phase])
                for phase in PHASES
                if phase in kept["phases"]
            }
            rows = tuple(SeriesRow(**row) for row in kept["rows"])
            problems = tuple((str(reason), str(phase)) for reason, phase in kept["problems"])
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return None
        return Choice(phases, rows, problems)

    def save(self, state: str, folder: Path, choice: Choice) -> None:
        """Keep a choice, all at once or not at all; raises what `write_whole` raises."""
        places = {file: place for place, file in enumerate(mixed_files(folder))}
        text = json.dumps(
            {
                "phases": {p: [places[file] for file in f] for p, f in choice.phases.items()},
                "rows": [asdict(row) for row in choice.rows],
                "problems": choice.problems,
            }
        )
        write_whole(self._path(state), text.encode())

    def _path(self, state: str) -> Path:
        name = hashlib.blake2b(f"{CHOICE_VERSION}:{state}".encode(), digest_size=16).hexdigest()
        return self.folder / f"{name}.json"
