"""Ratios that may have nothing below the line."""

import numpy as np
from numpy.typing import ArrayLike

from shared.evidence.cells import FloatArray


def ratio(part: ArrayLike, whole: ArrayLike) -> FloatArray:
    """Return part / whole, NaN where whole is 0."""
    parts, wholes = np.broadcast_arrays(np.asarray(part, float), np.asarray(whole, float))
    quotient: FloatArray = np.divide(
        parts, wholes, out=np.full(parts.shape, np.nan), where=wholes != 0
    )
    return quotient
