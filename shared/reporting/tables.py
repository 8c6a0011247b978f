"""The page's tables as text: columns, groups of rows, cells."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from shared.reporting.content import ReportContent, RocCurve, SiteSummary
from shared.reporting.estimates import (
    NOT_AVAILABLE,
    find,
    from_rows,
    interval_text,
    judged,
    patients,
    percent_text,
    single_sites,
    value_text,
    whole_federation,
)
from shared.reporting.names import COHORT_NAMES, METRIC_NAMES, method_name, printable, site_of
from shared.results import COHORTS, METRICS, Cohort, Estimate

_DASH = "–"
_MOST_REASON = 200
_ABOUT_ROWS = (
    " A federation is told sums, of which institutions keep back those of few patients; from rows:"
    " judged as the other methods are, which only a simulation can show."
)
_MEDIANS = ("Follow-up, months", "Tumour, mm", "Tumour, ml", "Pixel, mm", "Slice, mm")


@dataclass(frozen=True)
class Cell:
    """One cell; the note stands small below the text."""

    text: str
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One row with its heading."""

    heading: str
    cells: tuple[Cell, ...]
    strong: bool = False


@dataclass(frozen=True)
class Group:
    """Rows that belong together; without a heading where a table has one group only."""

    rows: tuple[Row, ...]
    heading: str = ""
    cells: tuple[Cell, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table with its caption; the first column holds the rows' headings."""

    name: str
    caption: str
    columns: tuple[str, ...]
    groups: tuple[Group, ...]


def comparison_table(content: ReportContent) -> Table:
    """Return every method that stands for all sites, cohort by cohort, the external one first."""
    methods = whole_federation(content.results)
    return Table(
        name="results",
        caption=(
            "Value and 95% interval of every method. n: patients whose outcome is known; beside a"
            f" value, where fewer counted.{_ABOUT_ROWS if _any_from_rows(content) else ''}"
        ),
        columns=("Method", *METRIC_NAMES.values()),
        groups=tuple(
            _cohort_group(content, cohort, methods, method_name)
            for cohort in judged(content.results, COHORTS[::-1])
        ),
    )


def single_site_table(content: ReportContent) -> Table:
    """Return what each site reaches that trains alone, beside the federated model."""
    methods = [content.run.strategy, *single_sites(content.results)]
    return Table(
        name="alone",
        caption=(
            "Each institution's own model against the federated one, on the same patients."
            " Value and 95% interval."
        ),
        columns=("Trained by", *METRIC_NAMES.values()),
        groups=tuple(
            _cohort_group(content, cohort, methods, _trained_by)
            for cohort in judged(content.results, ("external", "internal"))
        ),
    )


def _trained_by(method: str) -> str:
    site = site_of(method)
    return method_name(method) if site == method else printable(site)


def _cohort_group(
    content: ReportContent, cohort: Cohort, methods: Iterable[str], name: Callable[[str], str]
) -> Group:
    counts = [patients(content.results, cohort, metric) for metric in METRICS]
    return Group(
        heading=COHORT_NAMES[cohort],
        cells=tuple(Cell(f"n = {count}") for count in counts),
        rows=tuple(
            row
            for method in methods
            for row in _method_rows(content, method, cohort, name(method), counts)
        ),
    )


def _method_rows(
    content: ReportContent, method: str, cohort: Cohort, heading: str, counts: Sequence[int]
) -> Iterator[Row]:
    """Yield a method's row, and a second one where it was told sums and rows are known too."""
    strong = method == content.run.strategy
    told = [find(content.results, method, cohort, metric) for metric in METRICS]
    yield Row(heading, _estimates(told, counts), strong)
    if rows := from_rows(content.results, method, cohort):
        yield Row(f"{heading}, from rows", _estimates(rows, counts), strong)


def _estimates(found: Sequence[Estimate | None], counts: Sequence[int]) -> tuple[Cell, ...]:
    return tuple(
        Cell(value_text(estimate), _note(estimate, count))
        for estimate, count in zip(found, counts, strict=True)
    )


def _note(estimate: Estimate | None, count: int) -> str:
    parts = [interval_text(estimate)]
    if estimate is not None and estimate.value is not None and estimate.n < count:
        parts.append(f"n = {estimate.n}")
    return ", ".join(part for part in parts if part)


def _any_from_rows(content: ReportContent) -> bool:
    results = content.results
    return any(from_rows(results, method, cohort) for method in results for cohort in COHORTS)


def by_site_table(content: ReportContent) -> Table:
    """Return the federated model's results at every institution, each with its patients."""
    rows = tuple(
        Row(printable(name), tuple(_with_patients(row.get(metric)) for metric in METRICS))
        for name, row in content.by_site.items()
    )
    return Table(
        name="by-site",
        caption=(
            "The federated model at each institution. Value, 95% interval and n, the patients whose"
            " outcome is known: of few, a value can be 1.000 by luck, and its interval too."
        ),
        columns=("Institution", *METRIC_NAMES.values()),
        groups=(Group(rows),),
    )


def _with_patients(estimate: Estimate | None) -> Cell:
    known = f"n = {estimate.n}" if estimate is not None and estimate.n else ""
    parts = (interval_text(estimate), known)
    return Cell(value_text(estimate), ", ".join(part for part in parts if part))


def threshold_table(curves: Sequence[RocCurve]) -> Table:
    """Return sensitivity and specificity at the frozen threshold."""
    rows = []
    for curve in curves:
        rates = (NOT_AVAILABLE, NOT_AVAILABLE)
        if curve.chosen is not None:
            false_positive_rate, sensitivity = curve.chosen
            rates = (percent_text(sensitivity), percent_text(1 - false_positive_rate))
        rows.append(Row(COHORT_NAMES[curve.cohort], tuple(Cell(rate) for rate in rates)))
    return Table(
        name="threshold",
        caption="MVI at the threshold fixed on internal validation.",
        columns=("Patients", "Sensitivity", "Specificity"),
        groups=(Group(tuple(rows)),),
    )


def site_table(sites: Sequence[SiteSummary], *, medians: bool = True) -> Table:
    """Return the institutions in numbers; columns that no institution knows are left out.

    Parameters
    ----------
    sites : sequence of SiteSummary
    medians : bool
        Whether to show medians: those of a small site's merged histogram are rough, and a
        table of exact means may stand elsewhere.
    """
    columns: dict[str, Callable[[SiteSummary], Cell]] = {
        "Patients": lambda s: Cell(_count(s.patients), _division(s)),
        "MVI": lambda s: _of(s.mvi_positive, s.mvi_known),
        "RFS events": lambda s: _of(s.rfs_events, s.rfs_known),
        "Deaths": lambda s: _of(s.os_events, s.os_known),
        "Follow-up, months": lambda s: _median(s.follow_up_months, 0),
        "Tumour, mm": lambda s: _median(s.tumour_diameter_mm, 0),
        "Tumour, ml": lambda s: _median(s.tumour_volume_ml, 0),
        "Pixel, mm": lambda s: _median(s.in_plane_spacing_mm, 2),
        "Slice, mm": lambda s: _median(s.slice_thickness_mm, 1),
        "Phases A / P / D": lambda s: Cell(
            " / ".join(_count(s.phases.get(k, 0)) for k in ("arterial", "portal_venous", "delayed"))
        ),
    }
    if any(site.excluded is not None for site in sites):
        columns["Not used"] = lambda s: Cell(_DASH if s.excluded is None else str(s.excluded))
    all_cells = {name: [cell(site) for site in sites] for name, cell in columns.items()}
    shown = {
        name: cells
        for name, cells in all_cells.items()
        if any(cell.text != _DASH for cell in cells) and (medians or name not in _MEDIANS)
    }
    rows = tuple(
        Row(_site_name(site), tuple(cells[index] for cells in shown.values()))
        for index, site in enumerate(sites)
    )
    return Table(
        name="sites",
        caption=(
            "Patients used at each institution; events of those whose outcome is known"
            f"{'; medians where a unit is given' if medians else ''}. Phases: arterial, portal"
            " venous, delayed. Few: too few for the institution to tell."
        ),
        columns=("Institution", *shown),
        groups=(Group(rows),),
    )


def set_aside_table(sites: Sequence[SiteSummary]) -> Table:
    """Return the entries of every ``set_aside.csv`` by reason."""
    rows = tuple(
        Row(_reason(reason), (Cell(printable(site.name)), Cell(_count(count))))
        for site in sites
        for reason, count in sorted(site.set_aside.items())
    )
    return Table(
        name="set-aside",
        caption=(
            "Entries by reason. A patient may have several, and may still be used in part;"
            " each institution lists them in its own set_aside.csv. Few: of too few patients to be"
            " told, or kept back lest those be computed."
        ),
        columns=("Reason", "Institution", "Entries"),
        groups=(Group(rows),) if rows else (),
    )


def _site_name(site: SiteSummary) -> str:
    name = printable(site.name)
    return f"{name} (held out)" if site.role == "external" else name


def _division(site: SiteSummary) -> str:
    if site.role == "external":
        return "all held out"
    return f"{_count(site.training)} train, {_count(site.internal)} validate"


def _count(value: int | None) -> str:
    return "few" if value is None else str(value)


def _of(part: int | None, whole: int | None) -> Cell:
    if whole is None:
        return Cell(_count(None))
    if part is None:
        return Cell(f"{_count(None)} of {whole}")
    return Cell(f"{part} of {whole}", percent_text(part / whole)) if whole else Cell("none known")


def _median(value: float | None, digits: int) -> Cell:
    return Cell(_DASH if value is None else f"{value:.{digits}f}")


def _reason(reason: str) -> str:
    reason = printable(reason)
    return reason if len(reason) <= _MOST_REASON else f"{reason[: _MOST_REASON - 1]}…"
