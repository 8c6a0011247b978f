"""One drawn patient: identity, signs, risk and labels; no image yet."""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from shared.seeds import derive_seed
from shared.tasks import Labels
from simulation.cohort.outcome import TrueRisk, draw_labels, true_risk
from simulation.cohort.settings import SyntheticCohortSettings
from simulation.cohort.signs import LesionSigns, draw_signs

_CODE_LETTERS = 8


@dataclass(frozen=True)
class Patient:
    """One patient of a synthetic federation.

    Attributes
    ----------
    patient_id : str
        Unique over the federation; tells the site, and nothing of the patient or the order.
    site : str
    index : int
        Place in the site's draw: (seed, site, index) gives the same patient again.
    signs : LesionSigns
    risk : TrueRisk
    labels : Labels
    """

    patient_id: str
    site: str
    index: int
    signs: LesionSigns
    risk: TrueRisk
    labels: Labels


def stream(
    settings: SyntheticCohortSettings, site: str, index: int, use: str
) -> np.random.Generator:
    """Return the random numbers of one use of one patient (``"signs"``, ``"anatomy"``, ...).

    Uses have streams apart, so that a change in how one draws leaves the others as they were.
    """
    return np.random.default_rng(derive_seed(settings.seed, site, index, use))


def draw_patient(settings: SyntheticCohortSettings, site: str, index: int) -> Patient:
    """Draw patient `index` of a site."""
    mix = settings.sites[site].mix
    signs = draw_signs(mix, stream(settings, site, index, "signs"))
    risk = true_risk(signs)
    labels = draw_labels(risk, mix, stream(settings, site, index, "outcome"))
    return Patient(_patient_id(settings.seed, site, index), site, index, signs, risk, labels)


def draw_patients(settings: SyntheticCohortSettings) -> Iterator[Patient]:
    """Draw every patient of the federation, site by site."""
    for site, count in settings.patients.items():
        for index in range(count):
            yield draw_patient(settings, site, index)


def _patient_id(seed: int, site: str, index: int) -> str:
    prefix = "".join(part[0] if part.isalpha() else part for part in site.split("_") if part)
    digest = hashlib.blake2b(f"{seed}/{site}/{index}".encode(), digest_size=5).digest()
    return f"{prefix.upper()}-{base64.b32encode(digest).decode()[:_CODE_LETTERS]}"
