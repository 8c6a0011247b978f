"""The report's figures, one kind a file; each takes its values and returns what a page holds."""

from shared.reporting.figures.activation import activation_maps_png, activation_pair
from shared.reporting.figures.calibration import calibration
from shared.reporting.figures.cohort import cohort
from shared.reporting.figures.convergence import convergence
from shared.reporting.figures.decision import decision
from shared.reporting.figures.flow import flow
from shared.reporting.figures.forest import alone_and_together, by_site, comparison
from shared.reporting.figures.prediction import prediction_sheet_png
from shared.reporting.figures.roc import roc
from shared.reporting.figures.survival import kaplan_meier

__all__ = [
    "activation_maps_png",
    "activation_pair",
    "alone_and_together",
    "by_site",
    "calibration",
    "cohort",
    "comparison",
    "convergence",
    "decision",
    "flow",
    "kaplan_meier",
    "prediction_sheet_png",
    "roc",
]
