"""Types of the arrays, and the one function that several subjects need."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Field = NDArray[np.float32]
Vector = NDArray[np.float64]
Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
# Slices (z, y, x) of a volume.
Box = tuple[slice, slice, slice]


def logistic(values: Array) -> Array:
    """Return the logistic function of each value."""
    return np.asarray(1 / (1 + np.exp(-values)))
