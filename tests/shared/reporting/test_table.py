"""The table in the terminal."""

import io

import pytest
from rich.console import Console

from shared.reporting.table import results_table
from shared.results import Results
from tests.shared.reporting.content import estimates, report_content, with_rows


def shown(results: Results, *, width: int = 100, synthetic: bool = False) -> str:
    file = io.StringIO()
    console = Console(width=width, file=file, force_terminal=False)
    console.print(results_table(results, synthetic=synthetic))
    return file.getvalue()


def test_the_table_fits_in_100_columns() -> None:
    text = shown(report_content().results, synthetic=True)
    assert "0.730 (0.65–0.80)" in text
    assert "Synthetic" in text
    assert "n = 80" in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 100


def test_the_mean_over_sites_and_every_site_have_a_row() -> None:
    lines = shown(report_content().results).splitlines()
    starts = [line.split()[0] for line in lines if line.strip()]
    assert starts.count("local") == 2
    assert starts.count("local/site_5") == 2


def test_the_federation_is_shown_from_rows_too_where_its_rivals_are_judged_by_them() -> None:
    results = report_content().results
    assert "from rows" not in shown(results)
    text = shown(with_rows(results, 0.811))
    assert text.count("0.811 (0.73–0.88)") == 4
    assert text.count("  from rows") == 1
    assert "judged as its rivals are" in text
    assert max(map(len, text.splitlines())) <= 100


def test_what_cannot_be_had_is_a_dash() -> None:
    row = next(line for line in shown({"fedavg": estimates(None)}).splitlines() if "fedavg" in line)
    assert row.split() == ["fedavg", "–", "–", "–", "–"]


@pytest.mark.parametrize("name", ["x" * 255, "[b]x[/]", "\x1b[2Jx\n\udcff"])
def test_a_sites_name_neither_breaks_the_table_nor_steers_the_terminal(name: str) -> None:
    text = shown({"fedavg": estimates(0.7), f"local/{name}": estimates(0.6)})
    assert text.count("0.600 (0.52–0.67)") == 2
    assert "\x1b" not in text
    text.encode("utf-8")
    if name.startswith("[b]"):
        assert "local/[b]x[/]" in text
