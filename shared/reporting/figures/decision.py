"""Decision curves: whether acting on a prediction does more good than harm."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from shared.reporting import drawing
from shared.reporting.content import DecisionCurve
from shared.reporting.names import COHORT_NAMES
from shared.reporting.palette import BLUE, GREY, ORANGE
from shared.reporting.svg import inline_svg

_TOLD = (0.1, 0.2, 0.3, 0.4, 0.5)


def decision(curves: Sequence[DecisionCurve]) -> Markup:
    """Draw one panel a cohort: the model against calling everybody and nobody positive."""
    with drawing.house_style():
        figure, axes = drawing.new_figure(4.4, 0.5 + 2.2 * max(len(curves), 1), rows=len(curves))
        for axis, curve in zip(axes, curves, strict=True):
            _panel(axis, curve)
        axes[-1].set_xlabel("Probability of MVI from which one acts")
        handles, labels = axes[0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, labels, loc="outside lower left", ncols=2)
        return inline_svg(figure, "decision", _description(curves))


def _panel(axis: Axes, curve: DecisionCurve) -> None:
    axis.plot(curve.threshold, curve.model, color=BLUE, label="Act on the model")
    axis.plot(curve.threshold, curve.all_positive, color=ORANGE, ls="--", label="Act on everybody")
    axis.axhline(0, color=GREY, ls=":", label="Act on nobody")
    highest = max(0.05, *(float(v.max()) for v in (curve.model, curve.all_positive) if len(v)))
    # Below -1/4 of the best a curve only says that it is bad.
    axis.set_ylim(-highest / 4, 1.1 * highest)
    axis.set_xlim(0, float(curve.threshold.max(initial=0.1)))
    axis.xaxis.set_major_formatter(PercentFormatter(1.0))
    axis.set_ylabel("Net benefit")
    axis.set_title(COHORT_NAMES[curve.cohort])


def _description(curves: Sequence[DecisionCurve]) -> str:
    told = []
    for curve in curves:
        points = []
        for wanted in _TOLD:
            if not len(curve.threshold) or not np.ptp(curve.threshold):
                continue
            k = int(np.abs(curve.threshold - wanted).argmin())
            points.append(
                f"at {curve.threshold[k]:.0%} model {curve.model[k]:.3f}, everybody"
                f" {curve.all_positive[k]:.3f}"
            )
        told.append(f"{COHORT_NAMES[curve.cohort]}: {'; '.join(points) or 'not available'}.")
    return f"Decision curves of microvascular invasion, net benefit. {' '.join(told)}"
