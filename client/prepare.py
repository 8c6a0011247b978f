"""Prepare a site and look at it: ``python client/prepare.py site=FILE``.

Reads what the site's file names (``configs/site.yaml`` is an example), prepares every patient that
is new or changed, and writes beside a table in the terminal

``prepare.html``   the page for the site's own people: usable patients, what was set aside and
                   why, a contact sheet of every region, distributions
``set_aside.csv``  every patient not used, or used only in part, and why
``series.csv``     every series of mixed folders, and what became of it
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from client.clinical import SiteFolderError
from client.cohort import write_set_aside
from client.command import arguments, keep_private, read_words, writing_into
from client.preparation.content import SiteContent, gather, is_synthetic
from client.preparation.page import write_page
from client.preparation.table import prepared_table
from client.series.rows import write_series
from client.site_file import prepare_own, read_site_file
from shared.config import ConfigurationError, build

USAGE = "usage: prepare.py site=FILE [output_dir=DIR]"


@dataclass(frozen=True)
class PrepareSettings:
    """Which site to prepare, and where its page goes.

    Attributes
    ----------
    site : Path
        The site's file.
    output_dir : Path or None
        By default ``prepared`` beside the cache.
    """

    site: Path
    output_dir: Path | None = None


def prepare(settings: PrepareSettings, console: Console) -> tuple[SiteContent, Path]:
    """Prepare a site; return what its page shows, and the page.

    Raises
    ------
    ConfigurationError
        The site's file is absent or wrong, or the output cannot be written.
    SiteFolderError
        The site's folder or its table cannot be used.
    """
    site = read_site_file(settings.site)
    prepared = prepare_own(site)
    content = gather(prepared, name=site.name, synthetic=is_synthetic(site.folder))
    folder = settings.output_dir or site.cache_dir.parent / "prepared"
    page = folder / "prepare.html"
    with writing_into(folder):
        write_set_aside(prepared.set_aside, folder / "set_aside.csv")
        write_series(prepared.series, folder / "series.csv")
        write_page(content, page)
    kept = len(prepared.cases) - prepared.fresh
    console.print(prepared_table(content))
    console.print(f"{prepared.fresh} prepared now, {kept} unchanged", highlight=False)
    return content, page


def main() -> None:
    """Prepare the site that the command line names."""
    given = arguments(__doc__)
    keep_private()
    console = Console()
    try:
        words = read_words(given, "prepare", USAGE)
        content, page = prepare(build(PrepareSettings, words, where="prepare"), console)
    except (ConfigurationError, SiteFolderError) as error:
        sys.exit(f"Cannot prepare: {error}")
    looked_at = sum(bool(picture.remarks) for picture in content.pictures)
    console.print(
        f"{content.unused} set aside, {looked_at} to look at. Page: {page}",
        highlight=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
