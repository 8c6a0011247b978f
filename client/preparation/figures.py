"""How a site's regions are spread: spacing, timing, attenuation, with what lies far marked."""

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from client.preparation.facts import RegionFacts
from client.preparation.outliers import MEASURES, Outlier, values_of
from shared.reporting import drawing
from shared.reporting.names import PHASE_NAMES
from shared.reporting.palette import BLUE, INK, RED
from shared.reporting.svg import inline_svg
from shared.tasks import PHASES, Phase

_SPREAD = 0.26


def distributions(facts: Mapping[str, RegionFacts], outliers: Sequence[Outlier]) -> Markup:
    """Draw one panel a measure and one row a phase: a dot a patient, a bar the median."""
    far = {(one.patient_id, one.measure, one.phase) for one in outliers}
    with drawing.house_style():
        figure, axes = drawing.new_figure(9, 2.6, columns=len(MEASURES))
        for axis, (measure, (name, unit)) in zip(axes, MEASURES.items(), strict=True):
            axis.set_title(name)
            axis.set_xlabel(unit)
            axis.set_yticks(range(len(PHASES)), [])
            axis.set_ylim(len(PHASES) - 0.5, -0.5)
            axis.tick_params(axis="y", length=0)
            axis.grid(axis="y", visible=False)
            axis.xaxis.set_major_locator(MaxNLocator(nbins=3))
            _strips(axis, facts, measure, far)
        axes[0].set_yticklabels([PHASE_NAMES[phase].capitalize() for phase in PHASES])
        return inline_svg(figure, "distributions", _description(facts, outliers))


def _strips(
    axis: Axes, facts: Mapping[str, RegionFacts], measure: str, far: set[tuple[str, str, Phase]]
) -> None:
    known = False
    for row, phase in enumerate(PHASES):
        values = values_of(facts, measure, phase)
        if not values:
            continue
        known = True
        x = np.array(list(values.values()))
        marked = np.array([(patient, measure, phase) in far for patient in values])
        # Spread by the golden ratio: even, and the same every time.
        y = row + _SPREAD * (2 * ((np.arange(len(x)) * 0.618034) % 1) - 1)
        axis.plot(x[~marked], y[~marked], "o", color=BLUE, ms=2.6, alpha=0.6, mew=0)
        axis.plot(x[marked], y[marked], "x", color=RED, ms=6, mew=1.6)
        axis.plot([np.median(x)] * 2, [row - 0.38, row + 0.38], "-", color=INK, lw=1.4)
    if not known:
        axis.set_xticks([])
        axis.text(0.5, 0.5, "not told", transform=axis.transAxes, ha="center", va="center")


def _description(facts: Mapping[str, RegionFacts], outliers: Sequence[Outlier]) -> str:
    names = ", ".join(name.lower() for name, _ in MEASURES.values())
    return (
        f"Distributions of {names} by phase over {len(facts)} patients;"
        f" {len(outliers)} values lie far from the others and are listed above."
    )
