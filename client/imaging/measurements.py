"""A lesion's and its liver's measurements: few, each with a unit and a meaning, from mask and scan.

Inside the tumour every phase is described by three tissues: enhancing tissue of one contrast,
a band beneath the margin that has more (rim in the arterial phase, capsule later), and tissue
that takes up no contrast medium in any phase, at `_NECROTIC_HU`. Which voxels do not enhance is
found from all phases together, in turn with the contrasts; a mean over a region would mix the
three, and in a tumour that is half necrotic it says nothing of the other half.

The constants below are plausible for real livers, but several (necrosis, the band, the corona's
fading) stand near those by which the synthetic patients are made: see `shared.measurements`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from client.imaging.lesion import SATELLITE_MM, FloatArray, Lesion, Mask
from client.imaging.tumours import bounds
from shared.measurements import MEASUREMENTS, phase_measurement
from shared.tasks import Phase

_NECROTIC_HU = 20.0
# Between enhancing and necrotic tissue at least this much, in HU: less cannot be told apart.
_LEAST_CONTRAST_HU = 15.0
_BAND_MIDDLE_MM, _BAND_WIDTH_MM = 1.5, 2.0
_SMOOTHING_MM = 1.2
_REACH_SIGMAS = 4.0
_TURNS = 5
_START_QUANTILE = 0.7
# Shares of necrosis this close to 0 or 1 are noise.
_NOISE_SHARE = 0.1
# As if so many more voxels said "no band" and "as at the start": in a small tumour band and
# core can hardly be told apart, and a wild answer is worse than a timid one.
_PRIOR_VOXELS = 10.0
_INNER_MM = 5.0
_CORONA_REACH_MM, _CORONA_FADING_MM = 14.0, 6.6
_CORONA_PRIOR = 0.2
_FEWEST_VOXELS = 20
# Liver this far from the tumour is the reference; nearer where there is too little of it.
_REFERENCE_MM = ((14.0, 200), (9.0, 100), (5.0, 30), (0.0, 1))
_MOST_NODULES = 3
_LEAST_NODULARITY_MM = 0.05


def measure(
    lesion: Lesion, liver_nodularity_mm: float, phases_hu: Mapping[Phase, NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Return all measurements of a lesion and its liver.

    Parameters
    ----------
    lesion : Lesion
    liver_nodularity_mm : float
        From `client.imaging.liver_surface`; NaN where it is unknown.
    phases_hu : mapping of Phase to ndarray, shape (D, H, W)
        Those that were acquired, on the lesion's grid (`Lesion.sample`).

    Returns
    -------
    ndarray, shape (M,), float32
        In the order of `MEASUREMENTS`; NaN where unknown, as for an absent phase.
    """
    diameter_mm = (6 * lesion.volume_mm3 / np.pi) ** (1 / 3)
    satellites = sum(gap <= SATELLITE_MM for gap in lesion.gaps_mm)
    values = {
        "log_diameter_mm": float(np.log(diameter_mm)),
        "margin_roughness": lesion.roughness(),
        "log_solidity": lesion.log_solidity(),
        "satellites": min(satellites, _MOST_NODULES),
        "other_tumours": min(len(lesion.gaps_mm) - satellites, _MOST_NODULES),
        "log_liver_nodularity_mm": float(
            np.log(np.maximum(liver_nodularity_mm, _LEAST_NODULARITY_MM))
        ),
    }
    reference = _reference(lesion)
    levels = {phase: _level(hu, reference) for phase, hu in phases_hu.items()}
    contrast = {phase: hu - levels[phase] for phase, hu in phases_hu.items()}
    necrotic = {phase: _NECROTIC_HU - level for phase, level in levels.items()}
    tissues = _Tissues.fit(lesion, contrast, necrotic)
    values["non_enhancing_fraction"] = float(tissues.necrosis.mean())
    for phase, hu in contrast.items():
        solid_hu, band_hu = tissues.coefficients[phase]
        values[phase_measurement("solid_hu", phase)] = solid_hu
        values[phase_measurement("band_hu", phase)] = band_hu
        values[phase_measurement("corona_hu", phase)] = _corona(lesion, hu)
    return np.array([values.get(name, np.nan) for name in MEASUREMENTS], np.float32)


@dataclass(frozen=True, eq=False)
class _Tissues:
    """What the tumour consists of.

    Attributes
    ----------
    necrosis : ndarray, shape (n,)
        Share of each of the tumour's voxels that does not enhance.
    coefficients : dict of Phase to (solid_hu, band_hu)
    """

    necrosis: FloatArray
    coefficients: dict[Phase, tuple[float, float]]

    @classmethod
    def fit(
        cls,
        lesion: Lesion,
        contrast: Mapping[Phase, NDArray[np.float32]],
        necrotic: Mapping[Phase, float],
    ) -> "_Tissues":
        """Fit shares of necrosis and contrasts in turn, from a start without band or necrosis."""
        depth = lesion.depth_mm[lesion.tumour]
        band = np.exp(-(((depth - _BAND_MIDDLE_MM) / _BAND_WIDTH_MM) ** 2))
        used = lesion.upright[lesion.tumour] | (depth > _INNER_MM)
        if used.sum() < _FEWEST_VOXELS:
            used[:] = True
        smooth = smooth_inside(lesion, contrast)
        start = {p: float(np.quantile(hu, _START_QUANTILE)) for p, hu in smooth.items()}
        coefficients = {phase: (hu, 0.0) for phase, hu in start.items()}
        necrosis = np.zeros(len(depth))
        for _ in range(_TURNS):
            necrosis = _necrotic_share(smooth, coefficients, band, necrotic)
            solid = (1 - necrosis)[used]
            basis = np.stack([solid, solid * band[used]], axis=1)
            gram = basis.T @ basis + _PRIOR_VOXELS * np.eye(2)
            for phase, hu in contrast.items():
                rest = hu[lesion.tumour][used] - necrosis[used] * necrotic[phase]
                prior = np.array([_PRIOR_VOXELS * start[phase], 0.0])
                solid_hu, band_hu = np.linalg.solve(gram, basis.T @ rest + prior)
                coefficients[phase] = (float(solid_hu), float(band_hu))
        return cls(necrosis, coefficients)


def _necrotic_share(
    smooth: Mapping[Phase, FloatArray],
    coefficients: Mapping[Phase, tuple[float, float]],
    band: FloatArray,
    necrotic: Mapping[Phase, float],
) -> FloatArray:
    """Return the share by least squares over the phases, between enhancing and necrotic."""
    along, across = np.zeros(len(band)), np.zeros(len(band))
    for phase, hu in smooth.items():
        solid_hu, band_hu = coefficients[phase]
        enhancing = solid_hu + band_hu * band
        step = np.minimum(necrotic[phase] - enhancing, -_LEAST_CONTRAST_HU)
        along += (hu - enhancing) * step
        across += step**2
    share = np.clip(along / np.maximum(across, 1e-6), 0, 1)
    return np.clip((share - _NOISE_SHARE) / (1 - 2 * _NOISE_SHARE), 0, 1)


def smooth_inside(
    lesion: Lesion, phases_hu: Mapping[Phase, NDArray[np.float32]]
) -> dict[Phase, FloatArray]:
    """Return the tumour's intensities, smoothed over the tumour alone, shape (n,) each."""
    sigma = _SMOOTHING_MM / np.maximum(lesion.spacing_mm, _SMOOTHING_MM)
    # Beyond the filter's reach around the tumour there is nothing but zeros.
    start, stop = bounds(lesion.tumour)
    reach = int(_REACH_SIGMAS * sigma.max() + 1)
    box = tuple(map(slice, np.maximum(start - reach, 0), stop + reach))
    tumour = lesion.tumour[box]
    inside = tumour.astype(np.float64)

    def smooth(values: FloatArray) -> FloatArray:
        return np.asarray(ndimage.gaussian_filter(values, sigma, truncate=_REACH_SIGMAS)[tumour])

    weight = np.maximum(smooth(inside), 1e-3)
    return {phase: smooth(hu[box] * inside) / weight for phase, hu in phases_hu.items()}


def _reference(lesion: Lesion) -> Mask:
    for distance_mm, fewest in _REFERENCE_MM:
        liver = lesion.liver & (lesion.depth_mm < -distance_mm)
        if liver.sum() >= fewest:
            return liver
    # No liver was drawn: the tissue around the tumour stands for it.
    return ~lesion.tumour & (lesion.depth_mm > -_INNER_MM)


def _level(hu: NDArray[np.float32], reference: Mask) -> float:
    return float(np.median(hu[reference])) if reference.any() else 0.0


def _corona(lesion: Lesion, contrast: NDArray[np.float32]) -> float:
    """Return how much brighter the liver is at the margin than far from it, in HU.

    Fitted as an exponential over the distance beside a constant that is held near 0.
    """
    outside = lesion.liver & (lesion.depth_mm < -0.9) & (lesion.depth_mm > -_CORONA_REACH_MM)
    upright = outside & lesion.upright
    where = upright if upright.sum() >= _FEWEST_VOXELS else outside
    if not where.any():
        return float("nan")
    fading = np.exp(lesion.depth_mm[where] / _CORONA_FADING_MM)
    basis = np.stack([np.ones(len(fading)), fading], axis=1)
    gram = basis.T @ basis + np.diag([_CORONA_PRIOR * len(fading), 1.0])
    return float(np.linalg.solve(gram, basis.T @ contrast[where])[1])
