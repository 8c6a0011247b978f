"""Values that lie far from a site's others: a person should look at them, no program drops them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from client.preparation.facts import RegionFacts
from shared.reporting.names import PHASE_NAMES
from shared.tasks import PHASES, Phase

# Further than so many standard deviations, estimated by the median absolute deviation
# (Leys et al., J Exp Soc Psychol 2013;49:764, with the usual stricter 3.5).
_MOST_DEVIATIONS = 3.5
_MAD_TO_DEVIATION = 1.4826
_FEWEST_VALUES = 8
# Nothing nearer than this to the median is far, however alike the others are.
_LEAST_DISTANCE = {"in_plane_mm": 0.15, "slice_mm": 1.0, "liver_hu": 12, "tumour_hu": 20}
_LEAST_SECONDS = 10.0
# The liver is brightest in the portal venous phase; noise and fat move it by less than this.
_LIVER_MAY_FALL_HU = 12.0

MEASURES: dict[str, tuple[str, str]] = {
    "slice_mm": ("Distance of slices", "mm"),
    "in_plane_mm": ("Voxel in the slice", "mm"),
    "seconds": ("After injection", "s"),
    "liver_hu": ("Liver", "HU"),
    "tumour_hu": ("Tumour", "HU"),
}


@dataclass(frozen=True)
class Outlier:
    """One value to look at."""

    patient_id: str
    measure: str
    phase: Phase
    text: str


def values_of(facts: Mapping[str, RegionFacts], measure: str, phase: Phase) -> dict[str, float]:
    """Return a measure of a phase by patient, where it is known."""
    told = {
        patient: getattr(phases[phase], measure)
        for patient, phases in facts.items()
        if phase in phases
    }
    return {patient: value for patient, value in told.items() if value is not None}


def find_outliers(facts: Mapping[str, RegionFacts]) -> list[Outlier]:
    """Return all values to look at, in the order of patients."""
    found = [
        outlier
        for measure in MEASURES
        for phase in PHASES
        for outlier in _far(values_of(facts, measure, phase), measure, phase)
    ]
    return sorted(found + _misplaced(facts), key=lambda one: (one.patient_id, one.measure))


def _far(values: Mapping[str, float], measure: str, phase: Phase) -> list[Outlier]:
    if len(values) < _FEWEST_VALUES:
        return []
    middle = float(np.median(list(values.values())))
    deviation = _MAD_TO_DEVIATION * float(
        np.median(np.abs(np.array(list(values.values())) - middle))
    )
    limit = max(_MOST_DEVIATIONS * deviation, _LEAST_DISTANCE.get(measure, _LEAST_SECONDS))
    name, unit = MEASURES[measure]
    return [
        Outlier(
            patient,
            measure,
            phase,
            f"{PHASE_NAMES[phase]} {name.lower()} {value:g} {unit}, others {middle:g} {unit}",
        )
        for patient, value in values.items()
        if abs(value - middle) > limit
    ]


def _misplaced(facts: Mapping[str, RegionFacts]) -> list[Outlier]:
    """Return patients whose liver is brighter before the portal venous phase than in it."""
    found = []
    for patient, phases in facts.items():
        if "arterial" not in phases or "portal_venous" not in phases:
            continue
        early, late = phases["arterial"].liver_hu, phases["portal_venous"].liver_hu
        if early is not None and late is not None and early > late + _LIVER_MAY_FALL_HU:
            text = (
                f"liver {early:g} HU in the arterial and {late:g} HU in the portal venous phase:"
                " are the two mixed up?"
            )
            found.append(Outlier(patient, "liver_hu", "arterial", text))
    return found
