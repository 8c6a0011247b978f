"""Harrell's C-index as counts of pairs, which add up over sites."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from shared.metrics.labelled import labelled_survival


@dataclass(frozen=True)
class PairCounts:
    """Comparable pairs of patients by whether the prediction orders them rightly.

    Counts of several sites add up to the site-stratified C-index, which compares patients
    within a site only. A mean of sites' C-indices is not that.

    Attributes
    ----------
    concordant, discordant, tied : int
        Tied pairs have the same risk.
    """

    concordant: int = 0
    discordant: int = 0
    tied: int = 0

    def __add__(self, other: "PairCounts") -> "PairCounts":
        return PairCounts(
            self.concordant + other.concordant,
            self.discordant + other.discordant,
            self.tied + other.tied,
        )

    @property
    def comparable(self) -> int:
        """Number of comparable pairs."""
        return self.concordant + self.discordant + self.tied

    @property
    def c_index(self) -> float | None:
        """Share of concordant pairs, a tie counting half; None where no pair is comparable."""
        if self.comparable == 0:
            return None
        return (self.concordant + self.tied / 2) / self.comparable


def concordance_pairs(time: ArrayLike, event: ArrayLike, risk: ArrayLike) -> PairCounts:
    """Count pairs (Harrell, Lee and Mark, Stat Med 1996;15:361).

    A pair is comparable where the patient with the shorter time had the event, or where the
    times are the same and one of the two had the event: the other outlived it. It is
    concordant where the patient with the event has the higher risk. lifelines'
    ``concordance_index`` and scikit-survival's ``concordance_index_censored`` count the same
    pairs; scikit-survival also calls risks tied that differ by less than 1e-8.

    Parameters
    ----------
    time, event : array_like, shape (n,)
        Time of any unit, and 1 where the event was seen; NaN in either is unknown.
    risk : array_like, shape (n,)
        Higher is worse.
    """
    rows = labelled_survival(time, event, risk)
    concordant = discordant = tied = 0
    for own_time, own_risk in zip(rows.time[rows.event], rows.risk[rows.event], strict=True):
        outlived = (rows.time > own_time) | ((rows.time == own_time) & ~rows.event)
        others = rows.risk[outlived]
        lower = int(np.count_nonzero(others < own_risk))
        higher = int(np.count_nonzero(others > own_risk))
        concordant += lower
        discordant += higher
        tied += len(others) - lower - higher
    return PairCounts(concordant, discordant, tied)
