"""What a foreign generator draws of a site, and how a whole cohort of it is written."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import pandas as pd
from rich.progress import track

from client.processes import end_with_parent
from simulation.cohort.folder import CLINICAL_CSV, TRUTH_CSV
from simulation.cohort.patient_folder import write_scan
from simulation.cohort.render import Scan

_WORKERS = 2
# Noise has no repeats to look for: more effort costs time and saves nothing.
_COMPRESSION_LEVEL = 1


class DrawnPatient(Protocol):
    """One patient before the scan."""

    @property
    def patient_id(self) -> str:
        """Says nothing of the order in which patients were drawn."""


class DrawnSite(Protocol):
    """One institution."""

    @property
    def name(self) -> str:
        """Of its folder."""


P = TypeVar("P", bound=DrawnPatient)
S = TypeVar("S", bound=DrawnSite)


@dataclass(frozen=True)
class Enrolment(Generic[P, S]):
    """One site with its patients.

    Attributes
    ----------
    site : DrawnSite
    patients : tuple of DrawnPatient
        In the order in which they were drawn.
    clinical : pandas.DataFrame
        What the site knows, in the contract's columns; one row a patient, sorted by code.
    truth : pandas.DataFrame
        Codes, site and true risks; one row a patient, sorted by code.
    """

    site: S
    patients: tuple[P, ...]
    clinical: pd.DataFrame
    truth: pd.DataFrame


def write_enrolments(
    enrolments: Sequence[Enrolment[P, S]], render: Callable[[P, S], Scan], root: Path
) -> None:
    """Write scans, each site's ``clinical.csv`` and ``truth.csv``.

    Parameters
    ----------
    enrolments : sequence of Enrolment
    render : callable
        A function of a module, so that another process finds it.
    root : Path
        The cohort's folder, empty.
    """
    for enrolment in enrolments:
        folder = root / enrolment.site.name
        folder.mkdir()
        enrolment.clinical.to_csv(folder / CLINICAL_CSV, index=False)
    truth = pd.concat([enrolment.truth for enrolment in enrolments])
    truth.to_csv(root / TRUTH_CSV, index=False, float_format="%.6f")
    _write_scans(enrolments, render, root)


def _write_scans(
    enrolments: Sequence[Enrolment[P, S]], render: Callable[[P, S], Scan], root: Path
) -> None:
    """Write the scans of all patients, each by one of a few processes."""
    scans = [
        (render, patient, enrolment.site, root / enrolment.site.name / patient.patient_id)
        for enrolment in enrolments
        for patient in enrolment.patients
    ]
    # Forked children of a process that has used threads can hang: start them anew.
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(_WORKERS, mp_context=context, initializer=end_with_parent) as pool:
        written = pool.map(_write_patient, *zip(*scans, strict=True))
        for _ in track(written, "Writing synthetic patients", total=len(scans)):
            pass


def _write_patient(render: Callable[[P, S], Scan], patient: P, site: S, folder: Path) -> None:
    folder.mkdir()
    write_scan(render(patient, site), folder, compression_level=_COMPRESSION_LEVEL)
