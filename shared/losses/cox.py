"""Cox partial likelihood with Efron's ties, stratified where asked."""

import torch
from torch import Tensor


def cox_loss(
    log_hazard: Tensor, time: Tensor, event: Tensor, stratum: Tensor | None = None
) -> Tensor:
    """Return the negative log partial likelihood, summed over events.

    For the tied events D at one time, with R their risk set (Efron, J Am Stat Assoc
    1977;72:557): ``sum_{i in D} s_i - sum_{r < |D|} log(sum_R exp s - r/|D| sum_D exp s)``.

    Parameters
    ----------
    log_hazard : Tensor, shape (B,)
        Relative log hazards s; higher is worse.
    time : Tensor, shape (B,)
        Time to event or censoring, of any unit.
    event : Tensor, shape (B,), bool
    stratum : Tensor or None, shape (B,), int
        Patients are compared only within a stratum (a site); None for one stratum.

    Returns
    -------
    Tensor, shape ()
        Finite for any finite scores. Exactly 0, with a gradient of 0, where there is no event.
    """
    if stratum is None:
        return _one_stratum(log_hazard, time, event)
    parts = [
        _one_stratum(log_hazard[own], time[own], event[own])
        for own in (stratum == name for name in torch.unique(stratum))
    ]
    return torch.stack(parts).sum() if parts else log_hazard.sum()


def _one_stratum(log_hazard: Tensor, time: Tensor, event: Tensor) -> Tensor:
    order = torch.argsort(time, descending=True, stable=True)
    score, event = log_hazard[order], event[order]
    _, group, sizes = torch.unique_consecutive(time[order], return_inverse=True, return_counts=True)
    # Times fall, so everyone up to the end of a group of tied times is still at risk in it.
    log_at_risk = torch.logcumsumexp(score, dim=0)[sizes.cumsum(0) - 1]

    score, group = score[event], group[event]
    deaths = torch.bincount(group, minlength=len(sizes))
    # The events' share of the risk set's hazard is at most 1, so nothing here can overflow,
    # and 1 - r/|D| * share stays above 1/|D|.
    share = torch.exp(score - log_at_risk[group])
    tied_share = torch.zeros_like(log_at_risk).index_add(0, group, share)
    rank = torch.arange(len(group), device=group.device) - (deaths.cumsum(0) - deaths)[group]
    removed = (rank.to(score.dtype) / deaths[group]) * tied_share[group]
    return (log_at_risk[group] + torch.log1p(-removed) - score).sum()
