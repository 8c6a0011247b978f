"""The kidneys, and the phases that their cortex, medulla and pelvis may be.

The cortex takes up contrast medium before the medulla. With bolus tracking the difference was 110
to 140 HU from 5 to 30 s after the trigger and below 30 HU at 45 s (Eur J Radiol 2007;63:420-426),
that is from the arterial into the early portal venous phase; then both are alike (nephrographic
phase, from 80 to 100 s), and from about three minutes on the renal pelvis fills with medium that
is far brighter than any tissue. The limits lie inside these ranges and leave gaps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull

from client.series.vessels import steps_of
from shared.tasks import Phase

Array = NDArray[np.float64]

# Where a kidney lies from the spinal canal: aside and forwards.
_ASIDE_MM = (14.0, 125.0)
_FORWARD_MM = (-50.0, 85.0)
_CENTRE_MM = ((28.0, 95.0), (0.0, 65.0))
_VERTEBRA_MM = (26.0, 45.0)
# A cross-section: its area, the radius of the largest disc in it, and how long it may be.
_AREA_MM2 = (700.0, 5000.0)
_RADIUS_MM = (12.0, 36.0)
_LONGEST_MM = 95.0
# The part of its convex hull that it fills, its inside counted: an arc of rib does not.
_LEAST_SOLID = 0.35
# Neither lung nor gas lies within a kidney.
_GAS_HU = -250.0
_ABOVE_LIVER_HU = (25.0, 45.0, 65.0, 90.0)
# Of a healthy adult's kidney at most half, to several times one: a part may be out of the scan.
_VOLUME_ML = (60.0, 450.0)
_LEAST_LEVELS = 3
_APART_MM = 30.0
_CORTEX_DEPTH_MM = (2.5, 6.0)
_MEDULLA_DEPTH_MM = 8.0
# Fat, urine and cysts are no medulla, nor is what blurs into them.
_NO_PARENCHYMA_HU = 25.0
_BLUR_MM = 3.5
_LEAST_CORTEX_HU = 120.0
_LEAST_MEDULLA_MM2 = 150.0
_EXCRETED_HU = 250.0
_LEAST_PELVIS_MM2 = 30.0


@dataclass(frozen=True, eq=False)
class KidneyCut:
    """One kidney in one slice.

    Attributes
    ----------
    centre_mm : tuple of float
        Aside and forwards from the spinal canal.
    area_mm2 : float
    cortex, medulla : ndarray, shape (n,)
        HU of its outer shell, and of the parenchyma deep inside.
    brightest : ndarray, shape (n,)
        HU of all its voxels.
    voxel_mm2 : float
    """

    centre_mm: tuple[float, float]
    area_mm2: float
    cortex: Array
    medulla: Array
    brightest: Array
    voxel_mm2: float


@dataclass(frozen=True)
class Kidneys:
    """What the kidneys that were found measure.

    Attributes
    ----------
    cortex_hu, medulla_hu : tuple of float
        Of each kidney.
    excreting : bool
        Both hold medium in the renal pelvis.
    """

    cortex_hu: tuple[float, ...]
    medulla_hu: tuple[float, ...]
    excreting: bool

    def __str__(self) -> str:
        cortex, medulla = np.mean(self.cortex_hu), np.mean(self.medulla_hu)
        count = "kidneys" if len(self.cortex_hu) > 1 else "one kidney"
        pelvis = ", medium in the renal pelvis" if self.excreting else ""
        return f"{count} {cortex:.0f} HU outside and {medulla:.0f} HU inside{pelvis}"


def kidney_cut(
    hu: Array,
    taken: NDArray[np.bool_],
    aside_mm: Array,
    forward_mm: Array,
    spacing_mm: float,
    liver_hu: float,
) -> KidneyCut | None:
    """Return the kidney of one side in a slice, or None.

    Parameters
    ----------
    hu : ndarray, shape (H, W)
    taken : ndarray of bool, shape (H, W)
        Liver and tumour.
    aside_mm, forward_mm : ndarray, shape (H, W)
        Positions from the spinal canal: towards the side that is searched, and to the front.
    spacing_mm, liver_hu : float
    """
    window = (aside_mm >= _ASIDE_MM[0]) & (aside_mm <= _ASIDE_MM[1])
    window &= (forward_mm >= _FORWARD_MM[0]) & (forward_mm <= _FORWARD_MM[1])
    rows, columns = np.nonzero(window)
    if not len(rows):
        return None
    part = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    smooth = ndimage.gaussian_filter(hu[part], 1.5 / spacing_mm)
    aside, forward = aside_mm[part], forward_mm[part]
    allowed = window[part] & ~taken[part]
    allowed &= (aside > _VERTEBRA_MM[0]) | (forward > _VERTEBRA_MM[1])
    for above_hu in _ABOVE_LIVER_HU:
        bright = ndimage.binary_opening(
            allowed & (smooth > liver_hu + above_hu), iterations=steps_of(2.0, spacing_mm)
        )
        pieces, count = ndimage.label(bright)
        found = [
            whole
            for whole in (_filled(pieces == n) for n in range(1, count + 1))
            if _is_kidney(whole, window[part], aside, forward, spacing_mm)
            and not (smooth[whole] < _GAS_HU).any()
        ]
        if len(found) == 1:
            return _cut(smooth, found[0], aside, forward, spacing_mm)
    return None


def kidneys_of(
    sides: Sequence[Sequence[KidneyCut | None]], level_distance_mm: float
) -> Kidneys | None:
    """Return the kidneys that several slices, one after the other, show for certain.

    Parameters
    ----------
    sides : sequence of sequence of KidneyCut or None
        The right and the left side, each from slice to slice.
    level_distance_mm : float
    """
    found = [run for run in (_longest(cuts) for cuts in sides) if _whole(run, level_distance_mm)]
    cortex, medulla, pelvis = [], [], []
    for run in found:
        shell = np.concatenate([cut.cortex for cut in run])
        deep = np.concatenate([cut.medulla for cut in run])
        if len(deep) * run[0].voxel_mm2 < _LEAST_MEDULLA_MM2:
            continue
        outside = float(np.percentile(shell, 70))
        if outside < _LEAST_CORTEX_HU:
            continue
        cortex.append(outside)
        medulla.append(float(np.percentile(deep, 30)))
        full = sum(int((cut.brightest > outside + _EXCRETED_HU).sum()) for cut in run)
        pelvis.append(full * run[0].voxel_mm2 >= _LEAST_PELVIS_MM2)
    if not cortex:
        return None
    # A stone lies in one kidney: medium that was excreted fills both.
    return Kidneys(tuple(cortex), tuple(medulla), len(pelvis) == 2 and all(pelvis))


def possible_phases(kidneys: Kidneys, aorta_hu: float | None) -> frozenset[Phase] | None:
    """Return the phases that the kidneys may be; None between them, or where they differ.

    Parenchyma that is even is a nephrogram only where it is as bright as the aorta: what is
    darker may be another organ, or a kidney that hardly works.
    """
    differences = [
        outside - inside
        for outside, inside in zip(kidneys.cortex_hu, kidneys.medulla_hu, strict=True)
    ]
    if min(differences) >= 70:
        return None if kidneys.excreting else frozenset({"arterial", "portal_venous"})
    if max(differences) >= 30:
        return None
    if aorta_hu is None or min(kidneys.cortex_hu) < aorta_hu - 15:
        return None
    if kidneys.excreting:
        return frozenset({"delayed"})
    return frozenset({"portal_venous", "delayed"})


def _filled(piece: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a piece's convex hull: with the sinus, and the medulla that the cortex encloses.

    Empty where the piece fills too little of it.
    """
    filled = np.zeros_like(piece)
    corners = np.argwhere(piece)
    if (np.ptp(corners, axis=0) < 2).any():
        return filled
    low, high = corners.min(axis=0), corners.max(axis=0) + 1
    box = np.s_[low[0] : high[0], low[1] : high[1]]
    places = np.indices(high - low).reshape(2, -1).T + low
    hull = ConvexHull(corners).equations
    inside = (places @ hull[:, :2].T + hull[:, 2] <= 1e-9).all(axis=1)
    filled[box] = inside.reshape(high - low)
    solid = ndimage.binary_fill_holes(piece).sum() / max(1, filled.sum())
    return filled if solid >= _LEAST_SOLID else np.zeros_like(piece)


def _is_kidney(
    whole: NDArray[np.bool_],
    window: NDArray[np.bool_],
    aside: Array,
    forward: Array,
    spacing_mm: float,
) -> bool:
    area_mm2 = float(whole.sum()) * spacing_mm**2
    if not _AREA_MM2[0] <= area_mm2 <= _AREA_MM2[1]:
        return False
    inner = ndimage.binary_erosion(window, iterations=2, border_value=0)
    if (whole & ~inner).any():
        return False  # goes on beyond where a kidney lies
    centre = (float(aside[whole].mean()), float(forward[whole].mean()))
    if not all(low <= at <= high for at, (low, high) in zip(centre, _CENTRE_MM, strict=True)):
        return False
    length_mm = max(float(np.ptp(aside[whole])), float(np.ptp(forward[whole])))
    radius_mm = float(ndimage.distance_transform_edt(np.pad(whole, 1)).max()) * spacing_mm
    return length_mm <= _LONGEST_MM and _RADIUS_MM[0] <= radius_mm <= _RADIUS_MM[1]


def _cut(
    smooth: Array, whole: NDArray[np.bool_], aside: Array, forward: Array, spacing_mm: float
) -> KidneyCut:
    depth_mm = ndimage.distance_transform_edt(np.pad(whole, 1))[1:-1, 1:-1] * spacing_mm
    shell = (depth_mm >= _CORTEX_DEPTH_MM[0]) & (depth_mm <= _CORTEX_DEPTH_MM[1])
    # Where the sinus opens, the shell is fat.
    cortex = smooth[shell & (smooth > _NO_PARENCHYMA_HU)]
    bright_hu = float(np.percentile(cortex, 70)) + _EXCRETED_HU / 3
    other = whole & ((smooth < _NO_PARENCHYMA_HU) | (smooth > bright_hu))
    blurred = ndimage.binary_dilation(other, iterations=steps_of(_BLUR_MM, spacing_mm))
    deep = (depth_mm >= _MEDULLA_DEPTH_MM) & ~blurred
    return KidneyCut(
        centre_mm=(float(aside[whole].mean()), float(forward[whole].mean())),
        area_mm2=float(whole.sum()) * spacing_mm**2,
        cortex=cortex,
        medulla=smooth[deep],
        brightest=smooth[whole],
        voxel_mm2=spacing_mm**2,
    )


def _longest(cuts: Sequence[KidneyCut | None]) -> list[KidneyCut]:
    """Return the longest run of slices in which one kidney goes on."""
    best: list[KidneyCut] = []
    run: list[KidneyCut] = []
    for cut in cuts:
        if cut is None:
            run = []
            continue
        goes_on = run and np.hypot(*np.subtract(cut.centre_mm, run[-1].centre_mm)) <= _APART_MM
        run = [*run, cut] if goes_on else [cut]
        best = max(best, run, key=len)
    return best


def _whole(run: Sequence[KidneyCut], level_distance_mm: float) -> bool:
    volume_ml = sum(cut.area_mm2 for cut in run) * level_distance_mm / 1000
    return len(run) >= _LEAST_LEVELS and _VOLUME_ML[0] <= volume_ml <= _VOLUME_ML[1]
