"""The results in the terminal."""

from rich import box
from rich.markup import escape
from rich.table import Table

from shared.reporting.names import METRIC_NAMES
from shared.results import Cohort, Estimate, Results

SHOWN: tuple[Cohort, ...] = ("internal", "external")
_TITLES = {"internal": "Internal", "external": "External"}


def terminal_table(results: Results, *, synthetic: bool) -> Table:
    """Return the results as a table of 100 columns: internal validation, then the external site.

    Parameters
    ----------
    results : Results
    synthetic : bool
        Whether the title must say that the patients are synthetic.
    """
    title = "Synthetic patients: no clinical claim" if synthetic else "Results"
    table = Table(title=title, caption="value (95% interval)", box=box.SIMPLE_HEAD)
    table.add_column("Method", no_wrap=True)
    for name in METRIC_NAMES.values():
        table.add_column(name, justify="right", no_wrap=True)
    for cohort in SHOWN:
        n = max(
            (row[cohort]["os_c_index"].n for row in results.values() if cohort in row), default=0
        )
        table.add_section()
        table.add_row(f"[bold]{_TITLES[cohort]}, n = {n}[/]")
        for method, row in results.items():
            cells = [_cell(row[cohort][metric]) for metric in METRIC_NAMES]
            table.add_row(escape(method), *cells, style=_style(method))
    return table


def _cell(estimate: Estimate) -> str:
    if estimate.value is None:
        return "–"
    if estimate.ci95 is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.ci95[0]:.2f}–{estimate.ci95[1]:.2f})"


def _style(method: str) -> str:
    if method.startswith("local/"):
        return "dim"
    return "" if method in ("oracle", "pooled", "radiomics", "local") else "bold green"
