"""A patient's folder to its region of interest, and to what the region was made from."""

from dataclasses import dataclass
from pathlib import Path

from client.imaging.cache import Problems
from client.imaging.dicom import open_files
from client.imaging.errors import ImagingError
from client.imaging.grid import Scan
from client.imaging.read import find_mask, find_phase, open_scan, read_mask
from client.imaging.roi import Frame, Roi
from client.series.choose import Choice
from client.series.patient import choose_for_patient, is_mixed
from shared.preprocessing import PreprocessingSettings
from shared.tasks import PHASES, Phase


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
    problems: Problems


def build_roi(
    folder: Path, settings: PreprocessingSettings, choice: Choice | None = None
) -> tuple[Roi, Problems]:
    """Make a patient's region of interest from its folder.

    Parameters
    ----------
    folder : Path
        With the contract's phases, or with mixed DICOM series.
    settings : PreprocessingSettings
    choice : Choice, optional
        Which series of a mixed folder are the phases; chosen here where it is not given.

    Returns
    -------
    roi : Roi
    problems : tuple of (reason, file)
        Phases that had to be left out, and what was passed over in those that were used; file
        is relative to the folder, or a phase's name.

    Raises
    ------
    ImagingError
        No mask, no tumour, or no phase that can be used.
    """
    region = build_region(folder, settings, choice)
    return region.roi, region.problems


def build_region(
    folder: Path, settings: PreprocessingSettings, choice: Choice | None = None
) -> Region:
    """Make a patient's region as `build_roi` does, and keep where it came from."""
    if choice is None and is_mixed(folder):
        choice = choose_for_patient(folder)
    found, refused = _open_phases(folder, choice)
    mask_file = find_mask(folder)
    mask = read_mask(mask_file, [scan for scan, _ in found.values()])
    frame = Frame.around_tumour(mask, settings, mask_file)
    phases, scans, notes = {}, {}, []
    for phase, (scan, source) in found.items():
        try:
            phases[phase], scans[phase] = frame.bring_in(scan, source), scan
        except ImagingError as error:
            refused.append((error.reason, _told(phase, error.file, folder, choice)))
            continue
        for note, file in scan.notes:
            notes.append((f"used, though {note}", _told(phase, file, folder, choice)))
    if not phases:
        told = "; ".join(f"{file}: {reason}" for reason, file in refused)
        raise ImagingError(f"no phase can be used{': ' if told else ''}{told}", folder)
    notes += [(f"used without this phase: {reason}", file) for reason, file in refused]
    return Region(frame.roi(phases), frame, scans, tuple(notes))


def _open_phases(
    folder: Path, choice: Choice | None
) -> tuple[dict[Phase, tuple[Scan, Path]], list[tuple[str, str]]]:
    """Return the phases whose headers can be read, and why others cannot."""
    found: dict[Phase, tuple[Scan, Path]] = {}
    refused = list(choice.problems if choice else ())
    for phase in PHASES:
        try:
            opened = _open_phase(folder, phase, choice)
            if opened is not None:
                found[phase] = opened
        except ImagingError as error:
            refused.append((error.reason, _told(phase, error.file, folder, choice)))
    return found, refused


def _told(phase: Phase, file: Path, folder: Path, choice: Choice | None) -> str:
    # In a mixed folder files may be named after a person: series.csv names the series.
    return phase if choice else file.relative_to(folder).as_posix()


def _open_phase(folder: Path, phase: Phase, choice: Choice | None) -> tuple[Scan, Path] | None:
    if choice is None:
        path = find_phase(folder, phase)
        return None if path is None else (open_scan(path), path)
    files = choice.phases.get(phase)
    return None if files is None else (open_files(files, folder), folder)
