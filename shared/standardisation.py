"""Federated standardisation: everybody's mean and deviation from sums that sites may share."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.model import DIRECT_FEATURES

FloatArray = NDArray[np.float64]

# A feature that hardly varies (a phase that everybody has) is centred only.
_LEAST_DEVIATION = 1e-3


@dataclass(frozen=True, eq=False)
class FeatureSums:
    """Count, sum and sum of squares of each feature over patients; sums of sites add up.

    Attributes
    ----------
    count, total, square : ndarray, shape (F,), float64
    """

    count: FloatArray
    total: FloatArray
    square: FloatArray

    @classmethod
    def empty(cls) -> "FeatureSums":
        """Return the sums of no patient."""
        return cls(*(np.zeros(DIRECT_FEATURES) for _ in range(3)))

    @classmethod
    def over(cls, values: FloatArray, known: FloatArray) -> "FeatureSums":
        """Return the sums of patients, shape (n, F), where `known` is 1."""
        return cls(known.sum(axis=0), (values * known).sum(axis=0), (values**2 * known).sum(axis=0))

    def __add__(self, other: "FeatureSums") -> "FeatureSums":
        return FeatureSums(
            self.count + other.count, self.total + other.total, self.square + other.square
        )

    def mean_and_deviation(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return both for each feature; 0 and 1 where no patient has it."""
        count = np.maximum(self.count, 1)
        mean = self.total / count
        deviation = np.sqrt(np.maximum(self.square / count - mean**2, 0))
        deviation = np.where(deviation < _LEAST_DEVIATION, 1.0, deviation)
        return mean.astype(np.float32), deviation.astype(np.float32)

    def as_lists(self) -> dict[str, list[float]]:
        """Return plain numbers for the wire; `from_lists` is the inverse."""
        return {
            "count": self.count.tolist(),
            "total": self.total.tolist(),
            "square": self.square.tolist(),
        }

    @classmethod
    def from_lists(cls, lists: Mapping[str, object]) -> "FeatureSums":
        """Rebuild from `as_lists`.

        Raises
        ------
        KeyError, TypeError, ValueError
            A missing key, another length, or numbers that are not finite or, for counts and
            squares, negative.
        """
        arrays = [np.asarray(lists[key], dtype=np.float64) for key in ("count", "total", "square")]
        if any(a.shape != (DIRECT_FEATURES,) or not np.isfinite(a).all() for a in arrays):
            raise ValueError(f"expected {DIRECT_FEATURES} finite numbers each")
        if (arrays[0] < 0).any() or (arrays[2] < 0).any():
            raise ValueError("counts and squares must be >= 0")
        return cls(*arrays)


def add_up(sums: Iterable[FeatureSums]) -> FeatureSums:
    """Return the sum in the order given."""
    return sum(sums, start=FeatureSums.empty())
