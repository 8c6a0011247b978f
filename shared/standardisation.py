"""Federated standardisation: everybody's mean and deviation from sums that sites may share."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shared.model import DIRECT_FEATURES, IMAGE_STATISTICS
from shared.weights import LARGEST_WEIGHT

FloatArray = NDArray[np.float64]

# A feature that hardly varies (a phase that everybody has) is centred only. A clinical variable
# may be of any unit: less of its own size than this is rounding.
_LEAST_DEVIATION = 1e-3
_LEAST_OF_SIZE = 1e-6

# No patient's value reaches it: the statistics travel as weights do.
LARGEST_VALUE = LARGEST_WEIGHT / 2

# A correlation that rests on few patients is not trusted whole.
_SHRINKAGE = 0.1

# By how much sums of the same numbers in another order may differ, relative.
_ROUNDING = 1e-6


def _shapes(features: int) -> dict[str, tuple[int, ...]]:
    inputs = features - IMAGE_STATISTICS
    one = dict.fromkeys(("count", "total", "square"), (features,))
    return one | dict.fromkeys(("pair_count", "pair_total", "pair_product"), (inputs, inputs))


_KEYS = tuple(_shapes(DIRECT_FEATURES))


@dataclass(frozen=True, eq=False)
class FeatureSums:
    """Sums of features over patients; sums of sites add up.

    Attributes
    ----------
    count, total, square : ndarray, shape (F,), float64
        Patients who have each feature (`ModelSettings.feature_names`); sum and sum of squares
        over them.
    pair_count, pair_total, pair_product : ndarray, shape (M + V, M + V), float64
        For what the heads read, i and j, over the patients who have both: how many, the sum of
        i, and the sum of i times j.
    """

    count: FloatArray
    total: FloatArray
    square: FloatArray
    pair_count: FloatArray
    pair_total: FloatArray
    pair_product: FloatArray

    @classmethod
    def empty(cls, features: int = DIRECT_FEATURES) -> "FeatureSums":
        """Return the sums of no patient."""
        return cls(**{key: np.zeros(shape) for key, shape in _shapes(features).items()})

    @classmethod
    def over(cls, values: FloatArray, known: FloatArray) -> "FeatureSums":
        """Return the sums of patients, shape (n, F), where `known` is 1."""
        kept = values * known
        read, have = kept[:, IMAGE_STATISTICS:], known[:, IMAGE_STATISTICS:]
        return cls(
            count=known.sum(axis=0),
            total=kept.sum(axis=0),
            square=(kept**2).sum(axis=0),
            pair_count=have.T @ have,
            pair_total=read.T @ have,
            pair_product=read.T @ read,
        )

    def __add__(self, other: "FeatureSums") -> "FeatureSums":
        return FeatureSums(**{key: getattr(self, key) + getattr(other, key) for key in _KEYS})

    def of_pairs(self, told: NDArray[np.bool_]) -> "FeatureSums":
        """Return the sums without the pairs that are not told, shape (M + V, M + V)."""
        pairs = [key for key in _KEYS if key.startswith("pair")]
        return replace(self, **{key: getattr(self, key) * told for key in pairs})

    def mean_and_deviation(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return both for each feature; 0 and 0 where no patient has it, or no site tells it."""
        mean, deviation = self._moments()
        deviation = np.where(self.count > 0, deviation, 0.0)
        return mean.astype(np.float32), deviation.astype(np.float32)

    def correlation(self) -> NDArray[np.float32]:
        """Return the correlations of what the heads read, (M + V, M + V), shrunk towards none.

        Each pair rests on the patients who have both; where nobody has, it is 0. Pairs from
        different patients need not fit together: where shrinkage does not make the matrix
        invertible, it is shrunk further.
        """
        mean, deviation = (moment[IMAGE_STATISTICS:] for moment in self._moments())
        count = np.maximum(self.pair_count, 1)
        # Sum of (i - mean_i)(j - mean_j) over the patients of the pair.
        crossed = self.pair_product - mean[:, None] * self.pair_total.T
        crossed += self.pair_count * np.outer(mean, mean) - self.pair_total * mean[None, :]
        correlation = np.clip(crossed / count / np.outer(deviation, deviation), -1, 1)
        shrunk = (1 - _SHRINKAGE) * correlation
        np.fill_diagonal(shrunk, 1.0)
        return _invertible(shrunk).astype(np.float32)

    def _moments(self) -> tuple[FloatArray, FloatArray]:
        size = np.sqrt(self.square / np.maximum(self.count, 1))
        least = np.full(len(size), _LEAST_DEVIATION)
        least[DIRECT_FEATURES:] = _LEAST_OF_SIZE * size[DIRECT_FEATURES:]
        return moments(self.count, self.total, self.square, least)

    def as_lists(self) -> dict[str, list[float]]:
        """Return plain numbers for the wire; `from_lists` is the inverse."""
        return {key: getattr(self, key).ravel().tolist() for key in _KEYS}

    @classmethod
    def from_lists(
        cls, lists: Mapping[str, object], patients: int, features: int = DIRECT_FEATURES
    ) -> "FeatureSums":
        """Rebuild from `as_lists` of so many patients and features.

        Raises
        ------
        KeyError, TypeError, ValueError
            A missing key, another length, numbers that are not finite, or sums that so many
            patients cannot have.
        """
        shapes = _shapes(features)
        arrays = {key: np.asarray(lists[key], dtype=np.float64) for key in _KEYS}
        for key, shape in shapes.items():
            if arrays[key].shape != (np.prod(shape),) or not np.isfinite(arrays[key]).all():
                raise ValueError(f"{key}: expected {np.prod(shape)} finite numbers")
        sums = cls(**{key: arrays[key].reshape(shape) for key, shape in shapes.items()})
        check_moments(sums.count, sums.total, sums.square, patients)
        sums._check_pairs()
        return sums

    def _check_pairs(self) -> None:
        """Raise ValueError where sums over pairs are not of those who have each feature."""
        count, square = self.count[IMAGE_STATISTICS:], self.square[IMAGE_STATISTICS:]
        if (self.pair_count % 1 != 0).any() or (self.pair_count < 0).any():
            raise ValueError("pair_count: expected whole numbers >= 0")
        if (self.pair_count > np.minimum.outer(count, count)).any():
            raise ValueError("pair_count: more patients than have each feature")
        # Cauchy and Schwarz: both are exceeded by no sum over any patients among these.
        _check_at_most("pair_total", self.pair_total, np.sqrt(self.pair_count * square[:, None]))
        _check_at_most("pair_product", self.pair_product, np.sqrt(np.outer(square, square)))


def check_moments(count: FloatArray, total: FloatArray, square: FloatArray, patients: int) -> None:
    """Raise ValueError where no values of so many patients have these sums.

    Parameters
    ----------
    count, total, square : ndarray, shape (F,)
        As of `FeatureSums`.
    patients : int
        No count may exceed it.
    """
    if (count % 1 != 0).any() or (count < 0).any() or (count > patients).any():
        raise ValueError(f"counts must be whole numbers of at most {patients} patients")
    if (square < 0).any():
        raise ValueError("sums of squares must be >= 0")
    _check_at_most("square", square, count * LARGEST_VALUE**2)
    _check_at_most("total", total, np.sqrt(count * square))


def _check_at_most(name: str, sums: FloatArray, largest: FloatArray) -> None:
    if (np.abs(sums) > largest * (1 + _ROUNDING)).any():
        raise ValueError(f"{name}: larger than any patients' values make it")


def _invertible(correlation: FloatArray) -> FloatArray:
    """Return a correlation matrix, blended with that of no correlation where it has to be.

    Pairs over the same patients have no eigenvalue below the shrinkage, and pairs over different
    ones are given none. With 0.01, where each of three sites lacks another phase, what stands for
    an absent one lay further from the truth than the mean does.
    """
    symmetric = (correlation + correlation.T) / 2
    least = float(np.linalg.eigvalsh(symmetric)[0])
    if least >= _SHRINKAGE:
        return correlation
    blend = (_SHRINKAGE - least) / (1 - least)
    return np.asarray((1 - blend) * symmetric + blend * np.eye(len(symmetric)))


def moments(
    count: FloatArray | float,
    total: FloatArray,
    square: FloatArray,
    least_deviation: FloatArray | float,
) -> tuple[FloatArray, FloatArray]:
    """Return means and standard deviations from counts, sums and sums of squares, shape (F,).

    0 and 1 where nobody was counted; a deviation that is not above `least_deviation` is told as
    1, so that what hardly varies is centred only.
    """
    count = np.maximum(count, 1)
    mean = total / count
    deviation = np.sqrt(np.maximum(square / count - mean**2, 0))
    return mean, np.where(deviation <= least_deviation, 1.0, deviation)


def add_up(sums: Iterable[FeatureSums], features: int = DIRECT_FEATURES) -> FeatureSums:
    """Return the sum in the order given."""
    return sum(sums, start=FeatureSums.empty(features))
