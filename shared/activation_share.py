"""How much of an activation map lies in the tumour and its margin, against chance.

A map that fell anywhere at random would put as much activation into a region as the region has
of the volume: that share of volume is chance. Shares of patients add up, so a site can tell them
without a picture.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from shared.regions import region_weights


@dataclass(frozen=True)
class ActivationShares:
    """Sums of shares over patients; sums of sites add up.

    Attributes
    ----------
    patients : int
        Whose map is not empty.
    in_tumour, in_margin : float
        Share of a patient's activation in the tumour, and in the tumour with its rim and
        surrounding ring (`shared.regions`), summed over patients.
    tumour_volume, margin_volume : float
        The same shares of the region's volume: chance.
    """

    patients: int = 0
    in_tumour: float = 0.0
    in_margin: float = 0.0
    tumour_volume: float = 0.0
    margin_volume: float = 0.0

    def __post_init__(self) -> None:
        sums = (self.in_tumour, self.in_margin, self.tumour_volume, self.margin_volume)
        # Sums over patients of numbers in [0, 1], give or take their rounding.
        if self.patients < 0 or not all(0 <= s <= self.patients * (1 + 1e-9) for s in sums):
            raise ValueError("shares of activation must lie in [0, 1] for each patient")

    def __add__(self, other: "ActivationShares") -> "ActivationShares":
        return ActivationShares(
            self.patients + other.patients,
            self.in_tumour + other.in_tumour,
            self.in_margin + other.in_margin,
            self.tumour_volume + other.tumour_volume,
            self.margin_volume + other.margin_volume,
        )

    def mean(self, total: float) -> float | None:
        """Return one of the sums a patient; None where no patient has a map."""
        return total / self.patients if self.patients else None


def activation_shares(maps: NDArray[np.float32], tumour: NDArray[np.bool_]) -> ActivationShares:
    """Return the shares of patients, summed in their order.

    Parameters
    ----------
    maps : ndarray, shape (B, D, H, W)
        Activation >= 0; an empty map says nothing and is not counted.
    tumour : ndarray, shape (B, D, H, W), bool
    """
    around = region_weights(torch.from_numpy(tumour)).sum(dim=1).numpy() > 0
    total = ActivationShares()
    for patient, inside, near in zip(maps.astype(np.float64), tumour, around | tumour, strict=True):
        whole = patient.sum()
        if whole > 0:
            total = total + ActivationShares(
                1,
                float(patient[inside].sum() / whole),
                float(patient[near].sum() / whole),
                float(inside.mean()),
                float(near.mean()),
            )
    return total
