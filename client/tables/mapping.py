"""What a foreign table's columns mean: a small file that a person writes once.

``configs/tables`` has those of public tables, which are examples for others.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from client.tables.numbers import Decimal, read_number
from shared.config import ConfigurationError, build
from shared.tasks import SurvivalTask

Unit = Literal["days", "weeks", "months", "years"]
# A month is the mean one of the Gregorian calendar.
DAYS_A_MONTH = 30.436875
MONTHS: dict[Unit, float] = {
    "days": 1 / DAYS_A_MONTH,
    "weeks": 7 / DAYS_A_MONTH,
    "months": 1.0,
    "years": 12.0,
}

# Endpoints that are not recurrence-free survival, by the names they go by.
_NOT_RFS = re.compile(
    r"(?<![a-z])(?:ttp|pfs|pfi|ttr)(?![a-z])|progress|dss|disease.?specific", re.I
)
_MICRO = re.compile(r"micro|mvi", re.I)
_MACRO = re.compile(r"macro|thromb|pvtt|gross", re.I)
_INVASION = re.compile(r"vascular|invasion", re.I)


@dataclass(frozen=True)
class BinaryColumn:
    """A column that says yes or no.

    Attributes
    ----------
    column : str
    positive, negative : tuple of str
        Codes; ``1`` and ``1.0`` are the same.
    dropped : dict of str to str
        Codes that mean something else, each with its reason: the patient's label is unknown.
    note : str
        Written down beside what was mapped.

    Raises
    ------
    ValueError
        A code has two meanings.
    """

    column: str
    positive: tuple[str, ...]
    negative: tuple[str, ...]
    dropped: dict[str, str] = field(default_factory=dict)
    note: str = ""

    def __post_init__(self) -> None:
        _check_codes(positive=self.positive, negative=self.negative, dropped=tuple(self.dropped))


@dataclass(frozen=True)
class SurvivalColumns:
    """Two columns that make one survival time.

    Attributes
    ----------
    time : str
    unit : str
    event : str
    happened, censored : tuple of str
        Codes of the event column.
    missing : tuple of str
        Numbers of the time column that mean unknown.
    note : str

    Raises
    ------
    ValueError
        A code has two meanings.
    """

    time: str
    unit: Unit
    event: str
    happened: tuple[str, ...] = ("1",)
    censored: tuple[str, ...] = ("0",)
    missing: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        _check_codes(happened=self.happened, censored=self.censored)


@dataclass(frozen=True)
class TableMapping:
    """How a table becomes ``clinical.csv``.

    Attributes
    ----------
    title : str
    patient_id : str
    mvi : BinaryColumn or None
    rfs, os : SurvivalColumns or None
    missing : tuple of str
        Codes for unknown, beside those that ``clinical.csv`` knows; one that a label names has that
        meaning there. A number is no time for that: 99 may be months.
    decimal : str or None
        ``"."`` or ``","``: how to read 1.095 or 1,095 where the rest of its column does not tell
        thousands from decimals; by default such a time is left out.
    sheet : str or None
    never : dict of str to str
        Columns that look like a label and are none, each with its reason; written down.

    Raises
    ------
    ValueError
        A column is called what it is not: macrovascular invasion is not MVI, time to progression
        is not RFS.
    """

    title: str
    patient_id: str
    mvi: BinaryColumn | None = None
    rfs: SurvivalColumns | None = None
    os: SurvivalColumns | None = None
    missing: tuple[str, ...] = ()
    decimal: Decimal | None = None
    sheet: str | None = None
    never: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rfs is not None:
            for column in (self.rfs.time, self.rfs.event):
                if _NOT_RFS.search(column):
                    raise ValueError(
                        f"rfs: {column!r} is not recurrence-free survival: time to progression and"
                        " progression-free survival count other events; leave rfs out"
                    )
        if self.mvi is not None:
            _check_mvi(self.mvi)
        for used in self.columns():
            if used in self.never:
                raise ValueError(f"{used!r} is used and listed under never")

    def columns(self) -> Iterator[str]:
        """Yield every column that is used."""
        yield self.patient_id
        if self.mvi is not None:
            yield self.mvi.column
        for survival in self.survival().values():
            yield from (survival.time, survival.event)

    def survival(self) -> dict[SurvivalTask, SurvivalColumns]:
        """Return the columns of every survival time that the table has."""
        pairs: dict[SurvivalTask, SurvivalColumns | None] = {"rfs": self.rfs, "os": self.os}
        return {task: columns for task, columns in pairs.items() if columns is not None}


def code_of(text: str) -> str:
    """Return a code without case, and a whole number without its decimals."""
    number = read_number(text, ".")
    if number is not None and number == number and abs(number) < 1e9 and number == int(number):
        return str(int(number))
    return text.strip().lower()


def codes_of(texts: Iterable[str]) -> frozenset[str]:
    """Return codes as `code_of` has them."""
    return frozenset(map(code_of, texts))


def _check_codes(**meanings: tuple[str, ...]) -> None:
    for (one, codes), (other, others) in combinations(meanings.items(), 2):
        both = sorted(codes_of(codes) & codes_of(others))
        if both:
            raise ValueError(
                f"{', '.join(map(repr, both))} under both {one} and {other}: a code has one meaning"
                f" ({one} is {list(codes)}, {other} is {list(others)})"
            )


def _check_mvi(mvi: BinaryColumn) -> None:
    macro = [code for code in mvi.positive if _MACRO.search(code)]
    if macro or (_MACRO.search(mvi.column) and not _MICRO.search(mvi.column)):
        raise ValueError(
            f"mvi: {(macro or [mvi.column])[0]!r} is macrovascular invasion, which is not MVI"
        )
    told = _MICRO.search(mvi.column) or all(map(_MICRO.search, mvi.positive))
    if _INVASION.search(mvi.column) and not told:
        raise ValueError(
            f"mvi: {mvi.column!r} does not say microvascular, neither in its name nor in its codes:"
            " vascular invasion seen on images is not MVI"
        )


def read_mapping(path: Path) -> TableMapping:
    """Read a mapping file.

    Raises
    ------
    ConfigurationError
        Absent, a wrong value, or a label that is called what it is not.
    """
    if not path.is_file():
        raise ConfigurationError(f"{path}: no such mapping; configs/tables has examples")
    try:
        values: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except (OmegaConfBaseException, YAMLError, ValueError, OSError) as error:
        why = " ".join(str(error).split())
        raise ConfigurationError(
            f"{path}: not YAML in UTF-8 like configs/tables/example.yaml: {why}"
        ) from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path}: not a mapping of columns")
    return build(TableMapping, values, where=str(path))
