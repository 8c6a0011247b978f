"""Vessels in an axial slice: even discs that stand out from what lies around them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

Array = NDArray[np.float64]

_LIKE_HU = 20.0
_BRIGHTER_HU = 40.0


@dataclass(frozen=True)
class VesselShape:
    """How a vessel's cross-section is told from an organ.

    Attributes
    ----------
    disc_mm : float
        Radius of the disc that lies within it.
    ring_mm : tuple of float
        Inner and outer radius of the ring around it.
    most_uneven_hu : float
        Standard deviation within the disc.
    most_like, most_brighter : float
        The part of the ring that may be like the disc, or brighter.
    """

    disc_mm: float
    ring_mm: tuple[float, float]
    most_uneven_hu: float
    most_like: float
    most_brighter: float


def steps_of(length_mm: float, spacing_mm: float) -> int:
    """Return how many voxels, at least one, a length in a slice is."""
    return max(1, round(length_mm / spacing_mm))


def vessels(
    values: Array, spacing_mm: float, shape: VesselShape
) -> tuple[Array, NDArray[np.bool_]]:
    """Return the mean of the disc around each voxel, and whether the disc may be a vessel.

    Parameters
    ----------
    values : ndarray, shape (H, W)
        In HU.
    spacing_mm : float
    shape : VesselShape
    """
    disc = _kernel(0.0, shape.disc_mm, spacing_mm)
    ring = _kernel(*shape.ring_mm, spacing_mm)
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
    even = uneven <= shape.most_uneven_hu
    return mean, even & (like <= shape.most_like) & (brighter <= shape.most_brighter)


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
