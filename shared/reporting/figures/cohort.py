"""What the institutions look like, and how they differ."""

from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from shared.reporting import drawing
from shared.reporting.content import SiteSummary
from shared.reporting.names import PHASE_NAMES, shorten
from shared.reporting.palette import BLUE, GREEN, GREY, ORANGE
from shared.reporting.svg import inline_svg
from shared.tasks import Phase

# None is a number too small for the site to tell.
Counted = Callable[[SiteSummary], tuple[int | None, int | None]]
_MARKS = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"))
_EVENTS: dict[str, Counted] = {
    "Deaths": lambda site: (site.os_events, site.os_known),
    "RFS events": lambda site: (site.rfs_events, site.rfs_known),
    "MVI": lambda site: (site.mvi_positive, site.mvi_known),
}
_KNOWN: dict[str, Counted] = {
    "OS": lambda site: (site.os_known, site.patients),
    "RFS": lambda site: (site.rfs_known, site.patients),
    "MVI": lambda site: (site.mvi_known, site.patients),
}


def _phase(phase: Phase) -> Counted:
    return lambda site: (site.phases.get(phase, 0), site.patients)


_PHASES = {name.capitalize(): _phase(phase) for phase, name in PHASE_NAMES.items()}


def cohort(sites: Sequence[SiteSummary]) -> Markup:
    """Draw patients, event rates, known outcomes and phases, one row an institution."""
    with drawing.house_style():
        figure, axes = drawing.new_figure(9, 1.35 + 0.36 * max(len(sites), 1), columns=4)
        sizes, events, known, phases = axes
        _patients(sizes, sites)
        _shares(events, sites, _EVENTS)
        _shares(known, sites, _KNOWN)
        _shares(phases, sites, _PHASES)
        titles = ("Patients", "With event, of known", "Outcome known", "Phase present")
        for axis, title in zip(axes, titles, strict=True):
            axis.set_title(title)
            axis.set_yticks(range(len(sites)), [])
            axis.set_ylim(max(len(sites), 1) - 0.4, -0.6)
            axis.tick_params(axis="y", length=0)
            axis.legend(
                loc="upper center",
                bbox_to_anchor=(0.5, 0),
                borderaxespad=2.6,
                ncols=2,
                handlelength=1.2,
                handletextpad=0.4,
                columnspacing=0.8,
            )
        sizes.set_yticklabels([shorten(site.name, 24) for site in sites])
        return inline_svg(figure, "cohort", _description(sites))


def _patients(axis: Axes, sites: Sequence[SiteSummary]) -> None:
    """Draw bars of patients by their use, the total behind each."""
    parts = {
        "Training": (BLUE, 1.0, [s.training or 0 if s.role == "training" else 0 for s in sites]),
        "Validation": (BLUE, 0.4, [s.internal or 0 if s.role == "training" else 0 for s in sites]),
        "External": (GREY, 1.0, [s.patients or 0 if s.role == "external" else 0 for s in sites]),
    }
    left, rows = [0] * len(sites), range(len(sites))
    for label, (colour, alpha, counts) in parts.items():
        axis.barh(rows, counts, 0.62, left, color=colour, alpha=alpha, label=label)
        left = [a + b for a, b in zip(left, counts, strict=True)]
    for row, site in enumerate(sites):
        axis.annotate(
            _count(site.patients),
            (left[row], row),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axis.set_xlim(0, 1.18 * max([*left, 1]))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    axis.grid(axis="y", visible=False)


def _shares(axis: Axes, sites: Sequence[SiteSummary], series: Mapping[str, Counted]) -> None:
    """Draw one mark a series and institution, a little apart, so that none hides another."""
    for (label, counted), (colour, marker), offset in zip(
        series.items(), _MARKS, (-0.22, 0.0, 0.22), strict=True
    ):
        counts = [(row, *counted(site)) for row, site in enumerate(sites)]
        known = [
            (part / whole, row + offset)
            for row, part, whole in counts
            if whole and part is not None
        ]
        shares, rows = zip(*known, strict=True) if known else ((), ())
        axis.plot(shares, rows, marker, color=colour, ms=5, label=label)
    axis.set_xlim(-0.04, 1.04)
    axis.set_xticks([0, 0.5, 1])
    axis.xaxis.set_major_formatter(PercentFormatter(1.0))


def _description(sites: Sequence[SiteSummary]) -> str:
    told = [f"{site.name} {_count(site.patients)}" for site in sites]
    return (
        f"Patients, event rates, known outcomes and phases of {len(sites)} institutions."
        f" Patients: {', '.join(told)}. All values are in the table below."
    )


def _count(value: int | None) -> str:
    return "few" if value is None else str(value)
