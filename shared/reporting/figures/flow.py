"""How many patients came to which use: the flow of the cohorts."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from shared.reporting import drawing
from shared.reporting.content import SiteSummary
from shared.reporting.palette import BAND, BLUE, GREY, INK, ORANGE, PAPER
from shared.reporting.svg import inline_svg

_WIDE, _TALL = 9.0, 2.55
_BOX_TALL = 0.56


@dataclass(frozen=True)
class Flow:
    """Patients of the training institutions, or of the held-out one, from found to used.

    A number that is None is not known: sites with too few patients do not tell theirs.

    Attributes
    ----------
    entries_in_part : int
        Entries of patients that are used without a phase or a label.
    """

    institutions: int
    found: int | None
    excluded: int | None
    used: int | None
    training: int | None
    internal: int | None
    entries_in_part: int | None


def flow_of(sites: Sequence[SiteSummary], role: str) -> Flow:
    """Add up the institutions of a role."""
    chosen = [site for site in sites if site.role == role]
    excluded = _total([site.excluded if site.set_aside else 0 for site in chosen])
    used = _total([site.patients for site in chosen])
    found = None if used is None or excluded is None else used + excluded
    entries = _total([count for site in chosen for count in site.set_aside.values()])
    return Flow(
        institutions=len(chosen),
        found=found,
        excluded=excluded,
        used=used,
        training=_total([site.training for site in chosen]),
        internal=_total([site.internal for site in chosen]),
        entries_in_part=None if entries is None or excluded is None else max(0, entries - excluded),
    )


def flow(sites: Sequence[SiteSummary]) -> Markup:
    """Draw who was found, set aside, trained on and judged on."""
    inside, outside = flow_of(sites, "training"), flow_of(sites, "external")
    with drawing.house_style():
        figure, (axis,) = drawing.new_figure(_WIDE, _TALL)
        axis.set_axis_off()
        axis.set_xlim(0, _WIDE)
        axis.set_ylim(-0.05, _TALL)
        _column(axis, inside, 0.05, _places(inside.institutions), (2.15, 2.15))
        _box(axis, 0.05, 0.02, 2.0, f"Training\n{_told(inside.training)}", BLUE)
        _box(axis, 2.3, 0.02, 2.0, f"Internal validation\n{_told(inside.internal)}", BLUE)
        for x in (1.05, 3.3):
            _arrow(axis, (1.05, 0.95), (x, 0.62))
        if outside.institutions:
            _column(axis, outside, 4.9, "Held-out institution", (2.15, 1.75))
            _box(axis, 4.9, 0.02, 2.0, f"External validation\n{_told(outside.used)}", ORANGE)
            _arrow(axis, (5.9, 0.95), (5.9, 0.62))
        return inline_svg(figure, "flow", _description(inside, outside))


def _places(institutions: int) -> str:
    return f"{institutions} training institution{'' if institutions == 1 else 's'}"


def _column(axis: Axes, flow: Flow, left: float, title: str, aside: tuple[float, float]) -> None:
    """Draw the way from found to used, and who leaves it."""
    _box(axis, left, 1.90, 2.0, f"{title}\n{_found(flow.found)}", GREY)
    _box(axis, left, 0.96, 2.0, f"Used\n{_told(flow.used)}", GREY)
    _arrow(axis, (left + 1.0, 1.90), (left + 1.0, 1.54))
    offset, width = aside
    in_part = f"\n{flow.entries_in_part} used in part" if flow.entries_in_part else ""
    _box(
        axis, left + offset, 1.42, width, f"Set aside\n{_told(flow.excluded)}{in_part}", GREY, True
    )
    _arrow(axis, (left + 1.0, 1.71), (left + offset, 1.71))


def _box(
    axis: Axes, x: float, y: float, width: float, text: str, colour: str, dashed: bool = False
) -> None:
    axis.add_patch(
        FancyBboxPatch(
            (x, y),
            width,
            _BOX_TALL,
            boxstyle="round,pad=0.02,rounding_size=0.06",
            facecolor=PAPER if dashed else BAND,
            edgecolor=colour,
            lw=1.2,
            ls="--" if dashed else "-",
        )
    )
    axis.text(x + width / 2, y + _BOX_TALL / 2, text, ha="center", va="center", color=INK)


def _arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axis.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": GREY, "lw": 1.2})


def _total(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _found(count: int | None) -> str:
    return _told(count) if count is None else f"{_told(count)} found"


def _told(count: int | None) -> str:
    return "number not told" if count is None else f"{count} patient{'' if count == 1 else 's'}"


def _description(inside: Flow, outside: Flow) -> str:
    told = (
        f"Flow of patients. {_places(inside.institutions)}: {_told(inside.found)} found,"
        f" {_told(inside.excluded)} set aside, {_told(inside.used)} used:"
        f" {_told(inside.training)} for training, {_told(inside.internal)} for internal validation."
    )
    if outside.institutions:
        told += (
            f" Held-out institution: {_told(outside.found)} found, {_told(outside.excluded)} set"
            f" aside, {_told(outside.used)} for external validation."
        )
    return told
