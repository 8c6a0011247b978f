"""The portal vein in and beside the liver, and the phases that it may be.

Contrast medium reaches it after the gut and the spleen: in the arterial phase it lies far below
the aorta (late arterial: aorta 290 to 360 HU, portal vein 145 +/- 20 HU, Radiopaedia, "Late
arterial phase"); in the portal venous phase it is as bright as the aorta, and hepatic veins too
(CT/MRI LI-RADS v2018); in the delayed phase aorta and veins are alike, a little above the liver.
The limits lie inside these ranges and leave gaps.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from client.series.vessels import VesselShape, steps_of, vessels
from shared.tasks import LIVER_LABEL, TUMOUR_LABEL, Phase

Array = NDArray[np.float64]

_VEIN = VesselShape(
    disc_mm=4.0, ring_mm=(9.0, 12.0), most_uneven_hu=22.0, most_like=0.55, most_brighter=0.1
)
# The hilum is a notch in most masks; what is wider is outside the liver.
_NOTCH_MM = 8.0
_EDGE_MM = 4.0
_TUMOUR_MM = 6.0
# Right kidney and vena cava lie nearer to the spinal canal than this, the hilum before them.
_LEAST_FORWARD_MM = 68.0
# A vein stands out from the liver by so much, and by so many times the liver's own spread.
_ABOVE_LIVER_HU = 14.0
_ABOVE_SPREAD = 2.5
# In more noise than this, chance makes veins.
_MOST_SPREAD_HU = 9.0
_LEAST_MM2 = 16.0
_LEAST_LEVELS = 2


def portal_vein_hu(
    hu: Array,
    labels: NDArray[np.uint8],
    forward_mm: Array,
    spacing_mm: float,
    liver_hu: float,
) -> float | None:
    """Return the attenuation of the brightest vein of the liver in a slice, or None.

    Hepatic veins are not told from it: they are never brighter in the arterial phase, and alike
    in the others.

    Parameters
    ----------
    hu : ndarray, shape (H, W)
    labels : ndarray, shape (H, W)
        0 background, 1 liver, 2 tumour.
    forward_mm : ndarray, shape (H, W)
        Positions from the spinal canal: the patient's front is positive.
    spacing_mm, liver_hu : float
    """
    searched = _searched(labels, spacing_mm)
    searched &= forward_mm >= _LEAST_FORWARD_MM
    if not searched.any():
        return None
    reach = int(np.ceil(_VEIN.ring_mm[1] / spacing_mm)) + 1
    rows, columns = np.nonzero(searched)
    part = tuple(
        slice(max(0, int(found.min()) - reach), int(found.max()) + reach + 1)
        for found in (rows, columns)
    )
    return _brightest(hu[part], searched[part], spacing_mm, liver_hu)


def of_levels(values: list[float | None]) -> float | None:
    """Return the vein's attenuation from what several slices show; None where too few do."""
    told = [value for value in values if value is not None]
    return float(np.median(told)) if len(told) >= _LEAST_LEVELS else None


def possible_phases(portal_hu: float, aorta_hu: float, liver_hu: float) -> frozenset[Phase] | None:
    """Return the phases that the vein beside aorta and liver may be; None between them."""
    below = aorta_hu - portal_hu
    above = portal_hu - liver_hu
    if aorta_hu >= 200 and below >= 90:
        return frozenset({"arterial"})
    if abs(below) > 30 or above < 10 or portal_hu < 90:
        return None
    if portal_hu >= 140 and above >= 40 and below <= 15 and aorta_hu >= 135:
        return frozenset({"portal_venous"})
    if max(portal_hu, aorta_hu) < 125 and below >= -5 and above <= 35:
        return frozenset({"delayed"})
    return frozenset({"portal_venous", "delayed"})


def _brightest(
    hu: Array, searched: NDArray[np.bool_], spacing_mm: float, liver_hu: float
) -> float | None:
    mean, vessel = vessels(hu, spacing_mm, _VEIN)
    within = mean[searched]
    spread = 1.48 * float(np.median(np.abs(within - np.median(within))))
    if spread > _MOST_SPREAD_HU:
        return None
    above = max(_ABOVE_LIVER_HU, _ABOVE_SPREAD * spread)
    pieces, count = ndimage.label(vessel & searched & (mean > liver_hu + above), np.ones((3, 3)))
    values = [mean[pieces == piece] for piece in range(1, count + 1)]
    bright = [
        float(np.percentile(inside, 75))
        for inside in values
        if len(inside) * spacing_mm**2 >= _LEAST_MM2
    ]
    return max(bright, default=None)


def _searched(labels: NDArray[np.uint8], spacing_mm: float) -> NDArray[np.bool_]:
    """Return where the vein is looked for: the liver and its notches, away from tumour and edge."""
    whole = (labels == LIVER_LABEL) | (labels == TUMOUR_LABEL)
    notch = steps_of(_NOTCH_MM, spacing_mm)
    closed = ndimage.binary_closing(np.pad(whole, notch), iterations=notch)
    closed = ndimage.binary_fill_holes(closed[notch:-notch, notch:-notch])
    inside = ndimage.binary_erosion(closed, iterations=steps_of(_EDGE_MM, spacing_mm))
    tumour = labels == TUMOUR_LABEL
    near = ndimage.binary_dilation(tumour, iterations=steps_of(_TUMOUR_MM, spacing_mm))
    return np.asarray(inside & ~near, np.bool_)
