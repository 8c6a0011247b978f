"""Bring a table or a folder of others to the data contract.

``python client/import_table.py site=DIR mapping=FILE table=FILE`` writes ``clinical.csv``;
``python client/import_table.py site=DIR waw_tace=DIR`` links scans and joins masks. Both write
``import.json``: what was mapped, what was dropped, and why.
"""

import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from client.clinical import SiteFolderError
from client.command import CONFIGS, arguments, keep_private, read_words
from client.tables.convert import ACCOUNT, convert, write_converted
from client.tables.mapping import read_mapping
from client.tables.spreadsheet import read_spreadsheet
from client.tables.waw_tace import link_waw_tace
from shared.config import ConfigurationError, build

USAGE = "usage: import_table.py site=DIR mapping=FILE table=FILE, or site=DIR waw_tace=DIR"


@dataclass(frozen=True)
class ImportSettings:
    """What to bring where; either a table with its mapping, or a folder."""

    site: Path
    mapping: Path | None = None
    table: Path | None = None
    waw_tace: Path | None = None

    def __post_init__(self) -> None:
        pair = (self.mapping is not None, self.table is not None)
        if pair != (self.waw_tace is None,) * 2:
            raise ValueError(f"give a mapping and a table, or waw_tace; {USAGE}")


def import_table(settings: ImportSettings) -> list[str]:
    """Bring a table or a folder to the contract; return what was done, in lines.

    Raises
    ------
    ConfigurationError
        The mapping is wrong, or calls a label what it is not.
    SiteFolderError
        The source cannot be read, or the site holds what would be overwritten.
    """
    if settings.waw_tace is not None:
        brought = link_waw_tace(settings.waw_tace, settings.site)
        masks = sum(bool(one.masks) for one in brought)
        return [f"{len(brought)} patients linked, {masks} with a mask"]
    return _import_table(settings.site, settings.mapping or Path(), settings.table or Path())


def _import_table(site: Path, mapping_file: Path, table: Path) -> list[str]:
    mapping = read_mapping(_mapping_file(mapping_file))
    sheet = mapping.sheet if table.suffix.lower() == ".xlsx" else None
    converted = convert(read_spreadsheet(table, sheet), mapping)
    write_converted(converted, site, source=table.name, title=mapping.title)
    lines = [f"{len(converted.rows)} patients"]
    names = {"mvi": "mvi", "rfs_months": "rfs", "os_months": "os"}
    for column, count in converted.known.items():
        source = converted.mapped.get(names[column], "nothing in this table")
        lines.append(f"{names[column]}: {count} known, from {source}")
    lines += [f"not taken: {column}: {why}" for column, why in converted.never.items()]
    reasons = Counter((one.column, one.reason) for one in converted.dropped)
    lines += [f"dropped: {n} x {column}: {why}" for (column, why), n in reasons.items()]
    lines += [f"look at: {len(names)} x {why}" for why, names in converted.doubts.items()]
    return lines


def _mapping_file(mapping: Path) -> Path:
    """Return a mapping's file; a bare name is one of ``configs/tables``."""
    known = CONFIGS / "tables" / f"{mapping}.yaml"
    return known if not mapping.is_file() and known.is_file() else mapping


def main() -> None:
    """Bring what the command line names to the contract."""
    given = arguments(__doc__)
    keep_private()
    try:
        words = read_words(given, "import_table", USAGE)
        settings = build(ImportSettings, words, where="import_table")
        lines = import_table(settings)
    except (ConfigurationError, SiteFolderError) as error:
        sys.exit(f"Cannot import: {error}")
    print("\n".join(lines))
    print(f"See {settings.site / ACCOUNT}")


if __name__ == "__main__":
    main()
