"""Calibration: whether what is predicted comes true as often as predicted."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator, PercentFormatter

from shared.reporting import drawing
from shared.reporting.content import CalibrationCurve
from shared.reporting.estimates import percent_text
from shared.reporting.names import COHORT_NAMES
from shared.reporting.palette import BLUE, GREY, ORANGE, PAPER
from shared.reporting.svg import inline_svg
from shared.results import Cohort
from shared.tasks import TASKS

_LOOK: dict[Cohort, tuple[str, str, str]] = {
    "training": (ORANGE, ":", "^"),
    "internal": (GREY, "--", "s"),
    "external": (BLUE, "-", "o"),
}
# A mark's area says how many patients stand behind it, from few to many.
_AREAS = (14.0, 90.0)
_COLUMNS = 3
Key = tuple[str, float | None]


def calibration(curves: Sequence[CalibrationCurve]) -> Markup:
    """Draw one panel a task and horizon, in it one curve a cohort."""
    panels = _panels(curves)
    columns = min(_COLUMNS, max(len(panels), 1))
    rows = -(-len(panels) // columns) or 1
    most = max((int(c.patients.max()) for c in curves if len(c.patients)), default=1)
    with drawing.house_style():
        figure, axes = drawing.new_figure(9, 0.45 + 2.85 * rows, columns=columns, rows=rows)
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        for axis, (key, found) in zip(axes, panels.items(), strict=False):
            _panel(axis, key, found, most)
        handles = {
            label: handle
            for axis in axes
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
        }
        if handles:
            figure.legend(
                handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles)
            )
        return inline_svg(figure, "calibration", _description(panels))


def _panels(curves: Sequence[CalibrationCurve]) -> dict[Key, list[CalibrationCurve]]:
    keys = sorted(
        {(c.task, c.horizon_months) for c in curves},
        key=lambda key: (-TASKS.index(key[0]), key[1] or 0.0),
    )
    return {
        (task, horizon): [c for c in curves if (c.task, c.horizon_months) == (task, horizon)]
        for task, horizon in keys
    }


def _panel(axis: Axes, key: Key, curves: Sequence[CalibrationCurve], most: int) -> None:
    axis.plot([0, 1], [0, 1], color=GREY, ls=":", lw=1)
    for curve in curves:
        colour, dash, marker = _LOOK[curve.cohort]
        order = np.argsort(curve.predicted, kind="stable")
        x, y, n = (v[order] for v in (curve.predicted, curve.observed, curve.patients))
        # Weights for censoring can carry the share of a small group beyond 1.
        y = np.minimum(y, 1.0)
        axis.plot(x, y, color=colour, ls=dash, lw=0.9, alpha=0.7)
        low, high = _AREAS
        axis.scatter(
            x,
            y,
            s=low + (high - low) * n / most,
            color=colour,
            marker=marker,
            edgecolors=PAPER,
            linewidths=0.8,
            zorder=4,
            label=COHORT_NAMES[curve.cohort],
        )
    axis.set_title(_title(key))
    axis.set_xlim(-0.03, 1.03)
    axis.set_ylim(-0.03, 1.03)
    axis.set_aspect("equal")
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_formatter(PercentFormatter(1.0))
        one.set_major_locator(MultipleLocator(0.25))
    axis.set_xlabel("Predicted")
    axis.set_ylabel("Observed")


def _title(key: Key) -> str:
    task, horizon = key
    if horizon is None:
        return "MVI"
    event = "Death" if task == "os" else "RFS event"
    return f"{event} by {horizon:g} months"


def _description(panels: dict[Key, list[CalibrationCurve]]) -> str:
    told = []
    for key, curves in panels.items():
        for curve in curves:
            points = [
                f"{percent_text(predicted)} predicted,"
                f" {percent_text(min(observed, 1))} observed (n = {n})"
                for predicted, observed, n in zip(
                    curve.predicted, curve.observed, curve.patients, strict=True
                )
            ]
            cohort = COHORT_NAMES[curve.cohort].lower()
            told.append(f"{_title(key)}, {cohort}: {', '.join(points) or 'no patient'}.")
    return f"Calibration curves. {' '.join(told)}"
