"""``clinical.csv``: what is known of each patient, and what in it cannot be used."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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
        Patients whose rows cannot be used at all, and why; rows without a patient are under "".
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
        with path.open(newline="", encoding="utf-8-sig") as stream:
            lines = [[cell.strip() for cell in line] for line in csv.reader(stream, strict=True)]
    except (ValueError, csv.Error, OSError) as error:
        raise SiteFolderError(f"{path}: not a CSV table in UTF-8 ({error})") from error
    header = lines[0] if lines else []
    _check_header(header, path)
    return _read_lines(header, lines[1:])


def _check_header(header: Sequence[str], path: Path) -> None:
    absent = [column for column in COLUMNS if column not in header]
    if absent:
        hint = ""
        if any(mark in cell for cell in header for mark in ";\t"):
            hint = "; its cells are not separated by commas: save it as comma-separated"
        raise SiteFolderError(f"{path}: column missing: {', '.join(absent)}{hint}")
    twice = [column for column in COLUMNS if header.count(column) > 1]
    if twice:
        raise SiteFolderError(f"{path}: column there twice: {', '.join(twice)}")


def _read_lines(header: Sequence[str], lines: Sequence[Sequence[str]]) -> ClinicalTable:
    rows: dict[str, ClinicalRow] = {}
    refused: dict[str, str] = {}
    place = header.index("patient_id")
    filled = [(number, line) for number, line in enumerate(lines, start=2) if any(line)]
    counts = Counter(line[place] for _, line in filled if len(line) > place)
    for number, line in filled:
        patient = line[place] if len(line) > place else ""
        if not patient:
            refused[""] = f"row {number} has no patient_id"
        elif counts[patient] > 1:
            refused[patient] = "several rows for one patient: leave one"
        elif any(line[len(header) :]):
            # Cells beyond the header: a decimal comma without quotes shifts all that follow.
            refused[patient] = f"row {number} has more cells than the header: a decimal comma?"
        else:
            cells = [*line, *[""] * len(header)]
            rows[patient] = _read_row(dict(zip(header, cells, strict=False)))
    return ClinicalTable(rows, dict(sorted(refused.items())))


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
