"""Writes the federation's folder: scans, each site's ``clinical.csv`` and ``truth.csv``."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.progress import track

from simulation.cohort.patient_folder import write_scan
from simulation.cohort.whole_folder import written_once
from tests.benchmarks.phantom.patients import Enrolment, enrol
from tests.benchmarks.phantom.render import render
from tests.benchmarks.phantom.sites import SITES, Site

# Noise has no repeats to look for: more effort costs time and saves nothing.
_COMPRESSION_LEVEL = 1


def write_phantom(seed: int, root: Path, sites: Sequence[Site] = SITES) -> Path:
    """Write a whole cohort, or find it already written.

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
    return written_once(root, lambda partial: _write(enrol(seed, sites), partial))


def _write(enrolments: Sequence[Enrolment], root: Path) -> None:
    for enrolment in enrolments:
        folder = root / enrolment.site.name
        folder.mkdir()
        enrolment.clinical.to_csv(folder / "clinical.csv", index=False)
        for patient in track(enrolment.patients, f"Writing phantom {enrolment.site.name}"):
            own = folder / patient.patient_id
            own.mkdir()
            scan = render(patient, enrolment.site)
            write_scan(scan, own, compression_level=_COMPRESSION_LEVEL)
    truth = pd.concat([enrolment.truth for enrolment in enrolments], ignore_index=True)
    truth = truth.sort_values("patient_id")
    truth.to_csv(root / "truth.csv", index=False, float_format="%.6f")
