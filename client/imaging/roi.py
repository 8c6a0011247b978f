"""The region of interest as it is kept and trained on; how it is cut: `client.imaging.frame`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Roi:
    """A prepared region of interest.

    Attributes
    ----------
    phases : ndarray, shape (3, D, H, W), float16
        Normalised intensities in the order of `PHASES`; zero where a phase is absent.
    mask : ndarray, shape (D, H, W), uint8
        0 background, 1 liver, 2 tumour.
    present : ndarray, shape (3,), uint8
        1 where the phase was acquired.
    spacing_mm : float
        Edge of a voxel.
    measurements : ndarray, shape (M,), float32
        Of the largest tumour at native resolution, in the order of
        `shared.measurements.MEASUREMENTS`; NaN where unknown.
    native_spacing_mm : tuple of float or None
        Of the scans that it was made from, of the coarsest phase each: in the plane, and from
        slice to slice.
    """

    phases: NDArray[np.float16]
    mask: NDArray[np.uint8]
    present: NDArray[np.uint8]
    spacing_mm: float
    measurements: NDArray[np.float32]
    native_spacing_mm: tuple[float, float] | None = None
