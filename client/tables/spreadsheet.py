"""A spreadsheet as text: CSV under any usual separator, or XLSX."""

import csv
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import openpyxl

from client.clinical import SiteFolderError

_SEPARATORS = ",;\t|"


@dataclass(frozen=True)
class Spreadsheet:
    """A table of text cells.

    Attributes
    ----------
    columns : tuple of str
    rows : tuple of dict of str to str
        Without empty ones; white space around cells is left out.
    """

    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]


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
    filled = [[cell.strip() for cell in line] for line in lines if any(map(str.strip, line))]
    if not filled:
        raise SiteFolderError(f"{path}: holds no table")
    columns = filled[0]
    twice = sorted({column for column in columns if column and columns.count(column) > 1})
    if twice:
        raise SiteFolderError(f"{path}: column there twice: {', '.join(twice)}")
    rows = tuple(
        {name: line[place] if place < len(line) else "" for place, name in enumerate(columns)}
        for line in filled[1:]
    )
    return Spreadsheet(tuple(filter(None, columns)), rows)


def _text(path: Path) -> list[list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        header = text.partition("\n")[0]
        # The header decides: cells may hold other separators, and decimal commas.
        separator = max(_SEPARATORS, key=header.count)
        return list(csv.reader(text.splitlines(keepends=True), delimiter=separator, strict=True))
    except (ValueError, csv.Error, OSError) as error:
        raise SiteFolderError(f"{path}: not a table of text in UTF-8") from error


def _workbook(path: Path, sheet: str | None) -> list[list[str]]:
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except Exception as error:  # a broken archive raises what its unpacking happens to meet
        raise SiteFolderError(f"{path}: not a workbook that can be read") from error
    try:
        if sheet is not None and sheet not in book.sheetnames:
            raise SiteFolderError(
                f"{path}: no sheet {sheet!r}; it has {', '.join(book.sheetnames)}"
            )
        chosen = book[sheet] if sheet is not None else book.worksheets[0]
        return [[_cell(value) for value in row] for row in chosen.iter_rows(values_only=True)]
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
