"""Writes the federation's folder: scans, each site's ``clinical.csv`` and ``truth.csv``."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tests.benchmarks.phantom.patients import Enrolment, enrol
from tests.benchmarks.phantom.render import Scan, render
from tests.benchmarks.phantom.sites import SITES, Site

# Noise has no repeats to look for: more effort costs time and saves nothing.
_COMPRESSION_LEVEL = 1


def write_phantom(seed: int, root: Path, sites: Sequence[Site] = SITES) -> Path:
    """Write a whole cohort, or find it already written.

    The files go to a folder beside the final one, which then takes its name in one step: a
    cohort's folder that exists is complete.

    Parameters
    ----------
    seed : int
        Another seed gives other patients.
    root : Path
        The cohort's folder. One that exists is left as it is, whatever its seed.
    sites : sequence of Site

    Returns
    -------
    Path
        The root.
    """
    if root.exists():
        return root
    partial = root.with_name(f".{root.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    try:
        _write(enrol(seed, sites), partial)
        partial.rename(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return root


def _write(enrolments: Sequence[Enrolment], root: Path) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        total = sum(len(enrolment.patients) for enrolment in enrolments)
        bar = progress.add_task("Writing phantom patients", total=total)
        for enrolment in enrolments:
            folder = root / enrolment.site.name
            folder.mkdir()
            enrolment.clinical.to_csv(folder / "clinical.csv", index=False)
            for patient in enrolment.patients:
                write_scan(render(patient, enrolment.site), folder / patient.patient_id)
                progress.advance(bar)
    truth = pd.concat([enrolment.truth for enrolment in enrolments], ignore_index=True)
    truth = truth.sort_values("patient_id")
    truth.to_csv(root / "truth.csv", index=False, float_format="%.6f")


def write_scan(scan: Scan, folder: Path) -> None:
    """Write a patient's phases and mask into a new folder."""
    folder.mkdir()
    for phase, volume in scan.phases.items():
        _write_volume(volume, scan, folder / f"{phase}.nii.gz")
    _write_volume(scan.mask, scan, folder / "mask.nii.gz")


def _write_volume(volume: NDArray[np.int16] | NDArray[np.uint8], scan: Scan, path: Path) -> None:
    image = SimpleITK.GetImageFromArray(volume)
    image.SetSpacing(scan.spacing_mm)
    image.SetOrigin(scan.origin_mm)
    SimpleITK.WriteImage(image, str(path), useCompression=True, compressionLevel=_COMPRESSION_LEVEL)
