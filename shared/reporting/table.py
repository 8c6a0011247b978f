"""The results in the terminal."""

from rich import box
from rich.markup import escape
from rich.table import Table

from shared.reporting.estimates import find, from_rows, patients
from shared.reporting.names import METRIC_NAMES, is_one_site, shorten
from shared.results import Cohort, Estimate, Results

SHOWN: tuple[Cohort, ...] = ("internal", "external")
_TITLES = {"internal": "Internal", "external": "External"}
_MOST_NAME = 24
_FROM_ROWS = "  from rows"
_NOT_FEDERATED = ("oracle", "pooled", "radiomics", "local")


def results_table(results: Results, *, synthetic: bool = False) -> Table:
    """Return the results as a table of 100 columns: internal validation, then the external site.

    Parameters
    ----------
    results : Results
    synthetic : bool
        Whether the title must say that the patients are synthetic.
    """
    title = "Synthetic patients: no clinical claim" if synthetic else "Results"
    table = Table(title=title, caption=_caption(results), box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("Method", overflow="fold")
    for name in METRIC_NAMES.values():
        table.add_column(name, justify="right", no_wrap=True)
    for cohort in SHOWN:
        table.add_section()
        table.add_row(
            f"[bold]{_TITLES[cohort]}[/]",
            *(f"[bold]n = {patients(results, cohort, metric)}[/]" for metric in METRIC_NAMES),
        )
        for method in results:
            cells = [_cell(find(results, method, cohort, metric)) for metric in METRIC_NAMES]
            table.add_row(escape(shorten(method, _MOST_NAME)), *cells, style=_style(method))
            if rows := from_rows(results, method, cohort):
                table.add_row(_FROM_ROWS, *map(_cell, rows), style=_style(method))
    return table


# The name that the simulation calls it by, which has a `results_table` of its own.
terminal_table = results_table


def _caption(results: Results) -> str:
    caption = "value (95% interval)"
    if any(from_rows(results, method, cohort) for method in results for cohort in SHOWN):
        caption += (
            "; from rows: judged as its rivals are. A federation is told sums,\n"
            "of which sites keep back those of few patients"
        )
    return caption


def _cell(estimate: Estimate | None) -> str:
    if estimate is None or estimate.value is None:
        return "–"
    if estimate.ci95 is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.ci95[0]:.2f}–{estimate.ci95[1]:.2f})"


def _style(method: str) -> str:
    if is_one_site(method):
        return "dim"
    return "" if method in _NOT_FEDERATED else "bold green"
