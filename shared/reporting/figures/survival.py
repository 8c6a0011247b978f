"""Kaplan-Meier curves of predicted risk groups."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from shared.reporting import drawing
from shared.reporting.content import RiskGroup, RiskGroups
from shared.reporting.estimates import p_value_text, percent_text
from shared.reporting.names import COHORT_NAMES, TASK_NAMES
from shared.reporting.palette import BLUE, CYCLE, DASHES, GREY, INK, RED
from shared.reporting.svg import inline_svg

# From low to high risk.
_COLOURS = {2: (BLUE, RED), 3: (BLUE, GREY, RED)}
_MOST_TICKS = 9
_ALIVE = {"os": "Alive", "rfs": "Alive, no recurrence"}


def kaplan_meier(risk_groups: RiskGroups) -> Markup:
    """Draw one task's risk groups in one cohort, with bands, bounds and numbers at risk."""
    groups = risk_groups.groups
    colours = _COLOURS.get(len(groups), CYCLE)
    looks = [(colours[i % len(colours)], DASHES[i % len(DASHES)]) for i in range(len(groups))]
    ticks = _ticks(groups)
    with drawing.house_style():
        table = 0.3 + 0.17 * len(groups)
        figure = Figure(figsize=(4.4, 3.0 + table))
        curves, at_risk = figure.subplots(2, 1, sharex=True, height_ratios=(2.7, table))
        for group, look in zip(groups, looks, strict=True):
            _curve(curves, group, *look)
        curves.set_ylim(0, 1.02)
        curves.set_xlim(0, _last_month(groups))
        curves.set_xticks(ticks)
        curves.tick_params(labelbottom=True)
        curves.yaxis.set_major_formatter(PercentFormatter(1.0))
        curves.set_ylabel(_ALIVE[risk_groups.task])
        curves.set_xlabel("Months")
        curves.text(
            0.02,
            0.04,
            f"log-rank {p_value_text(risk_groups.log_rank_p)}",
            transform=curves.transAxes,
        )
        _numbers_at_risk(at_risk, groups, looks, ticks)
        handles, labels = curves.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=2 if len(groups) == 2 else 1)
        name = f"km-{risk_groups.task}-{risk_groups.cohort}"
        return inline_svg(figure, name, _description(risk_groups))


def _curve(axis: Axes, group: RiskGroup, colour: str, dash: str) -> None:
    axis.step(
        group.months,
        group.survival,
        where="post",
        color=colour,
        ls=dash,
        label=drawing.legend_label(group.label, 40),
    )
    axis.fill_between(
        group.months, group.lower, group.upper, step="post", color=colour, alpha=0.16, lw=0
    )
    for bound in group.bounds or ():
        axis.step(group.months, bound, where="post", color=colour, ls=":", lw=0.8)


def _numbers_at_risk(
    axis: Axes, groups: Sequence[RiskGroup], looks: Sequence[tuple[str, str]], ticks: Sequence[int]
) -> None:
    """Write one row a group; its line stands before it, as in the legend."""
    axis.set_ylim(len(groups) - 0.5, -1.4)
    axis.axis("off")
    axis.text(0, -1, "Patients at risk", va="center", fontsize=8.5, color=INK)
    for row, (group, (colour, dash)) in enumerate(zip(groups, looks, strict=True)):
        (key,) = axis.plot(
            [-0.13, -0.05],
            [row, row],
            color=colour,
            ls=dash,
            clip_on=False,
            transform=axis.get_yaxis_transform(),
        )
        key.set_in_layout(False)
        for month in ticks:
            shown = str(group.at_risk[month]) if month in group.at_risk else ""
            axis.text(month, row, shown, ha="center", va="center", fontsize=8.5, color=INK)


def _ticks(groups: Sequence[RiskGroup]) -> list[int]:
    months = sorted({month for group in groups for month in group.at_risk})
    return months[:: -(-len(months) // _MOST_TICKS) or 1]


def _last_month(groups: Sequence[RiskGroup]) -> float:
    last = [float(group.months[-1]) for group in groups if len(group.months)]
    return max([1.0, *last, *(float(month) for g in groups for month in g.at_risk)])


def _description(risk_groups: RiskGroups) -> str:
    told = [_told(group) for group in risk_groups.groups]
    return (
        f"Kaplan-Meier curves of {TASK_NAMES[risk_groups.task].lower()},"
        f" {COHORT_NAMES[risk_groups.cohort].lower()},"
        f" log-rank {p_value_text(risk_groups.log_rank_p)}. {' '.join(told)}"
    )


def _told(group: RiskGroup) -> str:
    """Return one group's numbers at risk and survival in words."""
    if not len(group.months):
        return f"{group.label}: no patient."
    points = []
    for month, at_risk in group.at_risk.items():
        step = max(int(np.searchsorted(group.months, month, side="right")) - 1, 0)
        points.append(f"{percent_text(group.survival[step])} at {month} months ({at_risk} at risk)")
    return f"{group.label}: {', '.join(points)}."
