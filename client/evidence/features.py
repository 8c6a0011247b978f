"""What of patients' features may go into sums: none of which tells a few patients apart.

`FeatureSums` tells, of every feature, its sum over the patients who have it, and of every pair
both sums and the product over those who have both. Sums can be subtracted: where one patient
lacks a phase, a sum over everybody less the sum over those who have it is that patient's value;
and of a column that is 1 for one patient, the products with it are that patient's row.

**Why no difference tells few patients.** Let patients who have the same features be a group.
Whoever has feature i, and whoever has both i and j, are whole groups. So in whatever way an
attacker adds and subtracts sums of one feature, the members of a group count alike in the result:
it rests on whole groups. `tellable` makes every group at least `minimum_count` patients, by
counting features as unknown to patients, or patients as absent, whichever loses the fewest values.
No patient outside a group is in any sum; how many they are follows from the number who train.

**Why no value does.** Where many patients share a value a, the sum of (x - a) rests on the others
alone. In each group these are none or at least `minimum_count`, or the group does not tell the
feature. The product of (x - a) and (y - b) rests on those who differ in both: where they are few,
the pair is not told (`tellable_pairs`).

**What this leaves.** Of a column of three values the number, sum and sum of squares tell together
how many have each, also where few do. And an attacker who knows the values of all but one patient
can subtract them from any sum.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def tellable(values: FloatArray, known: FloatArray, minimum_count: int) -> FloatArray:
    """Return `known` without what sums would tell of few patients.

    Parameters
    ----------
    values, known : ndarray, shape (n, F)
        Features of patients; `known` is 1 where a patient has one, else 0.
    minimum_count : int
        At most 1 withholds nothing.
    """
    if minimum_count <= 1:
        return known
    kept = _in_large_groups(known > 0, minimum_count)
    while (hidden := _rare_values(values, kept, minimum_count)).any():
        kept &= ~hidden
    return kept.astype(known.dtype)


def tellable_pairs(values: FloatArray, known: FloatArray, minimum_count: int) -> BoolArray:
    """Return which pairs of features may be summed, shape (F, F); parameters as of `tellable`."""
    if minimum_count <= 1:
        return np.ones((values.shape[1],) * 2, dtype=bool)
    apart = [
        _apart(values[:, i], known[:, i] > 0, minimum_count).astype(float)
        for i in range(values.shape[1])
    ]
    return np.array([[not _few(i @ j.T, minimum_count).any() for j in apart] for i in apart])


def _in_large_groups(known: BoolArray, minimum_count: int) -> BoolArray:
    """Return less of `known`: every pattern of it that is left has enough patients, or nothing.

    The smallest group takes on what it shares with another, which then tells no more either, or
    is left out.
    """
    patterns, group = np.unique(known, axis=0, return_inverse=True)
    group = group.reshape(-1)
    size = np.bincount(group, minlength=len(patterns))
    while (few := np.flatnonzero(_few(size, minimum_count) & patterns.any(axis=1))).size:
        own = few[size[few].argmin()]
        shared = patterns & patterns[own]
        lost = size * (patterns & ~shared).sum(axis=1) + size[own] * (patterns[own] & ~shared).sum(
            axis=1
        )
        others = np.flatnonzero((size > 0) & (np.arange(len(size)) != own))
        nearest = min(others, key=lambda other: lost[other], default=own)
        if nearest == own or lost[nearest] >= size[own] * patterns[own].sum():
            patterns[own] = False
            continue
        patterns[nearest] = shared[nearest]
        size[nearest] += size[own]
        size[own] = 0
        group[group == own] = nearest
    return np.asarray(patterns[group])


def _rare_values(values: FloatArray, known: BoolArray, minimum_count: int) -> BoolArray:
    """Return what groups must not tell since few of them differ from a common value, (n, F)."""
    hidden = np.zeros_like(known)
    patterns, group = np.unique(known, axis=0, return_inverse=True)
    members = group.reshape(-1) == np.arange(len(patterns))[:, None]
    for feature in range(values.shape[1]):
        apart = _apart(values[:, feature], known[:, feature], minimum_count)
        differ = apart.astype(int) @ members.T.astype(int)
        rare = np.asarray(_few(differ, minimum_count).any(axis=0))
        # Told of the groups without such patients alone, a mean would be too close to the value.
        everywhere = bool(_few(apart.sum(axis=1), minimum_count).any())
        hidden[:, feature] = known[:, feature] & (rare[group.reshape(-1)] | everywhere)
    return hidden


def _apart(values: FloatArray, known: BoolArray, minimum_count: int) -> BoolArray:
    """Return who differs from each common value, one a row, after a row of all who have any.

    A value is common that at least `minimum_count` patients share, or half of them.
    """
    found, counts = np.unique(values[known], return_counts=True)
    common = found[counts >= min(minimum_count, known.sum() / 2)]
    return np.stack([known, *(known & (values != value) for value in common)])


def _few(counts: NDArray[Any], minimum_count: int) -> BoolArray:
    return np.asarray((counts > 0) & (counts < minimum_count))
