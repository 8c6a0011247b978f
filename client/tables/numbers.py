"""Numbers as spreadsheets write them: 24.5 or 24,5, and 1,095 or 1.095 for a thousand and more."""

import re
from collections.abc import Iterable
from typing import Literal

Decimal = Literal[".", ","]
_GROUPING: dict[Decimal, str] = {".": ",", ",": "."}
# Thousands in groups of three: no other use of that mark is one.
_GROUPED: dict[Decimal, re.Pattern[str]] = {
    ".": re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?"),
    ",": re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d*)?"),
}


class AmbiguousNumberError(ValueError):
    """A number may be a thousand times another, by what its mark means."""


def decimal_of(cells: Iterable[str]) -> Decimal | None:
    """Return the decimal mark of a column: that of the numbers which can have no other.

    None where there are none, or where they contradict each other.
    """
    told = [readings for cell in cells if len(readings := _readings(cell)) == 1]
    marks = {mark for readings in told for mark in readings}
    return marks.pop() if len(marks) == 1 else None


def read_number(text: str, decimal: Decimal | None = None) -> float | None:
    """Return a number, or None where a text is none.

    Parameters
    ----------
    text : str
    decimal : str, optional
        The mark of decimals, where a number could be read in two ways.

    Raises
    ------
    AmbiguousNumberError
        ``1,095`` or ``1.095``, and no `decimal` is given.
    """
    readings = _readings(text)
    if len(readings) < 2:
        return next(iter(readings.values()), None)
    if readings["."] != readings[","] and decimal is None:
        raise AmbiguousNumberError(text)
    return readings[decimal or "."]


def _readings(text: str) -> dict[Decimal, float]:
    """Return what a text can be, by the mark of decimals; one without a mark is the same twice."""
    found: dict[Decimal, float] = {}
    for decimal, grouping in _GROUPING.items():
        if _GROUPED[decimal].fullmatch(text):
            plain = text.replace(grouping, "")
        elif grouping in text:
            continue
        else:
            plain = text
        try:
            found[decimal] = float(plain.replace(decimal, "."))
        except ValueError:
            continue
    return found
