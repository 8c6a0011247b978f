"""What the heads read on one scale, and what stands for values that are unknown."""

from typing import cast

import torch
from torch import Tensor, nn

from shared.model.features import DIRECT_FEATURES, IMAGE_STATISTICS

# Standardised measurements, and what stands for them, are held within this many deviations.
WINSOR = 3.0


class Standardise(nn.Module):
    """Centre and scale features by statistics that the federation summed once, and froze.

    Batch statistics would be one site's; these are everybody's: counts, sums and products over
    the training patients of all sites, before the first round (`shared.standardisation`).
    Measurements and clinical variables, the last of the features, are read by the heads. One
    that is unknown, as of an absent phase, takes the value that is expected where the known ones
    are what they are, by the correlations: a washout in the portal venous phase foretells the
    delayed one. One of which no site tells sums is unknown in everybody: on no common scale, it
    would say no more than that it is there.

    Parameters
    ----------
    clinical_variables : int
        V, how many there are.

    Attributes
    ----------
    mean, deviation : Tensor, shape (`DIRECT_FEATURES` + V,)
        A deviation of 0 where no site tells sums.
    correlation : Tensor, shape (M + V, M + V)
        Of what the heads read.
    """

    mean: Tensor
    deviation: Tensor
    correlation: Tensor

    def __init__(self, clinical_variables: int = 0) -> None:
        super().__init__()
        features = DIRECT_FEATURES + clinical_variables
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))
        self.register_buffer("correlation", torch.eye(features - IMAGE_STATISTICS))

    def forward(self, head_inputs: Tensor) -> Tensor:
        """Return complete standardised inputs from those with NaN, shape (B, M + V)."""
        mean = self.mean[IMAGE_STATISTICS:]
        deviation = self.deviation[IMAGE_STATISTICS:]
        known = ~torch.isnan(head_inputs) & (deviation > 0)
        standardised = torch.where(known, (head_inputs - mean) / deviation, 0.0)
        # No single patient, and no slip in a mask, decides alone.
        standardised = standardised.clamp(-WINSOR, WINSOR)
        expected = self._expected(standardised, known).clamp(-WINSOR, WINSOR)
        return torch.where(known, standardised, expected)

    def _expected(self, values: Tensor, known: Tensor) -> Tensor:
        """Return E[unknown | known] of a normal distribution, shape (B, M + V).

        With R the correlations among the known, R x = z is solved for each patient; a row of
        the identity stands for what is unknown, so that all systems have one size.
        """
        mask = known.double()
        among_known = self.correlation.double() * mask[:, :, None] * mask[:, None, :]
        system = among_known + torch.diag_embed(1 - mask)
        # Not `solve`, which waits for a GPU to see whether it could; shrunk correlations can be.
        weights = cast(Tensor, torch.linalg.solve_ex(system, values.double() * mask).result)
        return (weights @ self.correlation.double()).to(values.dtype)


class Centre(nn.Module):
    """Centre and scale what the trunk pools by statistics of all sites.

    Regions of any two patients look alike to a trunk: a hundredth of what it pools tells them
    apart, and a layer that normalises within a patient keeps that. Before the first round the
    federation sums what the initial trunk pools over all training patients (`shared.map_sums`);
    the statistics stay as they are while the trunk learns.

    Parameters
    ----------
    maps : int
        P (`shared.model.trunk.pooled_maps`).

    Attributes
    ----------
    mean, deviation : Tensor, shape (P,)
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(maps))
        self.register_buffer("deviation", torch.ones(maps))

    def forward(self, pooled: Tensor) -> Tensor:
        """Return standardised features from pooled maps, shape (B, P) both."""
        return ((pooled - self.mean) / self.deviation).clamp(-WINSOR, WINSOR)
