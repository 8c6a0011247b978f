"""Sums of what an untrained trunk pools, by which the federation standardises it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.standardisation import check_moments, moments

FloatArray = NDArray[np.float64]

# A map that is the same for everybody is centred only.
_LEAST_DEVIATION = 1e-6


@dataclass(frozen=True, eq=False)
class MapSums:
    """Sums over patients of pooled maps (`MultiTaskNet.pool`); sums of sites add up.

    Attributes
    ----------
    patients : float
    total, square : ndarray, shape (P,), float64
        Sum and sum of squares of every mean of a map.
    """

    patients: float
    total: FloatArray
    square: FloatArray

    @classmethod
    def empty(cls, maps: int) -> "MapSums":
        """Return the sums of no patient."""
        return cls(0.0, np.zeros(maps), np.zeros(maps))

    @classmethod
    def over(cls, pooled: FloatArray) -> "MapSums":
        """Return the sums of patients, shape (n, P)."""
        return cls(float(len(pooled)), pooled.sum(axis=0), (pooled**2).sum(axis=0))

    def __add__(self, other: "MapSums") -> "MapSums":
        return MapSums(
            self.patients + other.patients, self.total + other.total, self.square + other.square
        )

    def at_least(self, minimum_count: int) -> "MapSums":
        """Return the sums, or those of nobody where they rest on fewer patients."""
        return self if self.patients >= minimum_count else self.empty(len(self.total))

    def mean_and_deviation(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return both for each map, shape (P,); 0 and 1 where there is no patient."""
        mean, deviation = moments(self.patients, self.total, self.square, _LEAST_DEVIATION)
        return mean.astype(np.float32), deviation.astype(np.float32)

    def as_lists(self) -> dict[str, list[float]]:
        """Return plain numbers for the wire; `from_lists` is the inverse."""
        return {
            "patients": [self.patients],
            "total": self.total.tolist(),
            "square": self.square.tolist(),
        }

    @classmethod
    def from_lists(cls, lists: Mapping[str, object], patients: int, maps: int) -> "MapSums":
        """Rebuild from `as_lists` of so many patients and maps; errors as of `FeatureSums`."""
        arrays = {name: np.asarray(lists[name], dtype=np.float64) for name in ("total", "square")}
        arrays["patients"] = np.asarray(lists["patients"], dtype=np.float64)
        for name, array in arrays.items():
            expected = (1,) if name == "patients" else (maps,)
            if array.shape != expected or not np.isfinite(array).all():
                raise ValueError(f"{name}: expected {expected[0]} finite numbers")
        check_moments(arrays["patients"], arrays["total"], arrays["square"], patients)
        return cls(float(arrays["patients"][0]), arrays["total"], arrays["square"])
