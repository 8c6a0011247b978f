"""A site's patients before any training, as sums: what a paper's first table is made from."""

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from shared.evidence.axes import Axis
from shared.evidence.cells import Cells
from shared.evidence.follow_up import FollowUpCells
from shared.results import Cohort
from shared.tasks import PHASES, SURVIVAL_TASKS, TASKS, Phase, SurvivalTask, Task

# Measures of a patient, and the common axis of each one's histogram.
MEASURES: dict[str, Axis] = {
    "os_follow_up_months": Axis(0.0, 256.0, 256, "months"),
    "tumour_diameter_mm": Axis(0.0, 256.0, 128, "mm"),
    "roi_spacing_mm": Axis(0.0, 16.0, 128, "mm"),
    "in_plane_spacing_mm": Axis(0.0, 2.0, 128, "mm"),
    "slice_spacing_mm": Axis(0.0, 16.0, 128, "mm"),
    **{f"liver_hu_{phase}": Axis(-128.0, 384.0, 256, "HU") for phase in PHASES},
    **{f"tumour_hu_{phase}": Axis(-128.0, 384.0, 256, "HU") for phase in PHASES},
}

# Why a patient, or a part of one, is not used. A code, since free text could hold a name.
REASONS = (
    "no-images",
    "no-mask",
    "no-tumour",
    "unreadable",
    "geometry",
    "ambiguous",
    "not-ct",
    "burned-in",
    "no-clinical-row",
    "label-unusable",
    "phase-left-out",
    "used-with-a-note",
    "other",
)
# Who made a patient's scanner. ``other`` is also of several makers; ``unknown`` is a header that
# names none, and ``no-header`` a volume file, which has none.
Maker = Literal["siemens", "ge", "philips", "canon-toshiba", "other", "unknown", "no-header"]
MANUFACTURERS: tuple[Maker, ...] = get_args(Maker)


@dataclass(frozen=True, eq=False)
class MeasureSums:
    """One measure over patients who have it.

    Attributes
    ----------
    patients : int
        Who have it; 0 also where they are fewer than the site's minimum.
    total, square : float
        Sum, and sum of squares.
    histogram : Cells or None
        Along the measure's axis: patients.
    """

    patients: int = 0
    total: float = 0.0
    square: float = 0.0
    histogram: Cells | None = None

    def __post_init__(self) -> None:
        if self.patients < 0 or not np.isfinite([self.total, self.square]).all():
            raise ValueError("counts must be >= 0 and sums finite")
        if self.square < 0:
            raise ValueError("a sum of squares must be >= 0")


@dataclass(frozen=True, eq=False)
class CohortDescription:
    """One cohort at one site. A count that is None is of fewer than the site's minimum.

    Attributes
    ----------
    patients : int or None
    known : dict of Task to int or None
        Patients who have each label.
    events : dict of Task to int or None
        Of these, with MVI, recurrence or death.
    phases : dict of Phase to int or None
        Patients with each phase.
    manufacturers : dict of Maker to int or None
        Patients by maker of the scanner.
    measures : dict of str to MeasureSums
        Keys of `MEASURES`.
    follow_up : dict of SurvivalTask to FollowUpCells or None
        Along the follow-up grid: events and censorings, one row.
    """

    patients: int | None = 0
    known: dict[Task, int | None] = field(default_factory=lambda: dict.fromkeys(TASKS, 0))
    events: dict[Task, int | None] = field(default_factory=lambda: dict.fromkeys(TASKS, 0))
    phases: dict[Phase, int | None] = field(default_factory=lambda: dict.fromkeys(PHASES, 0))
    manufacturers: dict[Maker, int | None] = field(
        default_factory=lambda: dict.fromkeys(MANUFACTURERS, 0)
    )
    measures: dict[str, MeasureSums] = field(
        default_factory=lambda: {name: MeasureSums() for name in MEASURES}
    )
    follow_up: dict[SurvivalTask, FollowUpCells | None] = field(
        default_factory=lambda: dict.fromkeys(SURVIVAL_TASKS, None)
    )

    def fits(self, follow_up_bins: int) -> bool:
        """Return whether all cells lie on the common axes."""
        histograms = [(MEASURES[n].bins, sums.histogram) for n, sums in self.measures.items()]
        return all(c is None or c.starts[-1] < bins for bins, c in histograms) and all(
            c is None or c.fits(follow_up_bins) for c in self.follow_up.values()
        )


@dataclass(frozen=True, eq=False)
class Description:
    """A site's cohorts, and whom it set aside.

    Attributes
    ----------
    site : str
    minimum_count : int
        The site's own: no count of fewer patients is in here.
    cohorts : dict of Cohort to CohortDescription
        ``training`` and ``internal``, or ``external`` alone.
    set_aside : dict of str to int or None
        Entries of the site's own list by reason, keys of `REASONS`.
    excluded : int or None
        Patients who could not be used at all.
    """

    site: str
    minimum_count: int
    cohorts: dict[Cohort, CohortDescription]
    set_aside: dict[str, int | None]
    excluded: int | None
