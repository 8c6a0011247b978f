"""``phases.csv``: what a person decides about phases, which no later run undoes.

It lies in the site's folder beside ``clinical.csv``, with the columns patient_id, phase and
series: the series as ``series.csv`` names it, or ``none`` where the patient has no such phase.
"""

import csv
from pathlib import Path
from typing import cast

from client.clinical import SiteFolderError
from shared.tasks import PHASES, Phase

FILE = "phases.csv"
COLUMNS = ("patient_id", "phase", "series")

NamedOfPatient = dict[Phase, str]
NamedPhases = dict[str, NamedOfPatient]


def named_phases_of(patient: Path) -> NamedOfPatient:
    """Return what the ``phases.csv`` beside a patient's folder says of this patient.

    Raises
    ------
    SiteFolderError
        As `read_named_phases`.
    """
    folder = patient.absolute()
    return read_named_phases(folder.parent / FILE).get(folder.name, {})


def read_named_phases(path: Path) -> NamedPhases:
    """Return what was written for each patient; nothing where there is no such file.

    Raises
    ------
    SiteFolderError
        It is no such table: what a person meant must not be ignored in silence.
    """
    if not path.is_file():
        return {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, strict=True)
            absent = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            rows = [
                {column: (row.get(column) or "").strip() for column in COLUMNS} for row in reader
            ]
    except (ValueError, csv.Error, OSError) as error:
        raise SiteFolderError(f"{path}: not a CSV table in UTF-8") from error
    if absent:
        raise SiteFolderError(f"{path}: column missing: {', '.join(absent)}")
    named: NamedPhases = {}
    for number, row in enumerate(rows, start=2):
        patient, phase, series = (row[column] for column in COLUMNS)
        if not any(row.values()):
            continue
        if not patient or phase not in PHASES or not series:
            raise SiteFolderError(
                f"{path}: row {number} needs a patient_id, a phase ({', '.join(PHASES)}), and a"
                " series as series.csv names it, or none"
            )
        phases = named.setdefault(patient, {})
        if cast(Phase, phase) in phases:
            raise SiteFolderError(f"{path}: row {number} names this phase a second time")
        phases[cast(Phase, phase)] = series
    return named
