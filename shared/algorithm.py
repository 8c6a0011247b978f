"""By which algorithm a federation learns, beside what the server makes of the average."""

import math
from dataclasses import dataclass
from typing import Literal

PersonalPart = Literal["none", "heads", "norms"]


@dataclass(frozen=True)
class AlgorithmSettings:
    """What sites add to plain federated averaging; the defaults add nothing.

    Attributes
    ----------
    proximal_mu : float
        FedProx (Li et al., arXiv 1812.06127): half of it times the squared distance of the
        trainable parameters to the model that came down joins the local loss; 0 is FedAvg.
    control_variates : bool
        SCAFFOLD (Karimireddy et al., arXiv 1910.06378): every local step is corrected by how the
        site's mean gradient differs from everybody's. Needs plain gradient steps.
    personal : str
        Which part of the model each site keeps as its own, beside the average of all:
        ``"heads"`` (FedPer, Arivazhagan et al., arXiv 1912.00818), ``"norms"`` (FedBN, Li et al.,
        arXiv 2102.07623: scale and shift of the normalisations), or ``"none"``.
    """

    proximal_mu: float = 0.0
    control_variates: bool = False
    personal: PersonalPart = "none"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.proximal_mu) and self.proximal_mu >= 0):
            raise ValueError(f"proximal_mu must be finite and >= 0, got {self.proximal_mu}")
        if self.personal not in ("none", "heads", "norms"):
            raise ValueError(f"personal must be none, heads or norms, got {self.personal!r}")
        if self.control_variates and self.personal != "none":
            raise ValueError(
                "control_variates correct what is averaged: with them, personal must be none"
            )

    def name_with(self, optimiser: str) -> str:
        """Return the federation's name in every table: what differs from plain averaging.

        Parameters
        ----------
        optimiser : str
            Name of the server optimiser, ``"fedavg"`` for the plain average.
        """
        asked = {
            "fedprox": self.proximal_mu > 0,
            "scaffold": self.control_variates,
            "fedper": self.personal == "heads",
            "fedbn": self.personal == "norms",
        }
        parts = [name for name, wanted in asked.items() if wanted]
        if optimiser != "fedavg" or not parts:
            parts.append(optimiser)
        return "-".join(parts)
