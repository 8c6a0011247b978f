"""``clinical.csv``: what is known of each patient, and what in it cannot be used."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from shared.tasks import SURVIVAL_TASKS, Labels, Survival, SurvivalTask

COLUMNS = ("patient_id", "mvi", "rfs_months", "rfs_event", "os_months", "os_event")
FILE = "clinical.csv"

# What tables in the wild write for "unknown", in lower case.
UNKNOWN = frozenset(
    {"", "na", "n/a", "nan", "none", "null", "unknown", "?", "-", "."}
    | {"[not available]", "[unknown]", "[not applicable]", "[not evaluated]", "not available"}
)
_BINARY = {"0": False, "1": True, "0.0": False, "1.0": True}


class SiteFolderError(Exception):
    """A site's folder as a whole cannot be used; the message says what to do."""


@dataclass(frozen=True)
class ClinicalRow:
    """One patient's labels, and what had to be left out of them."""

    labels: Labels
    problems: tuple[str, ...]


@dataclass(frozen=True)
class ClinicalTable:
    """A site's table.

    Attributes
    ----------
    rows : dict of str to ClinicalRow
        By patient_id.
    refused : dict of str to str
        Patients whose rows cannot be used at all, and why.
    """

    rows: dict[str, ClinicalRow]
    refused: dict[str, str]


def read_clinical(path: Path) -> ClinicalTable:
    """Read ``clinical.csv``; a wrong cell costs a label, a doubled patient only that patient.

    Raises
    ------
    SiteFolderError
        The file is absent, not CSV in UTF-8, or lacks a column.
    """
    if not path.is_file():
        raise SiteFolderError(
            f"{path}: no such file; write it with the columns {', '.join(COLUMNS)}"
        )
    try:
        # utf-8-sig drops the byte-order mark that spreadsheets write.
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, OSError) as error:
        raise SiteFolderError(f"{path}: not a CSV table in UTF-8 ({error})") from error
    table.columns = table.columns.str.strip()
    absent = [column for column in COLUMNS if column not in table.columns]
    if absent:
        raise SiteFolderError(f"{path}: column missing: {', '.join(absent)}")
    table = table[list(COLUMNS)].apply(lambda column: column.str.strip())
    doubled = set(table["patient_id"][table["patient_id"].duplicated()])
    rows = {
        row["patient_id"]: _read_row(row)
        for row in table.to_dict("records")
        if row["patient_id"] and row["patient_id"] not in doubled
    }
    reason = "several rows for one patient: leave one"
    return ClinicalTable(rows, {patient: reason for patient in sorted(doubled) if patient})


def _read_row(row: Mapping[str, str]) -> ClinicalRow:
    problems: list[str] = []
    mvi = _binary("mvi", row["mvi"], problems)
    outcomes = {task: _survival(task, row, problems) for task in SURVIVAL_TASKS}
    return ClinicalRow(Labels(mvi=mvi, rfs=outcomes["rfs"], os=outcomes["os"]), tuple(problems))


def _survival(task: SurvivalTask, row: Mapping[str, str], problems: list[str]) -> Survival | None:
    months_text, event_text = row[f"{task}_months"], row[f"{task}_event"]
    halves = [_is_unknown(months_text), _is_unknown(event_text)]
    if any(halves):
        if not all(halves):
            problems.append(f"{task}: one of months and event is missing, so the pair is unknown")
        return None
    event = _binary(f"{task}_event", event_text, problems)
    if event is None:
        return None
    try:
        return Survival(float(months_text), event)
    except ValueError:
        problems.append(f"{task}_months must be a number > 0, so {task} is unknown")
        return None


def _binary(column: str, text: str, problems: list[str]) -> bool | None:
    if _is_unknown(text):
        return None
    if text not in _BINARY:
        problems.append(f"{column} must be 0 or 1, so it is unknown")
        return None
    return _BINARY[text]


def _is_unknown(text: str) -> bool:
    return text.lower() in UNKNOWN
