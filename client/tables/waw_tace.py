"""WAW-TACE's layout to the contract's: scans are linked, the masks of one phase joined.

As published: ``<pid>/<pid>_<phase>_scan.nii.gz`` with phase 0 native, 1 arterial, 2 portal venous
and 3 delayed, and ``<pid>/<pid>_<phase>_<n>_tumor_seg.nrrd``, one mask a tumour.
"""

import json
import os
import re
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from client.clinical import SiteFolderError
from client.command import writing_into
from client.imaging.errors import ImagingError
from client.imaging.grid import Grid, Volume
from client.imaging.read import open_scan
from client.tables.convert import ACCOUNT
from shared.tasks import TUMOUR_LABEL, Phase

_SCAN = re.compile(r"(?P<patient>.+)_(?P<phase>[0-3])_scan\.nii\.gz")
_MASK = re.compile(r"(?P<patient>.+)_(?P<phase>[0-3])_\d+_tumou?r_seg\.nrrd")
_PHASES: dict[str, Phase] = {"1": "arterial", "2": "portal_venous", "3": "delayed"}
# Tumours are outlined best where the liver is brightest; one phase's outlines are taken, since
# those of two phases lie a breath apart.
_MASK_ORDER = ("2", "1", "3", "0")
_NO_LIVER = "its mask has no liver: intensities are relative to the tissue around the tumour"


@dataclass(frozen=True)
class Brought:
    """What became of one patient's files.

    Attributes
    ----------
    patient_id : str
    phases : tuple of str
    masks : tuple of str
        Joined to the one mask.
    left : tuple of str
        Files or facts left out, each with its reason.
    """

    patient_id: str
    phases: tuple[str, ...]
    masks: tuple[str, ...]
    left: tuple[str, ...]


def link_waw_tace(source: Path, site: Path) -> tuple[Brought, ...]:
    """Link a folder of WAW-TACE's layout into a site's folder, and write ``import.json``.

    Raises
    ------
    SiteFolderError
        No scan of that layout is there, or the site's folder holds such patients already.
    ConfigurationError
        The site's folder cannot be written.
    """
    folders = (
        [path for path in sorted(source.iterdir()) if path.is_dir()] if source.is_dir() else []
    )
    patients = [
        folder for folder in folders if any(_SCAN.fullmatch(p.name) for p in folder.iterdir())
    ]
    if not patients:
        raise SiteFolderError(f"{source}: holds no <pid>/<pid>_<phase>_scan.nii.gz")
    there = [folder.name for folder in patients if (site / folder.name).exists()]
    if there:
        raise SiteFolderError(f"{site}: holds {len(there)} of these patients already: remove them")
    with writing_into(site):
        brought = tuple(_bring(folder, site / folder.name) for folder in patients)
        account = {"source": source.name, "mapping": "WAW-TACE", "patients": len(brought)}
        text = json.dumps(account | {"files": [asdict(one) for one in brought]}, indent=2) + "\n"
        (site / ACCOUNT).write_text(text, encoding="utf-8")
    return brought


def _bring(source: Path, patient: Path) -> Brought:
    patient.mkdir(parents=True)
    phases, left = [], []
    scans: dict[str, Path] = {}
    masks: defaultdict[str, list[Path]] = defaultdict(list)
    for file in sorted(source.iterdir()):
        scan, mask = _SCAN.fullmatch(file.name), _MASK.fullmatch(file.name)
        if scan is not None:
            scans[scan["phase"]] = file
        if scan is not None and scan["phase"] in _PHASES:
            phase = _PHASES[scan["phase"]]
            link = patient / f"{phase}.nii.gz"
            link.symlink_to(os.path.relpath(file.resolve(), patient.resolve()))
            phases.append(phase)
        elif mask is not None:
            masks[mask["phase"]].append(file)
        else:
            left.append(f"{file.name}: {'native' if scan else 'no scan or mask of the layout'}")
    drawn = next((number for number in _MASK_ORDER if masks.get(number)), None)
    if drawn is None:
        return Brought(patient.name, tuple(phases), (), (*left, "no mask"))
    others = [f.name for p in sorted(masks) if p != drawn for f in masks[p]]
    left += [f"{name}: drawn on another phase" for name in others]
    try:
        joined = _join(masks[drawn], scans.get(drawn))
    except ImagingError as error:
        return Brought(
            patient.name, tuple(phases), (), (*left, f"{error.file.name}: {error.reason}")
        )
    image = joined.grid.place(joined.voxels, joined.grid.whole)
    sitk.WriteImage(image, str(patient / "mask.nii.gz"), useCompression=True)
    used = tuple(file.name for file in masks[drawn])
    return Brought(patient.name, tuple(phases), used, (*left, _NO_LIVER))


def _join(files: list[Path], scan: Path | None) -> Volume:
    """Return masks of one phase as one label map on the grid of its scan, or else of the first.

    A mask may be no larger than its tumour: another's would fall off its edge.

    Raises
    ------
    ImagingError
        A file cannot be read, or marks voxels that do not lie on that grid.
    """
    grid = open_scan(scan or files[0]).grid
    marks = np.zeros(grid.size[::-1], bool)
    frame = grid.place(marks.astype(np.uint8), grid.whole)
    for file in files:
        mask = open_scan(file)
        found = mask.read(mask.grid.whole) > 0
        image = mask.grid.place(found.astype(np.uint8), mask.grid.whole)
        on_grid = sitk.Resample(image, frame, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
        own = sitk.GetArrayFromImage(on_grid) > 0
        if found.any() and (_outside(grid, mask.grid, found) or not own.any()):
            raise ImagingError(f"lies outside {(scan or files[0]).name}, in whole or in part", file)
        marks |= own
    return Volume(marks.astype(np.uint8) * np.uint8(TUMOUR_LABEL), grid)


def _outside(grid: Grid, other: Grid, found: NDArray[np.bool_]) -> bool:
    """Return whether any marked voxel of another grid, shape (D, H, W), lies beyond a grid."""
    places = grid.indices(other.points_mm(np.argwhere(found)[:, ::-1].astype(np.float64)))
    # Half a voxel: the edge of the outermost ones.
    return bool((np.abs(places - (np.array(grid.size) - 1) / 2) > np.array(grid.size) / 2).any())
