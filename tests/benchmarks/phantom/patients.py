"""The patients of each site: their codes, traits, labels and true risks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tests.benchmarks.enrolment import Enrolment
from tests.benchmarks.phantom.outcomes import draw_labels, true_risk
from tests.benchmarks.phantom.sites import SITES, Site
from tests.benchmarks.phantom.traits import Traits, draw_traits, traits_of

_MVI_UNKNOWN = 0.10


@dataclass(frozen=True)
class Patient:
    """One patient before the scan.

    Attributes
    ----------
    patient_id : str
        Says nothing of the order in which patients were drawn.
    traits : Traits
    seed : tuple of int
        Of the patient's own random numbers: the cohort's seed, the site's and the patient's place.
    """

    patient_id: str
    traits: Traits
    seed: tuple[int, int, int]


def enrol(seed: int, sites: Sequence[Site] = SITES) -> list[Enrolment[Patient, Site]]:
    """Draw the patients of every site; the same for the same seed and sites."""
    return [_enrol_at(site, place, seed) for place, site in enumerate(sites)]


def _enrol_at(site: Site, place: int, seed: int) -> Enrolment[Patient, Site]:
    rng = np.random.default_rng((seed, place))
    table = draw_traits(site.patients, site.case_mix, rng)
    risk = true_risk(table)
    clinical = draw_labels(risk, rng)
    codes = [f"{site.code}-{number:03d}" for number in rng.permutation(site.patients) + 1]
    clinical.loc[rng.random(site.patients) < _MVI_UNKNOWN, "mvi"] = pd.NA
    clinical.insert(0, "patient_id", codes)
    truth = risk.table()
    truth.insert(0, "patient_id", codes)
    truth.insert(1, "site", site.name)
    patients = tuple(
        Patient(code, traits, (seed, place, index))
        for index, (code, traits) in enumerate(zip(codes, traits_of(table), strict=True))
    )
    clinical, truth = (table.sort_values("patient_id") for table in (clinical, truth))
    return Enrolment(site, patients, clinical, truth)
