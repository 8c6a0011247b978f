"""Writes the federation's folder: scans, each site's ``clinical.csv`` and ``truth.csv``."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd
from rich.progress import track

from client.processes import end_with_parent
from simulation.cohort.folder import CLINICAL_CSV, TRUTH_CSV
from simulation.cohort.patient_folder import write_scan
from simulation.cohort.whole_folder import written_once
from tests.benchmarks.cirrhotic.patients import Enrolment, Patient, enrol
from tests.benchmarks.cirrhotic.render import render
from tests.benchmarks.cirrhotic.sites import SITES, Site

_WORKERS = 2
# Noise has no repeats to look for: more effort costs time and saves nothing.
_COMPRESSION_LEVEL = 1


def write_cirrhotic(seed: int, root: Path, sites: Sequence[Site] = SITES) -> Path:
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
    _write_tables(enrolments, root)
    _write_scans(enrolments, root)


def _write_tables(enrolments: Sequence[Enrolment], root: Path) -> None:
    for enrolment in enrolments:
        folder = root / enrolment.site.name
        folder.mkdir()
        enrolment.clinical.to_csv(folder / CLINICAL_CSV, index=False)
    truth = pd.concat([enrolment.truth for enrolment in enrolments])
    truth.to_csv(root / TRUTH_CSV, index=False, float_format="%.5f")


def _write_scans(enrolments: Sequence[Enrolment], root: Path) -> None:
    """Write the scans of all patients, each by one of a few processes."""
    scans = [
        (patient, enrolment.site, root / enrolment.site.name / patient.patient_id)
        for enrolment in enrolments
        for patient in enrolment.patients
    ]
    # Forked children of a process that has used threads can hang: start them anew.
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(_WORKERS, mp_context=context, initializer=end_with_parent) as pool:
        written = pool.map(_write_patient, *zip(*scans, strict=True))
        for _ in track(written, "Writing the cirrhotic cohort", total=len(scans)):
            pass


def _write_patient(patient: Patient, site: Site, folder: Path) -> None:
    folder.mkdir()
    write_scan(render(patient, site), folder, compression_level=_COMPRESSION_LEVEL)
