"""The table of cohorts from sites' descriptions: shares, means, medians, differences."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from shared.evidence.cells import FloatArray
from shared.evidence.description import (
    MEASURES,
    CohortDescription,
    Description,
    Maker,
    MeasureSums,
)
from shared.reporting.content import Characteristic, SiteSummary, Summary
from shared.reporting.names import PHASE_NAMES
from shared.tasks import PHASES, Task

_TASK_WORDS: dict[Task, tuple[str, str]] = {
    "mvi": ("MVI known", "MVI present, of known"),
    "rfs": ("RFS known", "Recurrence or death, of known"),
    "os": ("OS known", "Death, of known"),
}
_MEASURE_WORDS = {
    "os_follow_up_months": "Follow-up, overall survival",
    "tumour_diameter_mm": "Tumour diameter",
    "roi_spacing_mm": "Voxel of the region",
    "in_plane_spacing_mm": "Pixel",
    "slice_spacing_mm": "Distance of slices",
    **{f"liver_hu_{phase}": f"Liver, {PHASE_NAMES[phase]}" for phase in PHASES},
    **{f"tumour_hu_{phase}": f"Tumour, {PHASE_NAMES[phase]}" for phase in PHASES},
}
_MAKER_WORDS: dict[Maker, str] = {
    "siemens": "Siemens",
    "ge": "GE",
    "philips": "Philips",
    "canon-toshiba": "Canon or Toshiba",
    "other": "another maker, or several",
    "unknown": "not named in the headers",
    "no-header": "unknown (volumes without headers)",
}
REASON_WORDS = {
    "no-images": "no usable image",
    "no-mask": "no usable mask",
    "no-tumour": "no tumour in the mask",
    "unreadable": "a file cannot be read",
    "geometry": "scan and mask do not fit, or slices do not make a volume",
    "ambiguous": "several files or series could be meant",
    "not-ct": "not CT in Hounsfield units",
    "burned-in": "annotations in the pixels may name a person",
    "no-clinical-row": "no usable row in clinical.csv",
    "label-unusable": "used in part: a label is unusable",
    "phase-left-out": "used without a phase",
    "used-with-a-note": "used, with something passed over",
    "other": "another reason",
}
Share = tuple[int | None, int | None]


def characteristics(descriptions: Sequence[Description]) -> tuple[Characteristic, ...]:
    """Return the table's rows, sites in the order given; rows that nobody knows are left out.

    A site is compared with all training sites together, itself left out (Austin, Stat Med
    2009;28:3083): difference of means or shares, in units of the root of the mean variance.
    """
    rows = []
    for task, (known, events) in _TASK_WORDS.items():
        rows.append(_shares(known, descriptions, [_known(d, task) for d in descriptions]))
        rows.append(_shares(events, descriptions, [_events(d, task) for d in descriptions]))
    for phase in PHASES:
        shares = [_total((c.phases[phase], c.patients) for c in _cohorts(d)) for d in descriptions]
        rows.append(_shares(f"{PHASE_NAMES[phase].capitalize()} phase", descriptions, shares))
    for maker, words in _MAKER_WORDS.items():
        shares = [_made_by(maker, d) for d in descriptions]
        if any(count != 0 for count, _ in shares):
            rows.append(_shares(f"Scanner: {words}", descriptions, shares))
    for name in MEASURES:
        rows.append(_measure(name, descriptions))
    return tuple(row for row in rows if row is not None)


def site_summary(description: Description) -> SiteSummary:
    """Return a site in numbers; None where a number is too small for the site to tell."""
    cohorts = description.cohorts
    patients = {name: cohort.patients for name, cohort in cohorts.items()}
    mvi, rfs, os = (_events(description, task) for task in ("mvi", "rfs", "os"))
    return SiteSummary(
        name=description.site,
        role="external" if is_external(description) else "training",
        patients=_total((n, n) for n in patients.values())[0],
        training=patients.get("training", 0),
        internal=patients.get("internal", 0),
        mvi_known=mvi[1],
        mvi_positive=mvi[0],
        rfs_known=rfs[1],
        rfs_events=rfs[0],
        os_known=os[1],
        os_events=os[0],
        phases={
            phase: _total((c.phases[phase], c.patients) for c in _cohorts(description))[0]
            for phase in PHASES
        },
        tumour_diameter_mm=_median_of(description, "tumour_diameter_mm"),
        follow_up_months=_median_of(description, "os_follow_up_months"),
        in_plane_spacing_mm=_median_of(description, "in_plane_spacing_mm"),
        slice_thickness_mm=_median_of(description, "slice_spacing_mm"),
        set_aside={
            REASON_WORDS[reason]: count
            for reason, count in description.set_aside.items()
            if count != 0
        },
        excluded=description.excluded,
    )


def _median_of(description: Description, name: str) -> float | None:
    moments = _moments(name, [c.measures[name] for c in _cohorts(description)])
    return None if moments.histogram is None else median(name, moments.histogram)


def is_external(description: Description) -> bool:
    """Return whether a site never trains."""
    return "external" in description.cohorts


def _cohorts(description: Description) -> Iterable[CohortDescription]:
    return description.cohorts.values()


def _known(description: Description, task: Task) -> Share:
    return _total((c.known[task], c.patients) for c in _cohorts(description))


def _events(description: Description, task: Task) -> Share:
    return _total((c.events[task], c.known[task]) for c in _cohorts(description))


def _made_by(maker: Maker, description: Description) -> Share:
    return _total((c.manufacturers[maker], c.patients) for c in _cohorts(description))


def _total(parts: Iterable[Share]) -> Share:
    """Add up cohorts; None as soon as one of them is not told."""
    counts, wholes = zip(*parts, strict=True)
    count = None if None in counts else sum(c for c in counts if c is not None)
    whole = None if None in wholes else sum(w for w in wholes if w is not None)
    return count, whole


def _shares(
    name: str, descriptions: Sequence[Description], shares: Sequence[Share]
) -> Characteristic | None:
    if not any(whole for _, whole in shares):
        return None
    training = [s for d, s in zip(descriptions, shares, strict=True) if not is_external(d)]
    told = [(c, w) for c, w in training if c is not None and w is not None]
    count, whole = sum(c for c, _ in told), sum(w for _, w in told)
    by_site = {}
    for description, (own, of) in zip(descriptions, shares, strict=True):
        difference = None
        if own is not None and of:
            mine = (0, 0) if is_external(description) else (own, of)
            difference = _difference_of_shares((own, of), (count - mine[0], whole - mine[1]))
        by_site[description.site] = Summary(patients=of, count=own, difference=difference)
    return Characteristic(name, "", by_site, Summary(patients=whole, count=count if told else None))


def _difference_of_shares(own: tuple[int, int], others: tuple[int, int]) -> float | None:
    if not own[1] or not others[1]:
        return None
    p, q = own[0] / own[1], others[0] / others[1]
    return _standardised(p - q, (p * (1 - p) + q * (1 - q)) / 2)


def _standardised(difference: float, variance: float) -> float | None:
    if variance <= 0:
        return 0.0 if difference == 0 else None
    return float(difference / np.sqrt(variance))


def _measure(name: str, descriptions: Sequence[Description]) -> Characteristic | None:
    sums = {d.site: _moments(name, [c.measures[name] for c in _cohorts(d)]) for d in descriptions}
    if not any(own.count for own in sums.values()):
        return None
    training = [sums[d.site] for d in descriptions if not is_external(d)]
    overall = _add_moments(training)
    by_site = {}
    for description in descriptions:
        own = sums[description.site]
        rest = overall if is_external(description) else overall.without(own)
        by_site[description.site] = own.summary(name, rest)
    unit = MEASURES[name].unit
    return Characteristic(_MEASURE_WORDS[name], unit, by_site, overall.summary(name, None))


@dataclass(frozen=True, eq=False)
class _Moments:
    """Count, sum, sum of squares and histogram of a measure."""

    count: int
    total: float
    square: float
    histogram: FloatArray | None

    @property
    def mean(self) -> float:
        """Mean of the patients."""
        return self.total / self.count

    @property
    def variance(self) -> float:
        """Variance, of a sample; 0 of one patient."""
        if self.count < 2:
            return 0.0
        return max(self.square - self.total**2 / self.count, 0.0) / (self.count - 1)

    def without(self, other: "_Moments") -> "_Moments":
        """Return the moments of everybody else."""
        return _Moments(
            self.count - other.count, self.total - other.total, self.square - other.square, None
        )

    def summary(self, name: str, others: "_Moments | None") -> Summary:
        """Return what the table shows, compared with others."""
        if not self.count:
            return Summary(patients=0)
        difference = None
        if others is not None and others.count:
            spread = (self.variance + others.variance) / 2
            difference = _standardised(self.mean - others.mean, spread)
        return Summary(
            patients=self.count,
            mean=self.mean,
            deviation=float(np.sqrt(self.variance)),
            median=None if self.histogram is None else median(name, self.histogram),
            difference=difference,
        )


def median(name: str, histogram: FloatArray) -> float:
    """Return the median of a measure, linear within the bin of its axis that holds it."""
    axis = MEASURES[name]
    below = np.concatenate([[0.0], np.cumsum(histogram)])
    return float(np.interp(below[-1] / 2, below, axis.edges))


def _moments(name: str, parts: Iterable[MeasureSums]) -> _Moments:
    found = list(parts)
    told = [
        part.histogram.spread(MEASURES[name].bins)[0, :, 0]
        for part in found
        if part.histogram is not None
    ]
    return _Moments(
        sum(part.patients for part in found),
        sum(part.total for part in found),
        sum(part.square for part in found),
        np.asarray(sum(told)) if told else None,
    )


def _add_moments(parts: Sequence[_Moments]) -> _Moments:
    told = [p.histogram for p in parts if p.histogram is not None]
    return _Moments(
        sum(p.count for p in parts),
        sum(p.total for p in parts),
        sum(p.square for p in parts),
        np.asarray(sum(told)) if told else None,
    )
