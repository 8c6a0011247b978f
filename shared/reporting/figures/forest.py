"""Forest plots: values with intervals, one row a method or a site, one panel a metric."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from shared.reporting import drawing
from shared.reporting.estimates import (
    NOT_AVAILABLE,
    find,
    judged,
    single_sites,
    value_text,
    whole_federation,
)
from shared.reporting.names import COHORT_NAMES, METRIC_NAMES, method_name, shorten, site_of
from shared.reporting.palette import BAND, BLUE, GREY, ORANGE, PAPER
from shared.reporting.svg import inline_svg
from shared.results import METRICS, Cohort, Estimate, Metric, Results

WIDTH_INCHES, ROW_INCHES, REST_INCHES = 9.0, 0.4, 0.85
CHANCE = 0.5
USUAL_LOWEST = 0.4
Rows = Mapping[str, Mapping[Metric, Estimate | None]]


@dataclass(frozen=True)
class Series:
    """One mark in every row: what it stands for, how it looks, and its values by row."""

    label: str
    colour: str
    marker: str
    filled: bool
    rows: Rows
    numbered: bool = False


def comparison(results: Results, strategy: str) -> Markup:
    """Draw every method inside the institutions and outside, the federated one on a band."""
    names = {method: method_name(method) for method in whole_federation(results)}
    inside = Series("Internal validation", GREY, "s", False, _rows(results, names, "internal"))
    outside = Series("External site", BLUE, "o", True, _rows(results, names, "external"), True)
    cohort: Cohort = "external" if judged(results, ["external"]) else "internal"
    series = [inside, outside] if cohort == "external" else [inside]
    with drawing.house_style():
        figure, axes = _forest(names, series)
        for row, (method, label) in enumerate(zip(names, axes[0].get_yticklabels(), strict=True)):
            if method == strategy:
                label.set_fontweight("bold")
                for axis in axes:
                    axis.axhspan(row - 0.5, row + 0.5, color=BAND, lw=0, zorder=0)
        _legend(figure, axes)
    told = [
        f"{name}: {value_text(find(results, method, cohort, 'os_c_index'))}"
        for method, name in names.items()
    ]
    description = (
        f"Forest plot of four measures for every method: {', '.join(one.label for one in series)}."
        f" OS C-index, {COHORT_NAMES[cohort].lower()}: {'; '.join(told)}."
        " All values are in the results table."
    )
    return inline_svg(figure, "comparison", description)


def alone_and_together(results: Results, strategy: str) -> Markup:
    """Draw what each site reaches alone at the external site, against the federated model."""
    names = {method: site_of(method) for method in single_sites(results)}
    alone = Series("Alone", ORANGE, "D", False, _rows(results, names, "external"), True)
    with drawing.house_style():
        figure, axes = _forest(names, [alone])
        for axis, metric in zip(axes, METRICS, strict=True):
            together = find(results, strategy, "external", metric)
            if together is None or together.value is None:
                continue
            axis.axvline(together.value, color=BLUE, label="Federated")
            if together.ci95 is not None:
                label = "Federated, 95% interval"
                axis.axvspan(*together.ci95, color=BAND, lw=0, zorder=0, label=label)
        _legend(figure, axes)
    description = (
        f"Forest plot of the models of {len(names)} institutions that trained alone, at the"
        " external site, against a line for the federated model. All values are in the table"
        " below."
    )
    return inline_svg(figure, "alone", description)


def by_site(estimates: Mapping[str, Mapping[Metric, Estimate]], strategy: str) -> Markup:
    """Draw the federated model's results at every institution."""
    rows: Rows = {name: dict(values) for name, values in estimates.items()}
    series = Series(method_name(strategy), BLUE, "o", True, rows, True)
    with drawing.house_style():
        figure, axes = _forest({name: name for name in estimates}, [series])
        _legend(figure, axes)
    description = (
        f"Forest plot of the federated model at each of {len(rows)} institutions. All values are"
        " in the table below."
    )
    return inline_svg(figure, "by-site", description)


def _rows(results: Results, methods: Iterable[str], cohort: Cohort) -> Rows:
    return {
        method: {metric: find(results, method, cohort, metric) for metric in METRICS}
        for method in methods
    }


def _forest(names: Mapping[str, str], series: Sequence[Series]) -> tuple[Figure, list[Axes]]:
    """Draw one panel a metric; rows run downwards in the order of ``names``."""
    height = REST_INCHES + ROW_INCHES * max(len(names), 1)
    figure, axes = drawing.new_figure(WIDTH_INCHES, height, columns=len(METRICS))
    lowest = _lowest(series)
    for axis, metric in zip(axes, METRICS, strict=True):
        for one, offset in zip(series, _offsets(len(series)), strict=True):
            for row, key in enumerate(names):
                _mark(axis, one.rows[key].get(metric), row + offset, one)
        if metric != "mvi_f1":
            axis.axvline(CHANCE, color=GREY, ls=":", lw=1)
        axis.set_title(METRIC_NAMES[metric])
        axis.set_xlim(lowest, 1.03)
        # Without the lowest number, which would touch the next panel's highest.
        axis.xaxis.set_major_locator(MaxNLocator(nbins=4, prune="lower"))
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.set_yticks(range(len(names)), [])
        axis.tick_params(axis="y", length=0)
        axis.spines["left"].set_visible(False)
        axis.grid(axis="y", visible=False)
    axes[0].set_yticklabels([shorten(name, 30) for name in names.values()])
    return figure, axes


def _mark(axis: Axes, estimate: Estimate | None, height: float, series: Series) -> None:
    """Draw one value with its interval; what cannot be had says so in its row."""
    if estimate is None or estimate.value is None:
        if series.numbered:
            axis.annotate(
                NOT_AVAILABLE,
                (0.97, height),
                xycoords=("axes fraction", "data"),
                ha="right",
                va="center",
                fontsize=7.5,
                color=GREY,
            )
        return
    if estimate.ci95 is not None:
        axis.plot(estimate.ci95, [height] * 2, color=series.colour, lw=1.5, solid_capstyle="butt")
    axis.plot(
        estimate.value,
        height,
        series.marker,
        color=series.colour,
        mfc=series.colour if series.filled else PAPER,
        ms=5.5,
        label=series.label,
    )
    if series.numbered:
        axis.annotate(
            f"{estimate.value:.2f}",
            (estimate.value, height),
            xytext=(0, -4.5),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=7.5,
            color=series.colour,
            # Lines behind the number fade.
            bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.7, "pad": 0.3},
        )


def _offsets(series: int) -> list[float]:
    """Return each series' place within a row, so that marks do not hide each other."""
    return [-0.08] if series == 1 else [-0.24, 0.08]


def _lowest(series: Sequence[Series]) -> float:
    estimates = [e for one in series for row in one.rows.values() for e in row.values()]
    ends = [e.ci95[0] if e.ci95 else e.value for e in estimates if e and e.value is not None]
    return max(min([USUAL_LOWEST, *(end - 0.04 for end in ends if end is not None)]), -0.04)


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Name every mark once, whichever panel has it."""
    marks = {
        label: handle
        for axis in axes
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    if marks:
        figure.legend(marks.values(), marks.keys(), loc="outside lower center", ncols=len(marks))
