"""ROC curves of microvascular invasion."""

from collections.abc import Sequence

from markupsafe import Markup

from shared.reporting import drawing
from shared.reporting.content import RocCurve
from shared.reporting.estimates import in_words
from shared.reporting.names import COHORT_NAMES
from shared.reporting.palette import BLUE, GREY, ORANGE, PAPER
from shared.reporting.svg import inline_svg
from shared.results import Cohort

_LOOK: dict[Cohort, tuple[str, str, str]] = {
    "training": (ORANGE, ":", "^"),
    "internal": (GREY, "--", "s"),
    "external": (BLUE, "-", "o"),
}


def roc(curves: Sequence[RocCurve]) -> Markup:
    """Draw every cohort's curve with the point of the frozen threshold."""
    with drawing.house_style():
        figure, (axis,) = drawing.new_figure(4.4, 4.6)
        axis.plot([0, 1], [0, 1], color=GREY, ls=":", lw=1)
        for curve in curves:
            colour, dash, marker = _LOOK[curve.cohort]
            axis.plot(
                curve.false_positive_rate,
                curve.true_positive_rate,
                color=colour,
                ls=dash,
                label=f"{COHORT_NAMES[curve.cohort]}, AUC {in_words(curve.auc)}",
            )
            if curve.chosen is not None:
                axis.plot(*curve.chosen, marker, color=colour, ms=8, mec=PAPER, mew=1.5, zorder=5)
        axis.set_xlabel("False alarms (1 - specificity)")
        axis.set_ylabel("Found (sensitivity)")
        axis.set_xlim(-0.02, 1.02)
        axis.set_ylim(-0.02, 1.02)
        axis.set_aspect("equal")
        if curves:
            figure.legend(loc="outside lower left")
        told = [f"{COHORT_NAMES[curve.cohort]}: AUC {in_words(curve.auc)}." for curve in curves]
        description = f"ROC curves of microvascular invasion. {' '.join(told)}"
        return inline_svg(figure, "roc", description)
