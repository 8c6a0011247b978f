"""Affine maps of the patient's space: a tilted gantry, a patient who moved."""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Affine:
    """``matrix @ point + offset_mm`` for points in mm.

    Attributes
    ----------
    matrix : ndarray, shape (3, 3)
    offset_mm : ndarray, shape (3,)
    """

    matrix: FloatArray
    offset_mm: FloatArray

    def __call__(self, points_mm: FloatArray) -> FloatArray:
        """Return where points, shape (n, 3), are mapped to."""
        return np.asarray(points_mm @ self.matrix.T + self.offset_mm, dtype=np.float64)

    def then(self, other: "Affine") -> "Affine":
        """Return the map that does this one first and the other after it."""
        return Affine(other.matrix @ self.matrix, other(self.offset_mm[None])[0])

    def inverse(self) -> "Affine":
        """Return the map back."""
        if self.is_identity:
            return self
        back = np.asarray(np.linalg.inv(self.matrix), dtype=np.float64)
        return Affine(back, np.asarray(-back @ self.offset_mm, dtype=np.float64))

    @property
    def is_identity(self) -> bool:
        """Whether every point stays exactly where it is."""
        return bool((self.matrix == np.eye(3)).all() and not self.offset_mm.any())

    def as_transform(self) -> sitk.Transform:
        """Return SimpleITK's form of it, for resampling."""
        if self.is_identity:
            return sitk.Transform()
        return sitk.AffineTransform(self.matrix.ravel().tolist(), self.offset_mm.tolist())


IDENTITY = Affine(np.eye(3), np.zeros(3))
