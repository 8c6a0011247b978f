"""What the coordinator asks of a model at a site: cohorts, grids, and thresholds once frozen."""

from dataclasses import dataclass, field
from itertools import pairwise

from shared.plan import Plan
from shared.results import COHORTS, Cohort
from shared.tasks import SurvivalTask
from shared.time_grid import TimeGrid

HORIZONS_MONTHS = (12.0, 24.0, 36.0, 60.0)
MOST_RESAMPLES = 2000
_STEP_MONTHS = 3.0


@dataclass(frozen=True)
class Thresholds:
    """Cuts that are fixed on internal validation, frozen, and then applied everywhere.

    Attributes
    ----------
    mvi : float or None
        A patient is called MVI-positive at or above this probability.
    rfs, os : tuple of float
        Increasing cuts of the predicted risk (`shared.model.ranking_score`); a patient above c
        of them belongs to risk group c, so that one cut makes two groups.
    """

    mvi: float | None = None
    rfs: tuple[float, ...] = ()
    os: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for cuts in (self.rfs, self.os):
            if any(b <= a for a, b in pairwise(cuts)):
                raise ValueError(f"cuts of risk must increase, got {cuts}")

    def cuts(self, task: SurvivalTask) -> tuple[float, ...]:
        """Return a survival task's cuts."""
        return self.rfs if task == "rfs" else self.os


@dataclass(frozen=True)
class EvidenceRequest:
    """One question about one model.

    Attributes
    ----------
    cohorts : tuple of Cohort
        Whom it is about; a site answers for those that it has.
    follow_up : TimeGrid
        The common grid of follow-up.
    horizons_months : tuple of float
        Times of AUC, and of Brier score and calibration if they are in `brier_months`; edges of
        `follow_up`.
    brier_months : tuple of float
        Times at which predicted curves are judged, over which the Brier score is integrated; edges
        of `follow_up`. None where no curve reaches a horizon.
    resamples : int
        B, of each site's bootstrap; 0 for none.
    thresholds : Thresholds or None
        None while they are still to be fixed: the answer then holds what they are fixed by.
    """

    cohorts: tuple[Cohort, ...] = COHORTS
    follow_up: TimeGrid = field(default_factory=lambda: TimeGrid(HORIZONS_MONTHS))
    horizons_months: tuple[float, ...] = HORIZONS_MONTHS
    brier_months: tuple[float, ...] = HORIZONS_MONTHS
    resamples: int = 0
    thresholds: Thresholds | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.resamples <= MOST_RESAMPLES:
            raise ValueError(f"resamples must lie in [0, {MOST_RESAMPLES}], got {self.resamples}")
        edges = set(self.follow_up.edges_months)
        if not edges.issuperset(self.horizons_months) or not edges.issuperset(self.brier_months):
            raise ValueError("horizons must be edges of the follow-up grid")

    def fits(self, plan: Plan) -> bool:
        """Return whether times are those of every run of a plan.

        Grids of a coordinator's own would tell when single patients left: what it is told at two
        times differs by those in between.
        """
        asked = (self.follow_up, self.horizons_months, self.brier_months)
        return asked == (follow_up_grid(plan), HORIZONS_MONTHS, brier_months(plan))


def follow_up_grid(plan: Plan) -> TimeGrid:
    """Return the grid on which a federation counts follow-up: quarters of a year, to the end."""
    last = max(*plan.time_grid.edges_months, *HORIZONS_MONTHS)
    return TimeGrid(tuple(_STEP_MONTHS * k for k in range(1, int(last / _STEP_MONTHS) + 1)))


def brier_months(plan: Plan) -> tuple[float, ...]:
    """Return where predicted curves are compared: the plan's edges between the horizons' ends.

    Of these the quarters of a year, however fine the plan's grid; and the horizons that are not
    beyond its last edge, where the curves end.
    """
    first, last = HORIZONS_MONTHS[0], min(HORIZONS_MONTHS[-1], plan.time_grid.edges_months[-1])
    quarters = set(follow_up_grid(plan).edges_months)
    inside = quarters.intersection(plan.time_grid.edges_months)
    return tuple(sorted(t for t in inside.union(HORIZONS_MONTHS) if first <= t <= last))
