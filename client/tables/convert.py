"""A foreign table to ``clinical.csv``, with an account of every cell that was not taken over."""

import csv
import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from client.clinical import (
    COLUMNS,
    FILE,
    MOST_MONTHS,
    UNKNOWN,
    SiteFolderError,
    contradiction,
    too_long,
)
from client.command import writing_into
from client.tables.mapping import (
    MONTHS,
    BinaryColumn,
    SurvivalColumns,
    TableMapping,
    code_of,
    codes_of,
)
from client.tables.numbers import AmbiguousNumberError, Decimal, decimal_of, read_number
from client.tables.spreadsheet import Spreadsheet
from shared.tasks import Survival, SurvivalTask

ACCOUNT = "import.json"
_NOT_IN_NAMES = frozenset("/\\\0")


@dataclass(frozen=True)
class Dropped:
    """A cell or a row that was not taken over, and why."""

    patient_id: str
    column: str
    reason: str


@dataclass(frozen=True)
class Converted:
    """A table in the contract's form.

    Attributes
    ----------
    rows : tuple of dict of str to str
        By the contract's columns.
    mapped : dict of str to str
        What each label was made from.
    known : dict of str to int
        How many patients have each label.
    dropped : tuple of Dropped
    doubts : dict of str to list of str
        What was taken over and may be wrong, each with its patients.
    unused : tuple of str
        Columns of the source that no label was made from.
    never : dict of str to str
        Columns that look like a label and are none, and why.
    """

    rows: tuple[dict[str, str], ...]
    mapped: dict[str, str]
    known: dict[str, int]
    dropped: tuple[Dropped, ...]
    doubts: dict[str, list[str]]
    unused: tuple[str, ...]
    never: dict[str, str]


@dataclass(frozen=True)
class _Times:
    """How a column of times is read: its decimal mark, and why none of it can be used."""

    decimal: Decimal | None
    misread: str | None


def convert(table: Spreadsheet, mapping: TableMapping) -> Converted:
    """Bring a table to the contract's columns.

    Raises
    ------
    SiteFolderError
        The table lacks a column that the mapping names.
    """
    absent = [column for column in mapping.columns() if column not in table.columns]
    if absent:
        raise SiteFolderError(
            f"the table has no column {', '.join(absent)}; it has {', '.join(table.columns)}"
        )
    dropped: list[Dropped] = []
    counts = Counter(row.cells[mapping.patient_id] for row in table.rows)
    sound = [row.cells for row in table.rows if row.problem is None]
    times = {
        survival.time: _times(sound, survival, mapping.decimal)
        for survival in mapping.survival().values()
    }
    rows = []
    for source in table.rows:
        patient = source.cells[mapping.patient_id]
        reason = _patient_problem(patient, counts[patient], source.number) or source.problem
        if reason is not None:
            dropped.append(Dropped(patient, mapping.patient_id, reason))
        else:
            rows.append(_row(source.cells, mapping, times, dropped))
    return Converted(
        rows=tuple(rows),
        mapped=_mapped(mapping),
        known={c: sum(row[c] != "" for row in rows) for c in ("mvi", "rfs_months", "os_months")},
        dropped=tuple(dropped),
        doubts=_doubts(rows, sound, mapping),
        unused=tuple(column for column in table.columns if column not in set(mapping.columns())),
        never={column: why for column, why in mapping.never.items() if column in table.columns},
    )


def write_converted(converted: Converted, site: Path, *, source: str, title: str) -> None:
    """Write ``clinical.csv`` and its account into a site's folder.

    Raises
    ------
    SiteFolderError
        There is a ``clinical.csv`` already: it may be by hand.
    ConfigurationError
        The folder cannot be written.
    """
    account = {"source": source, "mapping": title, "patients": len(converted.rows)}
    account |= {key: value for key, value in asdict(converted).items() if key != "rows"}
    text = json.dumps(account, indent=2, ensure_ascii=False) + "\n"
    with writing_into(site):
        if (site / FILE).exists():
            raise SiteFolderError(
                f"{site / FILE} is there already: remove it, or give another site"
            )
        with (site / FILE).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, COLUMNS)
            writer.writeheader()
            writer.writerows(converted.rows)
        (site / ACCOUNT).write_text(text, encoding="utf-8")


def _patient_problem(patient: str, rows: int, number: int) -> str | None:
    if not patient:
        return f"row {number} names no patient"
    if rows > 1:
        return "several rows for one patient: leave one"
    if _NOT_IN_NAMES & set(patient) or patient in (".", ".."):
        return "no name that a folder can have"
    return None


def _row(
    source: dict[str, str],
    mapping: TableMapping,
    times: Mapping[str, _Times],
    dropped: list[Dropped],
) -> dict[str, str]:
    patient = source[mapping.patient_id]
    row = dict.fromkeys(COLUMNS, "") | {"patient_id": patient}
    unknown = UNKNOWN | codes_of(mapping.missing)
    if mapping.mvi is not None:
        told = _binary(source[mapping.mvi.column], mapping.mvi, unknown)
        if isinstance(told, str):
            dropped.append(Dropped(patient, mapping.mvi.column, told))
        elif told is not None:
            row["mvi"] = str(int(told))
    for name, survival in mapping.survival().items():
        pair = _survival(source, survival, unknown, times[survival.time])
        if isinstance(pair, str):
            dropped.append(Dropped(patient, survival.time, pair))
        elif pair is not None:
            row[f"{name}_months"], row[f"{name}_event"] = f"{pair[0]:.4f}", str(int(pair[1]))
    return row


def _doubts(
    rows: Sequence[Mapping[str, str]], sources: Sequence[Mapping[str, str]], mapping: TableMapping
) -> dict[str, list[str]]:
    doubts = defaultdict(list)
    cells = {source[mapping.patient_id]: source for source in sources}
    for row in rows:
        patient = row["patient_id"]
        told = contradiction(_pair(row, "rfs"), _pair(row, "os"))
        if told is not None:
            doubts[told].append(patient)
        for task, survival in mapping.survival().items():
            code = code_of(cells[patient][survival.time])
            if row[f"{task}_months"] and code in codes_of(mapping.missing):
                doubts[f"{survival.time} is a code under missing: read as a time"].append(patient)
    return dict(doubts)


def _pair(row: Mapping[str, str], task: SurvivalTask) -> Survival | None:
    months = row[f"{task}_months"]
    return Survival(float(months), row[f"{task}_event"] == "1") if months else None


def _binary(text: str, column: BinaryColumn, unknown: frozenset[str]) -> bool | str | None:
    """Return what a cell says; text is why it was not taken over."""
    code = code_of(text)
    if code in codes_of(column.positive):
        return True
    if code in codes_of(column.negative):
        return False
    for told, reason in column.dropped.items():
        if code == code_of(told):
            return reason
    return None if code in unknown else "a code that the mapping does not name"


def _survival(
    source: dict[str, str],
    columns: SurvivalColumns,
    unknown: frozenset[str],
    times: _Times,
) -> tuple[float, bool] | str | None:
    time, event = source[columns.time], code_of(source[columns.event])
    happened, censored = codes_of(columns.happened), codes_of(columns.censored)
    no_time = _no_time(time, unknown, columns)
    if no_time and event in unknown:
        return None
    if no_time or event in unknown - happened - censored:
        return "one of time and event is missing, so the pair is unknown"
    if event not in happened | censored:
        return "the event has a code that the mapping does not name"
    if times.misread is not None:
        return times.misread
    try:
        number = read_number(time, times.decimal)
    except AmbiguousNumberError:
        return 'a comma or point before three digits: give decimal: "," or "." in the mapping'
    months = None if number is None else number * MONTHS[columns.unit]
    if months is None or not 0 < months <= MOST_MONTHS:
        return f"a time must be a number of {columns.unit} > 0 and at most {MOST_MONTHS:.0f} months"
    return months, event in happened


def _times(
    rows: Sequence[Mapping[str, str]], columns: SurvivalColumns, decimal: Decimal | None
) -> _Times:
    cells = [row[columns.time] for row in rows]
    decimal = decimal or decimal_of(cells)
    told = too_long(_months(cell, columns, decimal) for cell in cells)
    if told is None:
        return _Times(decimal, None)
    return _Times(decimal, f"the column {told} months: is it in {columns.unit}? None of it is used")


def _months(text: str, columns: SurvivalColumns, decimal: Decimal | None) -> float:
    """Return a time in months; NaN where it is none, or missing."""
    try:
        number = None if _is_missing(text, columns) else read_number(text, decimal)
    except AmbiguousNumberError:
        number = None
    return math.nan if number is None else number * MONTHS[columns.unit]


def _no_time(text: str, unknown: frozenset[str], columns: SurvivalColumns) -> bool:
    """Return whether a time is missing; of numbers, only the pair's own codes say so."""
    code = code_of(text)
    word = code in UNKNOWN or (code in unknown and read_number(code, ".") is None)
    return word or _is_missing(text, columns)


def _is_missing(text: str, columns: SurvivalColumns) -> bool:
    return code_of(text) in codes_of(columns.missing)


def _mapped(mapping: TableMapping) -> dict[str, str]:
    told: dict[str, str] = {}
    if mapping.mvi is not None:
        told["mvi"] = _with_note(f"{mapping.mvi.column}", mapping.mvi.note)
    for name, survival in mapping.survival().items():
        text = f"{survival.time} in {survival.unit}, {survival.event}"
        told[name] = _with_note(text, survival.note)
    return told


def _with_note(text: str, note: str) -> str:
    return f"{text}; {note}" if note else text
