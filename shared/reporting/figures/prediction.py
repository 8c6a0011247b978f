"""One patient's prediction on one A4 sheet; it holds pixels, so PNG."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MultipleLocator, PercentFormatter

from shared.reporting import drawing
from shared.reporting.estimates import percent_text
from shared.reporting.figures.activation import MAP, draw_sample
from shared.reporting.names import TASK_NAMES, TASK_SHORT_NAMES, printable, shorten
from shared.reporting.palette import BLUE, GREEN, GREY, INK, ORANGE, RED
from shared.reporting.prediction import PredictedCurve, PredictionSheet

A4_INCHES = (8.27, 11.69)
_DPI = 120
_LINE_CHARACTERS = 118
# So many fit between the pictures and the foot of the sheet.
_MOST_LINES = 7
_TOLD_MONTHS = (12, 24, 36, 60)
_LOOK = {"rfs": (ORANGE, "--"), "os": (BLUE, "-")}
_BEYOND = "#e9ecf0"
_NOTICE, _NOTICE_PAPER = "#7a4300", "#fff3dd"


def prediction_sheet_png(sheet: PredictionSheet) -> bytes:
    """Return the sheet as a PNG file."""
    with drawing.house_style():
        return drawing.as_png(prediction_figure(sheet), dpi=_DPI)


def prediction_figure(sheet: PredictionSheet) -> Figure:
    """Return the sheet as a figure, in whatever style is set."""
    figure = Figure(figsize=A4_INCHES, facecolor="white")
    figure.set_layout_engine("none")
    _heading(figure, sheet)
    boxes = figure.add_axes((0.06, 0.745, 0.88, 0.105))
    _answers(boxes, sheet)
    left = figure.add_axes((0.10, 0.535, 0.50, 0.175))
    _curves(left, sheet.curves)
    _table(figure.add_axes((0.66, 0.535, 0.28, 0.175)), sheet.curves)
    _planes(figure, sheet)
    _notes(figure, sheet)
    return figure


def _heading(figure: Figure, sheet: PredictionSheet) -> None:
    figure.text(0.06, 0.957, "Prediction for one patient", fontsize=17, fontweight="bold")
    phases = ", ".join(sheet.phases)
    figure.text(
        0.06, 0.936, f"Patient: {shorten(sheet.patient, 48)}   Phases used: {phases}", fontsize=9.5
    )
    lines = [line for notice in sheet.notices for line in textwrap.wrap(notice, 108)]
    if lines:
        figure.text(
            0.065,
            0.893,
            "\n".join(lines[:3]),
            fontsize=9.5,
            fontweight="bold",
            color=_NOTICE,
            va="center",
            linespacing=1.35,
            bbox={"facecolor": _NOTICE_PAPER, "edgecolor": _NOTICE, "pad": 5, "lw": 0.8},
        )


def _answers(axis: Axes, sheet: PredictionSheet) -> None:
    """Draw three boxes: MVI, RFS, OS."""
    axis.set_axis_off()
    axis.set_xlim(0, 3)
    axis.set_ylim(0, 1)
    threshold = sheet.mvi_threshold
    call = "no threshold"
    if threshold is not None:
        sign = "at or above" if sheet.mvi_probability >= threshold else "below"
        call = f"{sign} the threshold of {threshold:.0%}"
    answers = [("Microvascular invasion", percent_text(sheet.mvi_probability), call, GREEN)]
    for curve in sheet.curves:
        group = "no risk group" if curve.group is None else f"{curve.group} risk"
        answers.append((TASK_NAMES[curve.task], group, _median(curve), _LOOK[curve.task][0]))
    for column, (title, value, note, colour) in enumerate(answers):
        axis.add_patch(_box(column))
        axis.plot([column + 0.02] * 2, [0.06, 0.94], color=colour, lw=4, solid_capstyle="butt")
        axis.text(column + 0.07, 0.80, title, va="center", fontsize=9.5, fontweight="bold")
        axis.text(column + 0.07, 0.48, value, va="center", fontsize=17, fontweight="bold")
        axis.text(column + 0.07, 0.19, note, va="center", fontsize=8.5, color=INK, linespacing=1.1)


def _box(column: int) -> Rectangle:
    return Rectangle((column + 0.005, 0.03), 0.965, 0.94, facecolor="#f5f7fa", edgecolor="#d5dce4")


def _median(curve: PredictedCurve) -> str:
    """Return what is told of a median, in two lines at most."""
    if curve.grid_months is None:
        return "this model gives no curve"
    if not curve.months:
        return (
            f"no curve: training patients were\nfollowed for {curve.followed_months:g} months only"
        )
    unsure = ",\nbut follow-up is not known" if curve.followed_months is None else ""
    if curve.median_months is not None:
        return f"median {curve.median_months:.0f} months{unsure}"
    if unsure:
        return f"median not reached in {curve.end_months:g} months{unsure}"
    return f"median not reached within\n{curve.end_months:g} months of follow-up"


def _curves(axis: Axes, curves: Sequence[PredictedCurve]) -> None:
    """Draw each curve to its end; what lies beyond both is shaded."""
    axis.set_title("Predicted survival")
    _beyond(axis, [curve for curve in curves if curve.grid_months is not None])
    for curve in curves:
        colour, dash = _LOOK[curve.task]
        months, survival = [0.0, *curve.months], [1.0, *curve.survival]
        if curve.months:
            axis.plot(months, survival, color=colour, ls=dash, label=TASK_SHORT_NAMES[curve.task])
            if curve.followed_months is not None:
                axis.plot(months[-1], survival[-1], "|", color=colour, ms=12, mew=2)
        if curve.median_months is not None:
            axis.plot(curve.median_months, 0.5, "o", color=colour, ms=6)
    axis.axhline(0.5, color=GREY, ls=":", lw=1)
    axis.set_ylim(0, 1.02)
    axis.set_xlim(0, max((curve.grid_months or 0.0 for curve in curves), default=0.0) or 12.0)
    axis.xaxis.set_major_locator(MultipleLocator(12))
    axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    axis.set_xlabel("Months after treatment")
    if any(curve.months for curve in curves):
        axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2)


def _beyond(axis: Axes, curves: Sequence[PredictedCurve]) -> None:
    """Shade the time to which no training patient is certain to have been followed."""
    last = max((curve.end_months for curve in curves), default=0.0)
    end = max((curve.grid_months or 0.0 for curve in curves), default=0.0)
    if last < end:
        axis.axvspan(last, end, facecolor=_BEYOND, edgecolor="none", zorder=0)
        middle, told = (last + end) / 2, "follow-up\nnot certain"
        axis.text(middle, 0.76, told, ha="center", va="center", rotation=90, fontsize=8)


def _table(axis: Axes, curves: Sequence[PredictedCurve]) -> None:
    """Write survival at the usual times."""
    axis.set_axis_off()
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 6)
    axis.text(0, 5.4, "Months", fontsize=9, fontweight="bold")
    for column, curve in zip((0.62, 1.0), curves, strict=False):
        axis.text(
            column, 5.4, TASK_SHORT_NAMES[curve.task], ha="right", fontsize=9, fontweight="bold"
        )
    for row, month in enumerate(_TOLD_MONTHS):
        height = 4.5 - 0.9 * row
        axis.plot([0, 1], [height + 0.62] * 2, color="#d5dce4", lw=0.8)
        axis.text(0, height, str(month), fontsize=9)
        for column, curve in zip((0.62, 1.0), curves, strict=False):
            axis.text(column, height, _at(curve, month), ha="right", fontsize=9)
    if any(curve.end_months < _TOLD_MONTHS[-1] for curve in curves if curve.grid_months):
        axis.text(0, 0.9, "–: follow-up not certain", fontsize=8)


def _at(curve: PredictedCurve, month: float) -> str:
    if month > curve.end_months:
        return "–"
    return percent_text(np.interp(month, [0.0, *curve.months], [1.0, *curve.survival]))


def _planes(figure: Figure, sheet: PredictionSheet) -> None:
    """Draw each plane twice, above as it is and below under its map; beside them what it says."""
    figure.text(0.06, 0.472, "Where the network looks", fontsize=10.5, fontweight="bold")
    height, top = 0.133, 0.442
    width = height * A4_INCHES[1] / A4_INCHES[0]
    for column, sample in enumerate(sheet.planes[:3]):
        x = 0.06 + column * (width + 0.008)
        plain = figure.add_axes((x, top - height, width, height))
        mapped = figure.add_axes((x, top - 0.005 - 2 * height, width, height))
        draw_sample(plain, mapped, sample)
        plain.text(0, 1.04, sample.caption, transform=plain.transAxes, fontsize=8)
    beside = 0.06 + 3 * (width + 0.008) + 0.008
    told = [
        "Above: the scan, the tumour outlined in blue. Below: the same under the activation map.",
        sheet.activation_note,
    ]
    text = "\n\n".join("\n".join(textwrap.wrap(part, 33)) for part in told)
    figure.text(beside, top, text, fontsize=8, va="top", linespacing=1.35)
    ramp = figure.add_axes((beside, 0.172, 0.12, 0.009))
    ramp.imshow(np.linspace(0, 1, 64)[None], cmap=MAP, aspect="auto")
    ramp.set_axis_off()
    figure.text(beside, 0.184, "less           more evidence", fontsize=7.5)


def _notes(figure: Figure, sheet: PredictionSheet) -> None:
    """Write warnings and where the model comes from; what does not fit is counted."""
    lines: list[str] = []
    for warning in sheet.warnings:
        lines += textwrap.wrap(
            printable(warning), _LINE_CHARACTERS, initial_indent="• ", subsequent_indent="  "
        )
    if not sheet.warnings:
        lines = ["None: what was compared lies within the usual ranges in training."]
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], "… more in prediction.json, which holds them all"]
    figure.text(
        0.06,
        0.143,
        "Unusual, compared with training",
        fontsize=10.5,
        fontweight="bold",
        color=RED if sheet.warnings else INK,
    )
    figure.text(0.06, 0.134, "\n".join(lines), fontsize=7.5, va="top", linespacing=1.3)
    figure.text(0.06, 0.018, "\n".join(sheet.footer), fontsize=7.5, color=GREY, linespacing=1.3)
