"""A patient's files: which there are, and how each is opened."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from client.imaging.contours import read_contours
from client.imaging.dicom import DicomSeries, open_series
from client.imaging.errors import ImagingError
from client.imaging.grid import Scan, Volume, upright_image
from client.imaging.links import check_link, leads_nowhere
from client.imaging.segmentation import read_segmentation
from client.imaging.volume_file import open_volume
from shared.tasks import PHASES, TUMOUR_LABEL, Phase

VOLUME_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")
# What the data contract names, and what else is read.
MASK_NAMES = ("mask.nii.gz", "seg.dcm", "mask.nii", "mask.nrrd", "mask.mha", "rtstruct.dcm")

# A label stored as a scaled or floating number may be off by this much.
_LABEL_ROUNDING = 1e-3


def find_phase(case: Path, phase: Phase) -> Path | None:
    """Return a phase's folder or file in a patient's folder; None where it was not acquired.

    Raises
    ------
    ImagingError
        It is there more than once, which one is meant is not for a program to guess, or as a
        link that leads nowhere.
    """
    found = _phase_sources(case, phase)
    if len(found) > 1:
        raise ImagingError(f"is there as {_names(found)}: leave one", found[0])
    if not found:
        return None
    check_link(found[0])
    return found[0]


def find_mask(case: Path) -> Path:
    """Return a patient's mask.

    Raises
    ------
    ImagingError
        There is none, there are two, or it is a link that leads nowhere.
    """
    found = _mask_sources(case)
    if len(found) > 1:
        raise ImagingError(f"the mask is there as {_names(found)}: leave one", case)
    if not found:
        raise ImagingError(f"no mask: expected {' or '.join(MASK_NAMES)}", case)
    check_link(found[0])
    return found[0]


def has_phases(case: Path) -> bool:
    """Return whether any phase is there under the name that the data contract gives it."""
    return any(_phase_sources(case, phase) for phase in PHASES)


def case_files(case: Path) -> tuple[Path, ...]:
    """Return every file that a patient's region can depend on, in a fixed order.

    With links that lead nowhere: a patient whose archive is not mounted is in another state.
    """
    sources = [*_mask_sources(case)]
    for phase in PHASES:
        sources += _phase_sources(case, phase)
    files = []
    for source in sources:
        # Links are followed: sites often link into their archive.
        files += [path for path in _contents(source) if path.is_file() or leads_nowhere(path)]
    return tuple(sorted(files))


def open_scan(path: Path) -> Scan:
    """Open a phase: a folder that holds one DICOM series, or a volume file.

    Raises
    ------
    ImagingError
        Its headers cannot be read, or are not those of one regular volume.
    """
    return open_series(path) if path.is_dir() else open_volume(path)


def read_image(path: Path) -> sitk.Image:
    """Read a whole phase as HU, on an upright grid where the gantry was tilted.

    Parameters
    ----------
    path : Path
        A folder that holds one DICOM series under any file names, or a volume file.

    Raises
    ------
    ImagingError
        Unreadable, not a volume, irregular, or with voxels that are not finite.
    """
    scan = open_scan(path)
    return upright_image(Volume(scan.read(scan.grid.whole), scan.grid))


def read_mask(path: Path, scans: Sequence[Scan] = ()) -> Volume:
    """Read a label map: 0 background, 1 liver, 2 tumour.

    Parameters
    ----------
    path : Path
        A volume file, a DICOM SEG or an RTSTRUCT (`MASK_NAMES`).
    scans : sequence of Scan
        The patient's: DICOM masks leave out what the series says that they were drawn on.

    Raises
    ------
    ImagingError
        Unreadable, or with other labels.
    """
    if path.suffix == ".dcm":
        series = [scan for scan in scans if isinstance(scan, DicomSeries)]
        structures = path.name == "rtstruct.dcm"
        return (read_contours if structures else read_segmentation)(path, series)
    scan = open_scan(path)
    stored = scan.read(scan.grid.whole)
    labels = stored.round() if stored.dtype.kind == "f" else stored
    whole = labels is stored or np.abs(stored - labels).max() <= _LABEL_ROUNDING
    negative = labels.dtype.kind != "u" and labels.min() < 0
    if not whole or negative or labels.max() > TUMOUR_LABEL:
        raise ImagingError("has labels other than 0 background, 1 liver, 2 tumour", path)
    return Volume(labels.astype(np.uint8, copy=False), scan.grid)


def _phase_sources(case: Path, phase: Phase) -> list[Path]:
    paths = (case / phase, *(case / f"{phase}{suffix}" for suffix in VOLUME_SUFFIXES))
    return [path for path in paths if path.exists() or path.is_symlink()]


def _mask_sources(case: Path) -> list[Path]:
    paths = (case / name for name in MASK_NAMES)
    return [path for path in paths if path.exists() or path.is_symlink()]


def _contents(source: Path) -> list[Path]:
    return list(source.iterdir()) if source.is_dir() else [source]


def _names(paths: list[Path]) -> str:
    return " and ".join(path.name for path in paths)
