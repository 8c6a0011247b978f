"""The report's figures; each takes its values and returns a ``data:`` address."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from shared.reporting import drawing
from shared.reporting.content import ActivationSample, RiskGroups, RocCurve, SiteSummary
from shared.reporting.drawing import BLUE, CYCLE, GREEN, GREY, ORANGE, RED
from shared.reporting.names import (
    COHORT_NAMES,
    METRIC_NAMES,
    PHASE_NAMES,
    TASK_NAMES,
    in_words,
    method_name,
)
from shared.results import Cohort, Results
from shared.tasks import TASKS

_COHORT_MARKERS: dict[Cohort, tuple[str, str]] = {"internal": (GREY, "s"), "external": (BLUE, "o")}


def comparison(results: Results) -> str:
    """Draw every method's metrics with intervals, inside the institutions and outside."""
    methods = list(results)
    with drawing.house_style():
        figure, axes = drawing.new_figure(11, 1.2 + 0.36 * len(methods), columns=4)
        rows = np.arange(len(methods))[::-1]
        for axis, (metric, name) in zip(axes, METRIC_NAMES.items(), strict=True):
            for offset, (cohort, (colour, marker)) in zip(
                (0.14, -0.14), _COHORT_MARKERS.items(), strict=True
            ):
                for row, method in zip(rows, methods, strict=True):
                    estimate = results[method][cohort][metric]
                    if estimate.value is None:
                        continue
                    if estimate.ci95 is not None:
                        axis.plot(estimate.ci95, [row + offset] * 2, color=colour, lw=1.5)
                    axis.plot(
                        estimate.value,
                        row + offset,
                        marker,
                        color=colour,
                        ms=5,
                        label=COHORT_NAMES[cohort] if row == rows[0] else None,
                    )
            if metric != "mvi_f1":
                axis.axvline(0.5, color=GREY, ls=":", lw=1)
            axis.set_title(name, fontsize=10)
            axis.set_xlim(0.3, 1.0)
            axis.set_ylim(-0.6, len(methods) - 0.4)
            axis.set_yticks(rows, [])
            axis.grid(axis="y", visible=False)
        axes[0].set_yticklabels([_short(method_name(method)) for method in methods])
        figure.legend(*_unique_legend(axes[0]), loc="outside lower center", ncols=2)
        return drawing.as_svg(figure)


def convergence(rounds: Sequence[Mapping[str, Any]], best_round: int | None) -> str:
    """Draw losses and validation metrics by round, and every site's training loss."""
    judged = [record for record in rounds if record.get("metrics")]
    with drawing.house_style():
        figure, (left, middle, right) = drawing.new_figure(11, 3.2, columns=3)
        for task, colour in zip(TASKS, CYCLE, strict=False):
            _plot_known(left, judged, f"{task}_loss", task.upper(), colour)
        shown = {"os_c_index": "OS C-index", "rfs_c_index": "RFS C-index", "mvi_auc": "MVI AUC"}
        for (key, name), colour in zip(shown.items(), (GREEN, ORANGE, BLUE), strict=True):
            _plot_known(middle, judged, key, name, colour)
        _plot_site_losses(right, rounds)
        left.set_title("Loss on internal validation", fontsize=10)
        middle.set_title("Metrics on internal validation", fontsize=10)
        right.set_title("Training loss by site", fontsize=10)
        for axis in (left, middle, right):
            axis.set_xlabel("Round")
            if best_round is not None:
                axis.axvline(best_round, color=GREY, ls=":", lw=1.2)
            if axis.get_legend_handles_labels()[0]:
                axis.legend(fontsize=8)
        return drawing.as_svg(figure)


def kaplan_meier(risk_groups: RiskGroups) -> str:
    """Draw one task's risk groups in one cohort, with bands and numbers at risk."""
    with drawing.house_style():
        figure, (axis,) = drawing.new_figure(5.4, 3.9)
        ticks = sorted({month for group in risk_groups.groups for month in group.at_risk})
        for row, (group, colour) in enumerate(zip(risk_groups.groups, (GREEN, RED), strict=False)):
            axis.step(group.months, group.survival, where="post", color=colour, label=group.label)
            axis.fill_between(
                group.months, group.lower, group.upper, step="post", color=colour, alpha=0.15, lw=0
            )
            for month in ticks:
                axis.annotate(
                    str(group.at_risk[month]),
                    (month, 0),
                    xycoords=("data", "axes fraction"),
                    xytext=(0, -38 - 13 * row),
                    textcoords="offset points",
                    ha="center",
                    color=colour,
                    fontsize=8,
                )
        axis.set_ylim(0, 1.02)
        axis.set_xlim(left=0)
        axis.set_xticks(ticks)
        axis.set_ylabel("Alive" if risk_groups.task == "os" else "Free of recurrence")
        axis.set_xlabel("Months; below, patients at risk")
        p = risk_groups.log_rank_p
        p_text = "not available" if p is None else ("< 0.001" if p < 0.001 else f"= {p:.3f}")
        axis.set_title(
            f"{TASK_NAMES[risk_groups.task]}, {COHORT_NAMES[risk_groups.cohort].lower()}"
            f"  (log-rank p {p_text})",
            fontsize=10,
        )
        axis.legend(fontsize=8, loc="upper right")
        # The numbers at risk hang below the axis, where the layout does not see them.
        figure.set_layout_engine("constrained", rect=(0, 0.1, 1, 0.9))
        return drawing.as_svg(figure)


def roc(curves: Sequence[RocCurve]) -> str:
    """Draw MVI's ROC curves with the point of the frozen threshold."""
    with drawing.house_style():
        figure, (axis,) = drawing.new_figure(4.6, 4.2)
        axis.plot([0, 1], [0, 1], color=GREY, ls=":", lw=1)
        for curve in curves:
            colour, _ = _COHORT_MARKERS.get(curve.cohort, (ORANGE, "^"))
            axis.plot(
                curve.false_positive_rate,
                curve.true_positive_rate,
                color=colour,
                label=f"{COHORT_NAMES[curve.cohort]}: AUC {in_words(curve.auc)}",
            )
            if curve.chosen is not None:
                axis.plot(*curve.chosen, "o", color=colour, ms=7, mec="white")
        axis.set_xlabel("1 - specificity")
        axis.set_ylabel("Sensitivity")
        axis.set_aspect("equal")
        if curves:
            axis.legend(fontsize=7.5, loc="lower right")
        return drawing.as_svg(figure)


def activation_maps(samples: Sequence[ActivationSample]) -> str:
    """Draw grey slices, the tumour outlined, and beside each the same slice with its map."""
    return drawing.data_address(activation_maps_png(samples), "image/png")


def activation_maps_png(samples: Sequence[ActivationSample]) -> bytes:
    """Return what `activation_maps` draws as a PNG file."""
    with drawing.house_style():
        columns = 4
        rows = -(-2 * len(samples) // columns)
        figure, axes = drawing.new_figure(10.5, 2.9 * rows, columns=columns, rows=rows)
        for axis in axes:
            axis.set_axis_off()
        pairs = zip(axes[::2], axes[1::2], strict=True)
        for sample, (plain, mapped) in zip(samples, pairs, strict=False):
            for axis in (plain, mapped):
                axis.imshow(sample.image, cmap="gray", vmin=0, vmax=1, interpolation="bilinear")
                if sample.tumour.any():
                    axis.contour(sample.tumour, [0.5], colors=[SKY_OUTLINE], linewidths=1.2)
            # Each place is as opaque as it is active, so that the scan stays visible elsewhere.
            mapped.imshow(
                sample.activation,
                cmap="inferno",
                alpha=np.clip(sample.activation, 0, 1) * 0.75,
                vmin=0,
                vmax=1,
                interpolation="bilinear",
            )
            plain.set_title(sample.caption, fontsize=8.5, loc="left")
        return drawing.as_png(figure)


SKY_OUTLINE = "#56B4E9"


def cohort(sites: Sequence[SiteSummary]) -> str:
    """Draw how sites differ: patients, events, known labels, phases."""
    names = [_short(site.name) for site in sites]
    rows = np.arange(len(sites))[::-1]
    with drawing.house_style():
        figure, axes = drawing.new_figure(11, 1.3 + 0.36 * len(sites), columns=4)
        sizes, rates, known, phases = axes
        sizes.barh(rows, [site.patients for site in sites], color=BLUE)
        sizes.set_title("Patients", fontsize=10)
        _dots(
            rates,
            rows,
            {
                "Deaths": [_share(site.os_events, site.os_known) for site in sites],
                "Recurrences or deaths": [
                    _share(site.rfs_events, site.rfs_known) for site in sites
                ],
                "MVI": [_share(site.mvi_positive, site.mvi_known) for site in sites],
            },
        )
        rates.set_title("Share with event, of those known", fontsize=10)
        _dots(
            known,
            rows,
            {
                "OS": [_share(site.os_known, site.patients) for site in sites],
                "RFS": [_share(site.rfs_known, site.patients) for site in sites],
                "MVI": [_share(site.mvi_known, site.patients) for site in sites],
            },
        )
        known.set_title("Label known", fontsize=10)
        _dots(
            phases,
            rows,
            {
                name: [_share(site.phases[key], site.patients) for site in sites]
                for key, name in PHASE_NAMES.items()
            },
        )
        phases.set_title("Phase present", fontsize=10)
        for axis in axes:
            axis.set_yticks(rows, names if axis is sizes else [])
            axis.set_ylim(-0.6, len(sites) - 0.4)
        for axis in axes[1:]:
            axis.set_xlim(-0.03, 1.03)
            axis.legend(
                fontsize=7.5,
                loc="upper center",
                bbox_to_anchor=(0.5, -0.14),
                ncols=3,
                handletextpad=0.1,
                columnspacing=0.8,
            )
        return drawing.as_svg(figure)


def _plot_known(
    axis: Axes, records: Sequence[Mapping[str, Any]], key: str, label: str, colour: str
) -> None:
    points = [
        (record["round"], record["metrics"][key])
        for record in records
        if record["metrics"][key] is not None
    ]
    if points:
        axis.plot(*zip(*points, strict=True), color=colour, label=label)


def _plot_site_losses(axis: Axes, rounds: Sequence[Mapping[str, Any]]) -> None:
    sites = sorted({site for record in rounds for site in record.get("sites", {})})
    for index, site in enumerate(sites):
        points = [
            (record["round"], record["sites"][site]["loss"])
            for record in rounds
            if site in record.get("sites", {})
        ]
        colour = CYCLE[index % len(CYCLE)]
        axis.plot(*zip(*points, strict=True), color=colour, label=_short(site), lw=1.2)


def _dots(axis: Axes, rows: Any, series: Mapping[str, Sequence[float]]) -> None:
    for (name, values), colour, marker in zip(
        series.items(), (BLUE, ORANGE, GREEN), "os^", strict=True
    ):
        axis.plot(values, rows, marker, color=colour, label=name, ms=6, alpha=0.9)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _short(name: str, most: int = 28) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _unique_legend(axis: Axes) -> tuple[list[Any], list[str]]:
    handles, labels = axis.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    return list(unique.values()), list(unique)
