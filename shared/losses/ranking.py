"""A smooth bound on discordant pairs."""

import torch
from torch import Tensor
from torch.nn import functional


def ranking_loss(
    risk: Tensor, months: Tensor, event: Tensor, stratum: Tensor | None = None
) -> Tensor:
    """Return the mean over comparable pairs of ``log(1 + exp(r_j - r_i))``.

    A pair (i, j) is comparable where i had the event before j's time; its term is above
    ``log 2`` where j, who lived longer, has the higher risk (Raykar et al., On ranking in
    survival analysis, NIPS 2007, section 4).

    Parameters
    ----------
    risk : Tensor, shape (B,)
    months : Tensor, shape (B,)
        NaN is unknown: in no pair.
    event : Tensor, shape (B,), bool
    stratum : Tensor or None, shape (B,), int
        Pairs are of one stratum (a site); None for one stratum.

    Returns
    -------
    Tensor, shape ()
        Exactly 0, with a gradient of 0, without a comparable pair.
    """
    comparable = event[:, None] & (months[:, None] < months[None, :])
    if stratum is not None:
        comparable = comparable & (stratum[:, None] == stratum[None, :])
    terms = functional.softplus(risk[None, :] - risk[:, None])
    return torch.where(comparable, terms, 0.0).sum() / comparable.sum().clamp_min(1)
