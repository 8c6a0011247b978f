"""How training went, round by round."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from shared.reporting import drawing
from shared.reporting.names import TASK_SHORT_NAMES
from shared.reporting.palette import BLUE, CYCLE, DASHES, GREEN, GREY, ORANGE
from shared.reporting.svg import inline_svg
from shared.tasks import Task

# One look a task in every panel.
_TASK_LOOK: dict[Task, tuple[str, str, str]] = {
    "os": (BLUE, "-", "o"),
    "rfs": (ORANGE, "--", "s"),
    "mvi": (GREEN, "-.", "^"),
}
_METRICS: dict[Task, tuple[str, str]] = {
    "os": ("os_c_index", "OS C-index"),
    "rfs": ("rfs_c_index", "RFS C-index"),
    "mvi": ("mvi_auc", "MVI AUC"),
}
_MOST_MARKED_ROUNDS = 15
_MOST_NAMED_SITES = 10
Point = tuple[int, float]
Records = Sequence[Mapping[str, Any]]


def convergence(rounds: Records, best_round: int | None) -> Markup:
    """Draw losses and metrics on internal validation, and every site's training loss."""
    with drawing.house_style():
        figure, axes = drawing.new_figure(9, 3.1, columns=3)
        losses, metrics, sites = axes
        for task, look in _TASK_LOOK.items():
            _line(losses, _judged(rounds, f"{task}_loss"), TASK_SHORT_NAMES[task], look)
            key, name = _METRICS[task]
            _line(metrics, _judged(rounds, key), name, look)
        _site_lines(sites, rounds)
        losses.set_title("Loss on validation")
        metrics.set_title("Measures on validation")
        sites.set_title("Training loss by institution")
        if metrics.lines:
            metrics.axhline(0.5, color=GREY, ls=":", lw=1)
        for axis in axes:
            _finish(axis, best_round)
        return inline_svg(figure, "convergence", _description(rounds, best_round))


def _judged(rounds: Records, key: str) -> list[Point]:
    values = [(record.get("round", 0), (record.get("metrics") or {}).get(key)) for record in rounds]
    return [(number, value) for number, value in values if value is not None]


def _line(axis: Axes, points: Sequence[Point], label: str, look: tuple[str, str, str]) -> None:
    if not points:
        return
    colour, dash, marker = look
    axis.plot(
        *zip(*points, strict=True),
        color=colour,
        ls=dash,
        marker=marker if len(points) <= _MOST_MARKED_ROUNDS else "",
        ms=3.5,
        label=label,
    )


def _site_lines(axis: Axes, rounds: Records) -> None:
    names = sorted({name for record in rounds for name in record.get("sites") or {}})
    for index, name in enumerate(names):
        points = [
            (record["round"], loss)
            for record in rounds
            if (loss := (record.get("sites") or {}).get(name, {}).get("loss")) is not None
        ]
        look = (CYCLE[index % len(CYCLE)], DASHES[index % len(DASHES)], "")
        named = len(names) <= _MOST_NAMED_SITES
        _line(axis, points, drawing.legend_label(name) if named else "_", look)


def _finish(axis: Axes, best_round: int | None) -> None:
    axis.set_xlabel("Round")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    if not axis.lines:
        axis.text(0.5, 0.5, "not available", ha="center", color=GREY, transform=axis.transAxes)
        return
    if best_round is not None:
        axis.axvline(best_round, color=GREY, ls="--", lw=1.1, zorder=1)
        axis.set_xlabel(f"Round (kept: {best_round})")
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=4.2, ncols=2)


def _description(rounds: Records, best_round: int | None) -> str:
    told = f"Losses and measures over {max(len(rounds) - 1, 0)} rounds."
    kept = next((r for r in rounds if r.get("round") == best_round), None)
    if best_round is None or kept is None:
        return told
    values = {name: (kept.get("metrics") or {}).get(key) for key, name in _METRICS.values()}
    known = [f"{name} {value:.3f}" for name, value in values.items() if value is not None]
    return f"{told} Round {best_round} was kept: {', '.join(known) or 'no measure known'}."
