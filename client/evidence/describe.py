"""An institution's patients in sums, before any training."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from client.batches import roi_of
from client.cases import PreparedCase, SetAside, labelled
from client.evidence.follow_up import follow_up_cells
from client.evidence.reasons import reason_code
from client.evidence.rule import Rule
from client.imaging.cache import load_facts
from client.preparation.facts import RegionFacts, from_text, maker_of_patient
from client.site import Site
from shared.evidence.cells import FloatArray, count_cells, merged_starts
from shared.evidence.description import (
    MANUFACTURERS,
    MEASURES,
    REASONS,
    CohortDescription,
    Description,
    Maker,
    MeasureSums,
)
from shared.evidence.follow_up import FollowUpCells
from shared.results import Cohort
from shared.tasks import PHASES, SURVIVAL_TASKS, TASKS, TUMOUR_LABEL, Survival, Task
from shared.time_grid import TimeGrid

Cases = Sequence[PreparedCase]


def describe(
    site: Site, cohorts: Mapping[Cohort, Cases], follow_up: TimeGrid, rule: Rule
) -> Description:
    """Return the site's cohorts in sums, each count of enough patients.

    Parameters
    ----------
    site : Site
    cohorts : mapping of Cohort to sequence of PreparedCase
    follow_up : TimeGrid
        The federation's.
    rule : Rule
    """
    used = {case.patient_id for case in site.cases}
    excluded = {row.patient_id for row in site.set_aside} - used
    return Description(
        site=site.name,
        minimum_count=rule.minimum_count,
        cohorts={name: describe_cohort(cases, follow_up, rule) for name, cases in cohorts.items()},
        set_aside=_set_aside(site.set_aside, used, rule),
        excluded=rule.told(len(excluded)),
    )


def _set_aside(
    rows: Sequence[SetAside], used: Collection[str], rule: Rule
) -> dict[str, int | None]:
    """Return entries by reason, each of enough patients.

    Patients not used share out a number that is told, so a small reason could be computed from
    the others'; those used in part do not.
    """
    entries = Counter(reason_code(row.reason) for row in rows)
    patients = {
        reason: {row.patient_id for row in rows if reason_code(row.reason) == reason}
        for reason in REASONS
    }
    gone = rule.told_categories({r: len(own.difference(used)) for r, own in patients.items()})
    kept = {reason: rule.told(len(own.intersection(used))) for reason, own in patients.items()}
    return {
        reason: None if None in (gone[reason], kept[reason]) else entries[reason]
        for reason in REASONS
    }


def describe_cohort(cases: Cases, follow_up: TimeGrid, rule: Rule) -> CohortDescription:
    """Return one cohort in sums; of fewer patients than the minimum count, nothing."""
    patients = len(cases)
    if not rule.allows(patients):
        return CohortDescription(
            patients=None,
            known=dict.fromkeys(TASKS, None),
            events=dict.fromkeys(TASKS, None),
            phases=dict.fromkeys(PHASES, None),
            manufacturers=dict.fromkeys(MANUFACTURERS, None),
        )
    known = labelled(cases)
    return CohortDescription(
        patients=patients,
        # Who lack a label may be few: updates tell how many have it, to be weighed by.
        known={task: rule.told(known[task]) for task in TASKS},
        events={task: rule.told_part(_events(cases, task), known[task]) for task in TASKS},
        phases={
            phase: rule.told_part(sum(case.present[index] for case in cases), patients)
            for index, phase in enumerate(PHASES)
        },
        manufacturers=_manufacturers(cases, rule),
        measures=_measures(cases, rule),
        follow_up={
            task: _follow_up([getattr(case.labels, task) for case in cases], follow_up, rule)
            for task in SURVIVAL_TASKS
        },
    )


def _manufacturers(cases: Cases, rule: Rule) -> dict[Maker, int | None]:
    makers = Counter(maker_of_patient(_facts(case)) for case in cases)
    return rule.told_categories({maker: makers[maker] for maker in MANUFACTURERS})


def _facts(case: PreparedCase) -> RegionFacts:
    return from_text(load_facts(case.roi_path))


def _events(cases: Cases, task: Task) -> int:
    if task == "mvi":
        return sum(bool(case.labels.mvi) for case in cases)
    outcomes = [getattr(case.labels, task) for case in cases]
    return sum(outcome is not None and outcome.event for outcome in outcomes)


def _follow_up(
    outcomes: Sequence[Survival | None], grid: TimeGrid, rule: Rule
) -> FollowUpCells | None:
    """Return events and censorings along the grid; None where either are too few."""
    known = [outcome for outcome in outcomes if outcome is not None]
    events = sum(outcome.event for outcome in known)
    if not known or not rule.allows(len(known), events, len(known) - events):
        return None
    months, event = [x.months for x in known], [x.event for x in known]
    return follow_up_cells(months, event, np.ones((1, len(known))), grid, rule)


def _measures(cases: Cases, rule: Rule) -> dict[str, MeasureSums]:
    """Return measures, none of them where those who have it or those who lack it are few.

    Of a phase's measures the latter are counted from all patients and from those with the phase.
    """
    values: dict[str, list[float]] = {name: [] for name in MEASURES}
    for case in cases:
        for name, value in measure(case).items():
            values[name].append(value)
    wholes = {name: {len(cases)} for name in MEASURES}
    wholes["os_follow_up_months"] = {labelled(cases)["os"]}
    for index, phase in enumerate(PHASES):
        present = sum(case.present[index] for case in cases)
        for tissue in ("liver", "tumour"):
            wholes[f"{tissue}_hu_{phase}"].add(present)
    return {
        name: _sums(name, np.array(found), wholes[name], rule) for name, found in values.items()
    }


def measure(case: PreparedCase) -> dict[str, float]:
    """Return a patient's measures, keys of `MEASURES`; those that are not known are absent."""
    roi = roi_of(case)
    tumour_voxels = int((roi.mask == TUMOUR_LABEL).sum())
    values = {
        "tumour_diameter_mm": roi.spacing_mm * (6 * tumour_voxels / np.pi) ** (1 / 3),
        "roi_spacing_mm": roi.spacing_mm,
    }
    if roi.native_spacing_mm is not None:
        values["in_plane_spacing_mm"], values["slice_spacing_mm"] = roi.native_spacing_mm
    if case.labels.os is not None:
        values["os_follow_up_months"] = case.labels.os.months
    for phase, facts in _facts(case).items():
        for name, hu in (("liver", facts.liver_hu), ("tumour", facts.tumour_hu)):
            if hu is not None:
                values[f"{name}_hu_{phase}"] = hu
    return values


def _sums(name: str, values: FloatArray, wholes: Collection[int], rule: Rule) -> MeasureSums:
    have = len(values)
    if not have or None in [rule.told_part(have, whole) for whole in wholes]:
        return MeasureSums()
    position = MEASURES[name].position(values)
    starts = merged_starts(np.bincount(position, minlength=MEASURES[name].bins), rule.minimum_count)
    once = np.ones((1, len(values)))
    histogram = count_cells(once, position, np.ones((len(values), 1)), starts)
    return MeasureSums(len(values), float(values.sum()), float((values**2).sum()), histogram)
