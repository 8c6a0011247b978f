"""The aorta in an axial slice: the brightest round vessel in front of the spine.

The spinal canal is found first, as the hole in bone nearest the middle of the back; the aorta lies
in a window before it and to the patient's left. A disc counts as a vessel where it is even, and
where what surrounds it is neither like it, as in an organ, nor brighter, as around a vertebra.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from client.series.vessels import VesselShape, steps_of, vessels

Array = NDArray[np.float64]

_BONE_HU = 160.0
_BODY_HU = -300.0
_CANAL_MM2 = (60.0, 700.0)
_GAP_MM = 3.0
# Where the aorta's centre may lie from the canal's: to the left, and forwards (-y).
_LEFT_MM = (-14.0, 45.0)
_FORWARD_MM = (22.0, 80.0)
# The vertebral body lies within these distances to the side and forwards.
_VERTEBRA_MM = ((25.0, 33.0), (18.0, 42.0))
_RING_MM = (13.0, 17.0)
_AORTA = VesselShape(
    disc_mm=6.0, ring_mm=_RING_MM, most_uneven_hu=30.0, most_like=0.6, most_brighter=0.2
)


def spinal_canal_mm(
    hu: Array, x_mm: Array, y_mm: Array, spacing_mm: float
) -> tuple[float, float] | None:
    """Return the canal's centre (x, y); None where no bone surrounds a hole in the back.

    Parameters
    ----------
    hu, x_mm, y_mm : ndarray, shape (H, W)
        Attenuation, and the position of every voxel: the patient's left and back are positive.
    spacing_mm : float
    """
    body = hu > _BODY_HU
    if not body.any():
        return None
    left, right = np.percentile(x_mm[body], (2, 98))
    front, back = np.percentile(y_mm[body], (2, 98))
    gap = steps_of(_GAP_MM, spacing_mm)
    bone = ndimage.binary_closing(hu > _BONE_HU, iterations=gap)
    holes = ndimage.binary_fill_holes(bone) & (hu < _BONE_HU)
    holes = ndimage.binary_opening(holes, iterations=gap)
    pieces, count = ndimage.label(holes)
    best, nearest = None, 0.15 * (right - left)
    for piece in range(1, count + 1):
        where = pieces == piece
        area_mm2 = float(where.sum()) * spacing_mm**2
        x, y = float(x_mm[where].mean()), float(y_mm[where].mean())
        away = abs(x - (left + right) / 2)
        behind = y > front + 0.55 * (back - front)
        if behind and _CANAL_MM2[0] <= area_mm2 <= _CANAL_MM2[1] and away < nearest:
            best, nearest = (x, y), away
    return best


def aorta_hu(
    hu: Array, right_to_left_mm: Array, depth_mm: Array, spacing_mm: float
) -> float | None:
    """Return the attenuation of the aorta, or None.

    Parameters
    ----------
    hu : ndarray, shape (H, W)
    right_to_left_mm, depth_mm : ndarray, shape (H, W)
        Positions from the spinal canal: the patient's left and back are positive.
    spacing_mm : float
    """
    forward = -depth_mm
    near = (
        (right_to_left_mm > _LEFT_MM[0] - _RING_MM[1])
        & (right_to_left_mm < _LEFT_MM[1] + _RING_MM[1])
        & (forward > _FORWARD_MM[0] - _RING_MM[1])
        & (forward < _FORWARD_MM[1] + _RING_MM[1])
    )
    if not near.any():
        return None
    rows, columns = np.nonzero(near)
    part = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    values, across, ahead = hu[part], right_to_left_mm[part], forward[part]
    allowed = (across >= _LEFT_MM[0]) & (across <= _LEFT_MM[1])
    allowed &= (ahead >= _FORWARD_MM[0]) & (ahead <= _FORWARD_MM[1])
    for aside, before in _VERTEBRA_MM:
        allowed &= ~((np.abs(across) < aside) & (ahead < before))
    mean, vessel = vessels(values, spacing_mm, _AORTA)
    allowed &= vessel
    return float(mean[allowed].max()) if allowed.any() else None
