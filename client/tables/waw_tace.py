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

from client.clinical import SiteFolderError
from client.command import writing_into
from client.imaging.errors import ImagingError
from client.imaging.grid import Volume
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
    with writing_into(site):
        (site / ACCOUNT).write_text(text, encoding="utf-8")
    return brought


def _bring(source: Path, patient: Path) -> Brought:
    patient.mkdir(parents=True)
    phases, left = [], []
    masks: defaultdict[str, list[Path]] = defaultdict(list)
    for file in sorted(source.iterdir()):
        scan, mask = _SCAN.fullmatch(file.name), _MASK.fullmatch(file.name)
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
        joined = _join(masks[drawn])
    except ImagingError as error:
        return Brought(
            patient.name, tuple(phases), (), (*left, f"{error.file.name}: {error.reason}")
        )
    image = joined.grid.place(joined.voxels, joined.grid.whole)
    sitk.WriteImage(image, str(patient / "mask.nii.gz"), useCompression=True)
    used = tuple(file.name for file in masks[drawn])
    return Brought(patient.name, tuple(phases), used, (*left, _NO_LIVER))


def _join(files: list[Path]) -> Volume:
    """Return masks of one phase as one label map, on the first one's grid."""
    first = open_scan(files[0])
    marks = np.zeros(first.grid.size[::-1], bool)
    frame = first.grid.place(marks.astype(np.uint8), first.grid.whole)
    for file in files:
        scan = open_scan(file)
        found = (scan.read(scan.grid.whole) > 0).astype(np.uint8)
        image = scan.grid.place(found, scan.grid.whole)
        on_first = sitk.Resample(image, frame, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
        marks |= sitk.GetArrayFromImage(on_first) > 0
        if found.sum() > 0 and not marks.any():
            raise ImagingError("lies elsewhere than the first mask", file)
    return Volume(marks.astype(np.uint8) * np.uint8(TUMOUR_LABEL), first.grid)
