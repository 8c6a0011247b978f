"""A patient's folder to its region of interest, and to what the region was made from."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.blas import one_blas_thread
from client.doubts import Doubt, doubts_on_mask, doubts_on_scans
from client.imaging.cache import Problems
from client.imaging.dicom import DicomSeries, open_files
from client.imaging.errors import ImagingError
from client.imaging.frame import Frame
from client.imaging.grid import Grid, Scan
from client.imaging.lattice import Near
from client.imaging.read import find_mask, find_phase, open_scan, read_mask
from client.imaging.registration import REACH_MM, STILL, Motion, find_motion
from client.imaging.roi import Roi
from client.series.choose import Choice
from client.series.patient import chosen_phases
from shared.preprocessing import PreprocessingSettings
from shared.tasks import PHASES, Phase

_REFERENCES: tuple[Phase, ...] = ("portal_venous", "arterial", "delayed")


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
    hu : dict of Phase to ndarray, shape (D, H, W)
        Their HU in the region, clipped to the window.
    problems : tuple of (reason, file)
    motions : dict of Phase to Motion
        How each phase was moved onto the one that the mask was drawn on.
    doubts : tuple of Doubt
        What a person should look at; told among the problems too.
    """

    roi: Roi
    frame: Frame
    scans: dict[Phase, Scan]
    hu: dict[Phase, NDArray[np.float32]]
    problems: Problems
    motions: dict[Phase, Motion]
    doubts: tuple[Doubt, ...]


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


@one_blas_thread()
def build_region(
    folder: Path, settings: PreprocessingSettings, choice: Choice | None = None
) -> Region:
    """Make a patient's region as `build_roi` does, and keep where it came from."""
    choice = choice or chosen_phases(folder)
    found, refused = _open_phases(folder, choice)
    _check_one_patient([scan for scan, _ in found.values()], folder)
    mask_file = find_mask(folder)
    mask = read_mask(mask_file, [scan for scan, _ in found.values()])
    frame = Frame.around_tumour(mask, settings, mask_file)
    near, unread = _read_phases(found, frame, folder, choice)
    refused += unread
    phases, notes = {}, []
    motions = _motions(near, frame, _drawn_on(mask.grid, found, near))
    for phase, part in near.items():
        scan, source = found[phase]
        try:
            phases[phase] = frame.finish(part, source, motions[phase].way)
        except ImagingError as error:
            refused.append((error.reason, _told(phase, error.file, folder, choice)))
            continue
        for note, file in scan.notes:
            notes.append((f"used, though {note}", _told(phase, file, folder, choice)))
    if not phases:
        told = "; ".join(f"{file}: {reason}" for reason, file in refused)
        raise ImagingError(f"no phase can be used{': ' if told else ''}{told}", folder)
    notes += [(f"used without this phase: {reason}", file) for reason, file in refused]
    scans = {phase: found[phase][0] for phase in phases}
    roi = replace(frame.roi(phases), native_spacing_mm=_native_spacing_mm(scans))
    hu = {phase: brought.hu for phase, brought in phases.items()}
    doubts = (*doubts_on_mask(mask), *doubts_on_scans(frame, scans, near, hu))
    for doubt in doubts:
        file = mask_file if doubt.phase is None else found[doubt.phase][1]
        notes.append((f"used, though {doubt.text}", _told(doubt.phase, file, folder, choice)))
    return Region(roi, frame, scans, hu, tuple(notes), motions, doubts)


def _check_one_patient(scans: Sequence[Scan], folder: Path) -> None:
    names = {scan.patient for scan in scans if isinstance(scan, DicomSeries)} - {""}
    if len(names) > 1:
        raise ImagingError(
            f"series of {len(names)} patients in one folder: leave those of this patient", folder
        )


def _read_phases(
    found: Mapping[Phase, tuple[Scan, Path]], frame: Frame, folder: Path, choice: Choice | None
) -> tuple[dict[Phase, Near], list[tuple[str, str]]]:
    """Return the parts of the phases that the frame needs, and why others cannot be used."""
    reach_mm = REACH_MM if frame.settings.registration == "rigid" else 0.0
    near, refused = {}, []
    for phase, (scan, source) in found.items():
        try:
            near[phase] = frame.read(scan, source, reach_mm)
        except ImagingError as error:
            refused.append((error.reason, _told(phase, error.file, folder, choice)))
    for phase, other in _doubles(near).items():
        reason = f"is the same scan as {other}: leave it as the one phase that it is"
        refused.append((reason, _told(phase, found[phase][1], folder, choice)))
        del near[phase]
    return near, refused


def _doubles(near: Mapping[Phase, Near]) -> dict[Phase, Phase]:
    """Return the phases whose voxels are another's too, each with the other.

    One scan is one phase: which one it is, is not for a program to guess.
    """
    voxels = {phase: part.native.read(part.native.grid.whole) for phase, part in near.items()}
    doubles: dict[Phase, Phase] = {}
    for one, other in itertools.permutations(voxels, 2):
        if one not in doubles and _are_equal(voxels[one], voxels[other]):
            doubles[one] = other
    return doubles


def _are_equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    # Plane by plane: other scans differ in the first.
    return one.shape == other.shape and all(map(np.array_equal, one, other))


def _native_spacing_mm(scans: Mapping[Phase, Scan]) -> tuple[float, float]:
    # The coarsest phase is what limits what can be seen.
    spacings = [scan.grid.spacing_mm for scan in scans.values()]
    return max(max(x, y) for x, y, _ in spacings), max(z for _, _, z in spacings)


def _drawn_on(
    grid: Grid, found: Mapping[Phase, tuple[Scan, Path]], near: Mapping[Phase, Near]
) -> Phase | None:
    """Return the phase that a mask was drawn on: the only one whose grid it has.

    Where all have it, or none, it is the portal venous phase, in which most masks are drawn, or
    else the first that is there.
    """
    grids = {phase: found[phase][0].grid for phase in near}
    holding = [phase for phase in near if grids[phase].holds(grid)]
    same = [phase for phase in holding if grid.holds(grids[phase])]
    for alike in (same, holding):  # a DICOM SEG has only the slices that it marks
        if len(alike) == 1:
            return alike[0]
    return next((phase for phase in _REFERENCES if phase in near), None)


def _motions(
    near: Mapping[Phase, Near], frame: Frame, reference: Phase | None
) -> dict[Phase, Motion]:
    """Return how each phase lies against the reference phase."""
    motions = dict.fromkeys(near, STILL)
    if frame.settings.registration == "none" or reference is None:
        return motions
    lattice, liver = frame.lattice, frame.labels > 0
    fixed = lattice.image(near[reference].on(lattice))
    wide = lattice.wider(REACH_MM)
    for phase in near:
        if phase != reference:
            motions[phase] = find_motion(fixed, wide.image(near[phase].on(wide)), liver)
    return motions


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


def _told(phase: Phase | None, file: Path, folder: Path, choice: Choice | None) -> str:
    # In a mixed folder files may be named after a person: series.csv names the series.
    return phase if choice and phase else file.relative_to(folder).as_posix()


def _open_phase(folder: Path, phase: Phase, choice: Choice | None) -> tuple[Scan, Path] | None:
    if choice is None:
        path = find_phase(folder, phase)
        return None if path is None else (open_scan(path), path)
    files = choice.phases.get(phase)
    return None if files is None else (open_files(files, folder), folder)
