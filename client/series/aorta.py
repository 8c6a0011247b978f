"""The aorta in an axial slice: the brightest round vessel in front of the spine.

The spinal canal is found first, as the hole in bone nearest the middle of the back; the aorta lies
in a window before it and to the patient's left. A disc counts as a vessel where it is even, and
where what surrounds it is neither like it, as in an organ, nor brighter, as around a vertebra.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

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
_DISC_MM = 6.0
_RING_MM = (13.0, 17.0)
_MOST_UNEVEN_HU = 30.0
_LIKE_HU = 20.0
_BRIGHTER_HU = 40.0


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
    gap = max(1, round(_GAP_MM / spacing_mm))
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
    mean, vessel = _vessels(values, spacing_mm)
    allowed &= vessel
    return float(mean[allowed].max()) if allowed.any() else None


def _vessels(values: Array, spacing_mm: float) -> tuple[Array, NDArray[np.bool_]]:
    """Return the mean of the disc around each voxel, and whether the disc may be a vessel."""
    disc = _kernel(0.0, _DISC_MM, spacing_mm)
    ring = _kernel(*_RING_MM, spacing_mm)
    smooth = ndimage.gaussian_filter(values, 1.0 / spacing_mm)
    mean = _convolve(smooth, disc)
    uneven = np.sqrt(np.maximum(_convolve(smooth**2, disc) - mean**2, 0))
    like = np.zeros_like(mean)
    brighter = np.zeros_like(mean)
    height, width = ring.shape
    padded = np.pad(smooth, ((height // 2,) * 2, (width // 2,) * 2), mode="edge")
    for row, column in np.argwhere(ring > 0):
        shifted = padded[row : row + mean.shape[0], column : column + mean.shape[1]]
        like += (np.abs(shifted - mean) <= _LIKE_HU) / (ring > 0).sum()
        brighter += (shifted > mean + _BRIGHTER_HU) / (ring > 0).sum()
    return mean, (uneven <= _MOST_UNEVEN_HU) & (like <= 0.6) & (brighter <= 0.2)


def _kernel(inner_mm: float, outer_mm: float, spacing_mm: float) -> Array:
    reach = int(np.ceil(outer_mm / spacing_mm))
    rows, columns = np.indices((2 * reach + 1, 2 * reach + 1)) - reach
    distance = np.hypot(rows, columns) * spacing_mm
    kernel = ((distance >= inner_mm) & (distance <= outer_mm)).astype(np.float64)
    return np.asarray(kernel / kernel.sum(), np.float64)


def _convolve(values: Array, kernel: Array) -> Array:
    reach = kernel.shape[0] // 2
    padded = np.pad(values, reach, mode="edge")
    return np.asarray(signal.fftconvolve(padded, kernel, mode="valid"), np.float64)
