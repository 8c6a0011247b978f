"""The results in the terminal."""

from rich.table import Table

from shared.reporting.names import COHORT_NAMES, METRIC_NAMES, in_words
from shared.results import Cohort, Results

SHOWN: tuple[Cohort, ...] = ("internal", "external")


def terminal_table(results: Results, *, synthetic: bool) -> Table:
    """Return the results as a table of 100 columns: internal validation, then the external site.

    Parameters
    ----------
    results : Results
    synthetic : bool
        Whether the title must say that the patients are synthetic.
    """
    title = "Synthetic patients: no clinical claim" if synthetic else "Results"
    table = Table(title=title, caption="value (95% interval)", show_lines=False)
    table.add_column("Method", no_wrap=True)
    for name in METRIC_NAMES.values():
        table.add_column(name, justify="right", no_wrap=True)
    for cohort in SHOWN:
        n = max(
            (row[cohort]["os_c_index"].n for row in results.values() if cohort in row), default=0
        )
        table.add_section()
        table.add_row(f"[bold]{COHORT_NAMES[cohort]}[/] (n = {n})")
        for method, row in results.items():
            cells = [
                in_words(row[cohort][metric]).replace(" to ", "–").replace("not available", "–")
                for metric in METRIC_NAMES
            ]
            table.add_row(f"  {method}", *cells, style=_style(method))
    return table


def _style(method: str) -> str:
    if method.startswith("local/"):
        return "dim"
    return "" if method in ("oracle", "pooled", "radiomics", "local") else "bold green"
