"""What the page and the terminal tell of a prepared site."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.cases import PreparedCase, SetAside
from client.cohort import PreparedSite
from client.imaging.cache import load_facts, load_roi
from client.preparation.facts import RegionFacts, from_text
from client.preparation.outliers import Outlier, find_outliers
from client.preparation.thumbnails import address, thumbnail
from client.series.rows import SeriesRow
from shared.reporting.names import TASK_SHORT_NAMES
from shared.tasks import PHASES, SURVIVAL_TASKS, TASKS, Task

_UNIT = {"mvi": ("positive", "positive"), "rfs": ("event", "events"), "os": ("death", "deaths")}


@dataclass(frozen=True)
class TaskCount:
    """How many patients a task can use.

    Attributes
    ----------
    task : str
    usable, positive, complete : int
        With a region and the label; of these with an event or MVI; of these with three phases.
    """

    task: Task
    usable: int
    positive: int
    complete: int

    @property
    def name(self) -> str:
        """The task's short name."""
        return TASK_SHORT_NAMES[self.task]

    @property
    def told(self) -> str:
        """How many had the event, or MVI."""
        return f"{self.positive} {_UNIT[self.task][self.positive != 1]}"


@dataclass(frozen=True)
class Picture:
    """One prepared region on the contact sheet."""

    patient_id: str
    src: str
    missing: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class SiteContent:
    """A prepared site, ready to be shown.

    Attributes
    ----------
    name : str
    synthetic : bool
    patients : int
        In the folder or the table.
    unused : int
        Of these without a region.
    tasks : tuple of TaskCount
    pictures : tuple of Picture
    facts : dict of str to RegionFacts
    outliers : tuple of Outlier
    set_aside : tuple of SetAside
    series : tuple of (patient_id, SeriesRow)
    """

    name: str
    synthetic: bool
    patients: int
    unused: int
    tasks: tuple[TaskCount, ...]
    pictures: tuple[Picture, ...]
    facts: dict[str, RegionFacts]
    outliers: tuple[Outlier, ...]
    set_aside: tuple[SetAside, ...]
    series: tuple[tuple[str, SeriesRow], ...]

    @property
    def doubtful(self) -> tuple[tuple[str, SeriesRow], ...]:
        """Series that are used although something speaks against them."""
        return tuple(pair for pair in self.series if pair[1].confidence == "low" and pair[1].used)

    @property
    def decisions(self) -> list[tuple[str, str, int]]:
        """What became of the series, with its reason, the most frequent first."""
        counts = Counter((row.decision, row.reason) for _, row in self.series)
        return [(decision, why, n) for (decision, why), n in counts.most_common()]


def gather(prepared: PreparedSite, *, name: str, synthetic: bool) -> SiteContent:
    """Read every prepared region once, and put together what is told of a site."""
    facts = {case.patient_id: from_text(load_facts(case.roi_path)) for case in prepared.cases}
    outliers = tuple(find_outliers(facts))
    doubtful = [(p, row) for p, row in prepared.series if row.confidence == "low" and row.used]
    remarks: dict[str, list[str]] = {}
    for one in outliers:
        remarks.setdefault(one.patient_id, []).append(one.text)
    for patient, row in doubtful:
        remarks.setdefault(patient, []).append(f"{row.phase.replace('_', ' ')}: {row.evidence}")
    used = {case.patient_id for case in prepared.cases}
    everyone = used | {row.patient_id for row in prepared.set_aside if row.patient_id}
    return SiteContent(
        name=name,
        synthetic=synthetic,
        patients=len(everyone),
        unused=len(everyone - used),
        tasks=tuple(_count(prepared.cases, task) for task in TASKS),
        pictures=tuple(_picture(case, remarks) for case in prepared.cases),
        facts=facts,
        outliers=outliers,
        set_aside=prepared.set_aside,
        series=prepared.series,
    )


def is_synthetic(folder: Path) -> bool:
    """Return whether a site's folder is one of a synthetic cohort, which carries its truth."""
    return (folder.resolve().parent / "truth.csv").is_file()


def _count(cases: Sequence[PreparedCase], task: Task) -> TaskCount:
    known = [case for case in cases if getattr(case.labels, task) is not None]
    happened = [_happened(case, task) for case in known]
    return TaskCount(task, len(known), sum(happened), sum(all(case.present) for case in known))


def _happened(case: PreparedCase, task: Task) -> bool:
    label = getattr(case.labels, task)
    return bool(label.event) if task in SURVIVAL_TASKS else bool(label)


def _picture(case: PreparedCase, remarks: Mapping[str, Sequence[str]]) -> Picture:
    missing = [
        p.replace("_", " ") for p, there in zip(PHASES, case.present, strict=True) if not there
    ]
    return Picture(
        patient_id=case.patient_id,
        src=address(thumbnail(load_roi(case.roi_path))),
        missing=tuple(missing),
        remarks=tuple(remarks.get(case.patient_id, ())),
    )
