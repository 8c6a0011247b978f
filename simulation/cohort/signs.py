"""The signs that a radiologist reads from a liver lesion, and how they are spread."""

import math
from dataclasses import dataclass, fields

import numpy as np
from scipy.special import ndtr

from simulation.cohort.settings import PatientMixSettings

# The reference patient mix: signs are standardised against it, at every site alike.
REFERENCE_DIAMETER_MM = 45.0
DIAMETER_LOG_SD = 0.55
DIAMETER_RANGE_MM = (8.0, 115.0)

# How strongly each sign follows the latent severity of a patient's disease, as a correlation.
# Modest, so that no sign stands in for the others.
SEVERITY_LOADINGS = {
    "diameter_mm": 0.25,
    "irregularity": 0.40,
    "rim": 0.40,
    "hyperenhancement_hu": -0.15,
    "washout_hu": 0.25,
    "capsule": -0.25,
    "necrosis": 0.30,
    "satellites": 0.35,
    "lesions": 0.25,
    "corona": 0.40,
}

_IRREGULARITY = (0.0, 1.0)
_HYPERENHANCEMENT_HU = (5.0, 55.0)
_WASHOUT_HU = (0.0, 42.0)
# A graded sign is absent below this quantile and rises evenly to its greatest value above it.
_ABSENT_BELOW = {"rim": 0.40, "capsule": 0.30, "necrosis": 0.40, "corona": 0.40}
_GREATEST_NECROSIS = 0.55
# A count is the number of these quantiles that a patient exceeds.
_COUNT_QUANTILES = {"satellites": (0.60, 0.78, 0.90), "lesions": (0.74, 0.92)}


@dataclass(frozen=True)
class LesionSigns:
    """One patient's signs; everything that outcomes depend on, and all of it in the image.

    Attributes
    ----------
    diameter_mm : float
        Of the main lesion, 8 to 115.
    irregularity : float
        Of the main lesion's margin: 0 smooth to 1 lobulated and infiltrating.
    rim : float
        Rim-like arterial hyperenhancement: 0 absent to 1 vivid.
    hyperenhancement_hu : float
        Arterial hyperenhancement of the lesion's solid part over the liver (non-rim APHE).
    washout_hu : float
        Depth of the lesion's solid part below the liver in the delayed phase.
    capsule : float
        Enhancing capsule in the venous and delayed phases: 0 absent to 1 complete.
    necrosis : float
        Part of the main lesion's volume that does not enhance, 0 to 0.55.
    satellites : int
        Nodules close to the main lesion, 0 to 3.
    lesions : int
        Tumours apart from each other, the main one included, 1 to 3.
    corona : float
        Arterial enhancement of the liver around the lesion: 0 absent to 1 vivid.
    """

    diameter_mm: float
    irregularity: float
    rim: float
    hyperenhancement_hu: float
    washout_hu: float
    capsule: float
    necrosis: float
    satellites: int
    lesions: int
    corona: float


def draw_signs(mix: PatientMixSettings, rng: np.random.Generator) -> LesionSigns:
    """Draw one patient's signs: a Gaussian copula with one factor, the latent severity.

    The factor's mean is ``mix.severity``, so that a sicker population is so in every sign.
    """
    severity = mix.severity + rng.standard_normal()
    loadings = np.array(list(SEVERITY_LOADINGS.values()))
    scores = loadings * severity + np.sqrt(1 - loadings**2) * rng.standard_normal(len(loadings))
    score = dict(zip(SEVERITY_LOADINGS, scores.tolist(), strict=True))
    quantile = {name: float(ndtr(value)) for name, value in score.items()}
    diameter_mm = mix.diameter_mm * math.exp(DIAMETER_LOG_SD * score["diameter_mm"])
    return LesionSigns(
        diameter_mm=float(np.clip(diameter_mm, *DIAMETER_RANGE_MM)),
        irregularity=_between(_IRREGULARITY, quantile["irregularity"]),
        rim=_graded("rim", quantile["rim"]),
        hyperenhancement_hu=_between(_HYPERENHANCEMENT_HU, quantile["hyperenhancement_hu"]),
        washout_hu=_between(_WASHOUT_HU, quantile["washout_hu"]),
        capsule=_graded("capsule", quantile["capsule"]),
        necrosis=_GREATEST_NECROSIS * _graded("necrosis", quantile["necrosis"]),
        satellites=_count("satellites", quantile["satellites"]),
        lesions=1 + _count("lesions", quantile["lesions"]),
        corona=_graded("corona", quantile["corona"]),
    )


def standardise(signs: LesionSigns) -> dict[str, float]:
    """Return each sign with mean 0 and standard deviation 1 in the reference patient mix.

    The diameter enters as its logarithm. Signs keep their names.
    """
    moments = {
        "diameter_mm": (math.log(REFERENCE_DIAMETER_MM), DIAMETER_LOG_SD),
        "irregularity": _uniform_moments(_IRREGULARITY),
        "hyperenhancement_hu": _uniform_moments(_HYPERENHANCEMENT_HU),
        "washout_hu": _uniform_moments(_WASHOUT_HU),
        **{name: _graded_moments(name) for name in _ABSENT_BELOW},
        **{name: _count_moments(name) for name in _COUNT_QUANTILES},
    }
    values = {field.name: float(getattr(signs, field.name)) for field in fields(signs)}
    values["diameter_mm"] = math.log(signs.diameter_mm)
    values["necrosis"] /= _GREATEST_NECROSIS
    values["lesions"] -= 1
    return {name: (value - moments[name][0]) / moments[name][1] for name, value in values.items()}


def _between(bounds: tuple[float, float], quantile: float) -> float:
    return bounds[0] + (bounds[1] - bounds[0]) * quantile


def _graded(name: str, quantile: float) -> float:
    absent = _ABSENT_BELOW[name]
    return max(0.0, (quantile - absent) / (1 - absent))


def _count(name: str, quantile: float) -> int:
    return sum(quantile > threshold for threshold in _COUNT_QUANTILES[name])


def _uniform_moments(bounds: tuple[float, float]) -> tuple[float, float]:
    return (bounds[0] + bounds[1]) / 2, (bounds[1] - bounds[0]) / math.sqrt(12)


def _graded_moments(name: str) -> tuple[float, float]:
    present = 1 - _ABSENT_BELOW[name]
    mean = present / 2
    return mean, math.sqrt(present / 3 - mean**2)


def _count_moments(name: str) -> tuple[float, float]:
    # A count is a sum of nested indicators: E[n^2] = sum over k of (2k + 1) P(n > k).
    tails = [1 - threshold for threshold in _COUNT_QUANTILES[name]]
    mean = sum(tails)
    second = sum((2 * k + 1) * tail for k, tail in enumerate(tails))
    return mean, math.sqrt(second - mean**2)
