"""A spreadsheet as text: CSV under any usual separator, or XLSX."""

import csv
import io
import re
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain
from pathlib import Path

import openpyxl

from client.clinical import SHIFTED, SiteFolderError, is_shifted

_SEPARATORS = ",;\t|"
# What spreadsheet programs write into a first row.
_TOLD_SEPARATOR = re.compile(r"sep=([,;\t|])(?=\n)", re.I)


@dataclass(frozen=True)
class Row:
    """A row of text cells.

    Attributes
    ----------
    number : int
        In the table, from 1; the header counts.
    cells : dict of str to str
        By the columns' names; white space around cells is left out.
    problem : str or None
        Why the cells may not lie below their names.
    """

    number: int
    cells: dict[str, str]
    problem: str | None = None


@dataclass(frozen=True)
class Spreadsheet:
    """A table of text cells.

    Attributes
    ----------
    columns : tuple of str
    rows : tuple of Row
        Without empty ones.
    """

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read_spreadsheet(path: Path, sheet: str | None = None) -> Spreadsheet:
    """Read a table whose first row names the columns.

    Parameters
    ----------
    path : Path
        ``.xlsx``, or text in UTF-8 (a byte-order mark is tolerated).
    sheet : str, optional
        Of a workbook; by default the first.

    Raises
    ------
    SiteFolderError
        Absent, no such sheet, or no table.
    """
    if not path.is_file():
        raise SiteFolderError(f"{path}: no such file")
    lines = _workbook(path, sheet) if path.suffix.lower() == ".xlsx" else _text(path)
    stripped = ([cell.strip() for cell in line] for line in lines)
    filled = [(number, line) for number, line in enumerate(stripped, start=1) if any(line)]
    if not filled:
        raise SiteFolderError(f"{path}: holds no table")
    columns = filled[0][1]
    twice = sorted({column for column in columns if column and columns.count(column) > 1})
    if twice:
        raise SiteFolderError(f"{path}: column there twice: {', '.join(twice)}")
    rows = tuple(_row(number, columns, line) for number, line in filled[1:])
    return Spreadsheet(tuple(filter(None, columns)), rows)


def _row(number: int, columns: list[str], line: list[str]) -> Row:
    cells = {name: line[place] if place < len(line) else "" for place, name in enumerate(columns)}
    wrong = f"more cells than the header: {SHIFTED}" if is_shifted(columns, line) else None
    return Row(number, cells, wrong)


def _text(path: Path) -> list[list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        told = _TOLD_SEPARATOR.match(text)
        # The header decides: cells may hold other separators, and decimal commas.
        header = text.lstrip("\n").partition("\n")[0]
        separator = told[1] if told else max(_SEPARATORS, key=header.count)
        # The row that tells the separator is counted, and blank.
        text = text[told.end() :] if told else text
        # Not by str.splitlines, which also breaks a cell at a vertical tab.
        stream = io.StringIO(text, newline="")
        return list(csv.reader(stream, delimiter=separator, strict=True))
    except (ValueError, csv.Error, OSError) as error:
        raise SiteFolderError(f"{path}: not a table of text in UTF-8") from error


def _workbook(path: Path, sheet: str | None) -> list[list[str]]:
    rows = _sheet(path, sheet, values=True)
    # A formula that gives an empty text has a type; one that was never calculated has none.
    blank = {at for at, kind, value in chain(*rows) if value is None and kind == "n"}
    formulas = [
        at
        for at, kind, _ in chain(*_sheet(path, sheet, values=False))
        if kind == "f" and at in blank
    ]
    if formulas:
        raise SiteFolderError(
            f"{path}: {len(formulas)} formulas without a value, the first in {formulas[0]}: open"
            " and save it in a spreadsheet program"
        )
    lines = [[_cell(value) for _, _, value in row] for row in rows]
    # A sheet's cell lies below its column, whatever is beside it: notes beyond the header are not
    # of the table.
    header = next(filter(any, lines), [])
    width = max((place for place, cell in enumerate(header, start=1) if cell), default=0)
    return [line[:width] for line in lines]


def _sheet(path: Path, sheet: str | None, *, values: bool) -> list[list[tuple[str, str, object]]]:
    """Return place, type and value of a sheet's cells; of a formula its value, or else its text."""
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=values)
    except Exception as error:  # a broken archive raises what its unpacking happens to meet
        raise SiteFolderError(f"{path}: not a workbook that can be read") from error
    try:
        if sheet is not None and sheet not in book.sheetnames:
            raise SiteFolderError(
                f"{path}: no sheet {sheet!r}; it has {', '.join(book.sheetnames)}"
            )
        chosen = book[sheet] if sheet is not None else book.worksheets[0]
        # The size that a file tells may be that of an earlier state: rows would be lost.
        chosen.reset_dimensions()
        return [
            [(getattr(one, "coordinate", ""), one.data_type, one.value) for one in row]
            for row in chosen.iter_rows()
        ]
    finally:
        book.close()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, float):
        text = str(value)
        # A cell that is a number has no mark of thousands: three digits would look like them.
        return f"{text}0" if text[-4:-3] == "." else text
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)
