"""``clinical.csv``: what is known of each patient, and what in it cannot be used."""

import csv
import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.standardisation import LARGEST_VALUE
from shared.tasks import LABEL_COLUMNS, SURVIVAL_TASKS, Labels, Survival, SurvivalTask

logger = logging.getLogger("hepafed.client")

COLUMNS = ("patient_id", *LABEL_COLUMNS)
FILE = "clinical.csv"

# What is said of a row with more cells than the header.
SHIFTED = "a decimal comma? Where all rows end with blank cells, let the header end with as many"
# What tables in the wild write for "unknown", in lower case.
UNKNOWN = frozenset(
    {"", "na", "n/a", "nan", "none", "null", "unknown", "?", "-", "."}
    | {"[not available]", "[unknown]", "[not applicable]", "[not evaluated]", "not available"}
)
_OTHER_HALF = {f"{task}_event": f"{task}_months" for task in SURVIVAL_TASKS}
_OTHER_HALF |= {months: event for event, months in _OTHER_HALF.items()}
_BINARY = {"0": False, "1": True, "0.0": False, "1.0": True}
# Nobody is followed for fifty years after treatment for liver cancer; and where more than a tenth
# of a column lies beyond twenty, it is in days.
MOST_MONTHS = 600.0
_LONG_MONTHS, _MOST_LONG = 240.0, 0.1
# One of two times may be in whole months, the other not.
_SAME_MONTHS = 0.5

# A patient's known clinical variables by their columns' names.
Variables = tuple[tuple[str, float], ...]


class SiteFolderError(Exception):
    """A site's folder as a whole cannot be used; the message says what to do."""


@dataclass(frozen=True)
class ClinicalRow:
    """One patient's labels and clinical variables.

    Attributes
    ----------
    labels : Labels
    problems : tuple of str
        What had to be left out of them.
    clinical : tuple of (str, float)
    notes : tuple of str
        What is used, though it contradicts itself.
    """

    labels: Labels
    problems: tuple[str, ...]
    clinical: Variables = ()
    notes: tuple[str, ...] = ()


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


def read_clinical(path: Path, clinical_variables: Sequence[str] = ()) -> ClinicalTable:
    """Read ``clinical.csv``; a wrong cell costs a label, a doubled patient only that patient.

    Parameters
    ----------
    path : Path
    clinical_variables : sequence of str
        Further columns to read, of numbers; one that is not there is unknown for everybody.

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
    _check_header(header, path, clinical_variables)
    return _read_lines(header, lines[1:], [name for name in clinical_variables if name in header])


def _check_header(header: Sequence[str], path: Path, clinical_variables: Sequence[str]) -> None:
    absent = [column for column in COLUMNS if column not in header]
    if absent:
        hint = ""
        if any(mark in cell for cell in header for mark in ";\t"):
            hint = "; its cells are not separated by commas: save it as comma-separated"
        raise SiteFolderError(f"{path}: column missing: {', '.join(absent)}{hint}")
    twice = [column for column in (*COLUMNS, *clinical_variables) if header.count(column) > 1]
    if twice:
        raise SiteFolderError(f"{path}: column there twice: {', '.join(twice)}")
    unknown = [column for column in clinical_variables if column not in header]
    if unknown:
        logger.warning("%s: no column %s: unknown for all patients", path, ", ".join(unknown))


def _read_lines(
    header: Sequence[str], lines: Sequence[Sequence[str]], clinical_variables: Sequence[str]
) -> ClinicalTable:
    rows: dict[str, Mapping[str, str]] = {}
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
        elif is_shifted(header, line):
            refused[patient] = f"row {number} has more cells than the header: {SHIFTED}"
        else:
            cells = [*line, *[""] * len(header)]
            rows[patient] = dict(zip(header, cells, strict=False))
    misread = _misread_columns(list(rows.values()))
    for column, reason in misread.items():
        logger.warning("%s: %s %s", FILE, column, reason)
    read = {name: _read_row(row, misread, clinical_variables) for name, row in rows.items()}
    return ClinicalTable(read, dict(sorted(refused.items())))


def is_shifted(header: Sequence[str], line: Sequence[str]) -> bool:
    """Return whether a row's cells may not lie below their names (`SHIFTED`).

    A decimal comma without quotes shifts all that follow. Blank cells at the end prove nothing:
    they are what is left where the last columns were blank.
    """
    named = max((place for place, name in enumerate(header, start=1) if name), default=0)
    return len(line) > len(header) or any(line[named:])


def _misread_columns(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Return the columns whose cells mean something else than they say, and what.

    Cell by cell they would pass: where 1 and 2 stand for no and yes, every 1 is an event. A 0
    does not prove otherwise: it may be a slip.
    """
    misread = {}
    for column in ("mvi", *(f"{task}_event" for task in SURVIVAL_TASKS)):
        found = {row[column] for row in rows}
        if found & {"2", "2.0"}:
            misread[column] = "has 2: it must be 0 for no and 1 for yes"
    for column in (f"{task}_months" for task in SURVIVAL_TASKS):
        told = too_long([_float(row[column]) for row in rows])
        if told is not None:
            misread[column] = f"{told}: days? It must be in months"
    return misread


def too_long(times: Iterable[float]) -> str | None:
    """Return what tells that a column's times are not months, or None where they may be."""
    found = [time for time in times if math.isfinite(time)]
    long = sum(time > _LONG_MONTHS for time in found)
    if long <= max(1, _MOST_LONG * len(found)):
        return None
    return f"has {long} of {len(found)} times beyond {_LONG_MONTHS:.0f}"


def _read_row(
    row: Mapping[str, str], misread: Mapping[str, str], clinical_variables: Sequence[str]
) -> ClinicalRow:
    problems = [f"{column} {reason}, so it is unknown" for column, reason in misread.items()]
    halves = {column: _OTHER_HALF.get(column, column) for column in misread}
    row = {**row, **dict.fromkeys([*halves, *halves.values()], "")}
    mvi = _binary("mvi", row["mvi"], problems)
    outcomes = {task: _survival(task, row, problems) for task in SURVIVAL_TASKS}
    labels = Labels(mvi=mvi, rfs=outcomes["rfs"], os=outcomes["os"])
    found = {name: _number(name, row[name], problems) for name in clinical_variables}
    known = tuple((name, value) for name, value in found.items() if value is not None)
    doubt = contradiction(labels.rfs, labels.os)
    return ClinicalRow(labels, tuple(problems), known, () if doubt is None else (doubt,))


def contradiction(rfs: Survival | None, os: Survival | None) -> str | None:
    """Return why a patient's recurrence-free and overall survival cannot both be, or None."""
    if rfs is None or os is None:
        return None
    later = rfs.months - os.months
    if later > _SAME_MONTHS:
        return "rfs goes on after os ends: at death or the last contact both end"
    if os.event and not rfs.event and later >= -_SAME_MONTHS:
        return "rfs is censored at death, which it counts as an event"
    return None


def _number(column: str, text: str, problems: list[str]) -> float | None:
    if _is_unknown(text):
        return None
    value = _float(text)
    if not math.isfinite(value):
        problems.append(f"{column} must be a number, so it is unknown")
        return None
    if abs(value) > LARGEST_VALUE:
        problems.append(f"{column} is larger than {LARGEST_VALUE:.0f}, so it is unknown")
        return None
    return value


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
    months = _float(months_text)
    if not 0 < months <= MOST_MONTHS:
        problems.append(
            f"{task}_months must be a number > 0 and at most {MOST_MONTHS:.0f}, so {task} is"
            " unknown"
        )
        return None
    return Survival(months, event)


def _binary(column: str, text: str, problems: list[str]) -> bool | None:
    if _is_unknown(text):
        return None
    if text not in _BINARY:
        problems.append(f"{column} must be 0 or 1, so it is unknown")
        return None
    return _BINARY[text]


def _float(text: str) -> float:
    """Return a number; NaN where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _is_unknown(text: str) -> bool:
    return text.lower() in UNKNOWN
