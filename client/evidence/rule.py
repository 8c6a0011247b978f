"""The institution's rule: no cell of fewer patients than its minimum count, 0 excepted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from shared.metrics.bootstrap import site_resamples
from shared.metrics.labelled import FloatArray
from shared.seeds import derive_seed

K = TypeVar("K")


@dataclass(frozen=True)
class Rule:
    """How an institution answers.

    Attributes
    ----------
    minimum_count : int
        At least 1; 1 withholds nothing.
    bootstrap_seed : int
        The institution's own secret, but in a simulation: who knows it, and with it every
        resample, can solve the resamples' sums for each patient's row.
    """

    minimum_count: int
    bootstrap_seed: int

    def __post_init__(self) -> None:
        if self.minimum_count < 1:
            raise ValueError(f"minimum_count must be at least 1, got {self.minimum_count}")

    def allows(self, *counts: int) -> bool:
        """Return whether cells of so many patients may all be told."""
        return all(count == 0 or count >= self.minimum_count for count in counts)

    def told(self, count: int) -> int | None:
        """Return a count, None where it is too small to be told."""
        return count if self.allows(count) else None

    def told_part(self, part: int, whole: int) -> int | None:
        """Return a part of a whole that is told: the rest must be enough patients too."""
        return part if self.allows(part, whole - part, whole) else None

    def told_categories(self, counts: Mapping[K, int]) -> dict[K, int | None]:
        """Return counts of categories that share out patients whose number is told.

        Small ones are withheld. Where these together are few, they would follow from the others'
        counts and the whole: the next smallest go with them.
        """
        told: dict[K, int | None] = {name: self.told(count) for name, count in counts.items()}
        held = sum(count for name, count in counts.items() if told[name] is None)
        for name in sorted(counts, key=lambda name: counts[name]):
            if self.allows(held):
                break
            if counts[name] and told[name] is not None:
                told[name] = None
                held += counts[name]
        return told

    def weights(self, site: str, patients: int, use: str, resamples: int) -> FloatArray:
        """Return how often each patient counts: row 0 all once, then the resamples.

        Each use (a cohort and a task) draws for itself: with common draws, the sums of two
        tables would tell how their cells overlap.

        Returns
        -------
        ndarray, shape (1 + resamples, patients)
        """
        once = np.ones((1, patients))
        if not resamples:
            return once
        seed = derive_seed(self.bootstrap_seed, use)
        drawn = site_resamples([site] * patients, resamples=resamples, seed=seed)
        return np.concatenate([once, drawn])
