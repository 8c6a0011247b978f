"""The tables of a synthetic federation: ``clinical.csv`` of each site and ``truth.csv``."""

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from shared.tasks import Survival
from simulation.cohort.folder import CLINICAL_CSV, TRUTH_COLUMNS, TRUTH_CSV
from simulation.cohort.patient import Patient

CLINICAL_COLUMNS = ("patient_id", "mvi", "rfs_months", "rfs_event", "os_months", "os_event")


def write_tables(patients: Sequence[Patient], root: Path) -> None:
    """Write every table of a federation; rows are in the order of the patient's codes."""
    ordered = sorted(patients, key=lambda patient: patient.patient_id)
    for site in dict.fromkeys(patient.site for patient in patients):
        rows = [_clinical_row(patient) for patient in ordered if patient.site == site]
        _write_csv(root / site / CLINICAL_CSV, CLINICAL_COLUMNS, rows)
    _write_csv(root / TRUTH_CSV, TRUTH_COLUMNS, [_truth_row(patient) for patient in ordered])


def _clinical_row(patient: Patient) -> list[str]:
    labels = patient.labels
    mvi = "" if labels.mvi is None else str(int(labels.mvi))
    return [patient.patient_id, mvi, *_survival_cells(labels.rfs), *_survival_cells(labels.os)]


def _survival_cells(survival: Survival | None) -> list[str]:
    return ["", ""] if survival is None else [f"{survival.months:.2f}", str(int(survival.event))]


def _truth_row(patient: Patient) -> list[str]:
    risk = patient.risk
    numbers = (risk.os_log_hazard, risk.rfs_log_hazard, risk.mvi_probability)
    return [patient.patient_id, patient.site, *(f"{number:.6f}" for number in numbers)]


def _write_csv(path: Path, header: Iterable[str], rows: Iterable[Sequence[str]]) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    partial.replace(path)
