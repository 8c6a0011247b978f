"""The patients of each site: their codes, traits, outcomes, and the phases that were taken."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from shared.tasks import LABEL_COLUMNS, PHASES, Phase
from simulation.cohort.folder import TRUTH_COLUMNS
from tests.benchmarks.cirrhotic.outcomes import draw_outcome
from tests.benchmarks.cirrhotic.sites import SITES, Site
from tests.benchmarks.cirrhotic.traits import Traits, draw_traits
from tests.benchmarks.enrolment import Enrolment

# What a stream of random numbers is for.
_CODES, _PATIENT, _SCAN = 70, 71, 72

_FIRST_CODE, _CODES_AFTER_IT = 1000, 9000
_PHASE_MISSING = 0.05
_WHICH_PHASE = (0.35, 0.20, 0.45)


@dataclass(frozen=True)
class Patient:
    """One patient before the scan.

    Attributes
    ----------
    patient_id : str
        Says nothing of the order in which patients were drawn.
    traits : Traits
    missing_phase : str or None
        The phase that was not taken.
    seed : tuple of int
        Of the scan's random numbers: the cohort's seed, their use, the site's and the patient's
        place.
    """

    patient_id: str
    traits: Traits
    missing_phase: Phase | None
    seed: tuple[int, int, int, int]


def enrol(seed: int, sites: Sequence[Site] = SITES) -> list[Enrolment[Patient, Site]]:
    """Draw the patients of every site.

    The same seed gives a site at the same place the same patients; a smaller site has the first
    of them.
    """
    return [_enrol_at(site, place, seed) for place, site in enumerate(sites)]


def _enrol_at(site: Site, place: int, seed: int) -> Enrolment[Patient, Site]:
    numbers = np.random.default_rng((seed, _CODES, place)).permutation(_CODES_AFTER_IT)
    patients, rows = [], []
    for index, number in enumerate(numbers[: site.patients] + _FIRST_CODE):
        rng = np.random.default_rng((seed, _PATIENT, place, index))
        code, traits = f"{site.code}-{number}", draw_traits(site.case_mix, rng)
        outcome = draw_outcome(traits, site.log_hazard, rng)
        missing = _draw_missing_phase(rng)
        patients.append(Patient(code, traits, missing, (seed, _SCAN, place, index)))
        rows.append({"patient_id": code, "site": site.name, **asdict(outcome)})
    table = pd.DataFrame(rows).astype({"mvi": "Int64"}).sort_values("patient_id")
    return Enrolment(
        site=site,
        patients=tuple(patients),
        clinical=table[["patient_id", *LABEL_COLUMNS]],
        truth=table[list(TRUTH_COLUMNS)],
    )


def _draw_missing_phase(rng: np.random.Generator) -> Phase | None:
    if rng.random() >= _PHASE_MISSING:
        return None
    return PHASES[rng.choice(len(PHASES), p=_WHICH_PHASE)]
