"""Discrete-time survival: logistic hazards on the federation's time grid.

With h_k the conditional hazard of interval k, S_k = prod_{j <= k} (1 - h_j) survives it. The
negative log likelihood is a binary cross-entropy for each interval that a patient entered and
finished, target 1 in the interval of the event (Brown, Biometrics 1975;31:863; Kvamme and
Borgan, arXiv 1910.06724, equation 9; pycox's ``nll_logistic_hazard``).

An interval in which a patient was censored after the share f of it counts too. Where the rate of
events does not change within an interval, the share f of it is survived with the probability
(1 - h)^f: the cross-entropy with target 0, times f (Friedman, Ann Stat 1982;10:101, the piecewise
exponential model; f = 1/2 for everybody is the life table's actuarial rule). To leave it out, as
the sources above do, is to count who dies within an interval and not who is lost there: h comes
out as d / (d + those who finished). On months and years that is much: with a median of 40 months
and follow-up of 3 to 48, S(48) = 0 for 0.44.
"""

import torch
from torch import Tensor
from torch.nn import functional

from shared.time_grid import TimeGrid


def logistic_hazard_loss(logits: Tensor, exposure: Tensor, died: Tensor) -> Tensor:
    """Return each patient's negative log likelihood.

    It is a sum over the patient's own intervals and depends on no other patient, so that a
    federation's gradient is the pooled one.

    Parameters
    ----------
    logits : Tensor, shape (B, T)
        Logits of the conditional hazards.
    exposure : Tensor, shape (B, T)
        From `TimeGrid.exposure`. A patient without any says nothing and costs exactly 0, and so
        may stand for an unknown label.
    died : Tensor, shape (B, T), bool
        Likewise.

    Returns
    -------
    Tensor, shape (B,)
    """
    target = died.to(logits.dtype)
    cost = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return torch.where(exposure > 0, cost * exposure, 0.0).sum(dim=1)


def survival_curve(logits: Tensor) -> Tensor:
    """Return the probability of surviving each interval.

    Parameters
    ----------
    logits : Tensor, shape (B, T)
        Logits of the conditional hazards.

    Returns
    -------
    Tensor, shape (B, T)
        S at each edge of the grid: cumprod(1 - h), summed as logarithms, so that large logits
        neither overflow nor lose their gradient.
    """
    return functional.logsigmoid(-logits).cumsum(dim=1).exp()


def risk_score(logits: Tensor, time_grid: TimeGrid) -> Tensor:
    """Return minus the restricted mean survival time, in months; higher is worse.

    The C-index needs one number a patient. The area under the patient's whole curve up to the
    last edge (Royston and Parmar, BMC Med Res Methodol 2013;13:152) weighs every interval by
    its length, has a unit that a clinician knows, chooses no single horizon, and needs nothing
    beyond the grid; where all curves keep their order it ranks patients as any S(t) does.
    S is taken as linear between edges, S(0) = 1.

    Parameters
    ----------
    logits : Tensor, shape (B, T)
        Logits of the conditional hazards.
    time_grid : TimeGrid
        Of T intervals.

    Returns
    -------
    Tensor, shape (B,), float64
        In [-last edge, 0]. Computed in float64: near either end float32 would round different
        patients to the same risk, and a tie counts half in a C-index.
    """
    survival = survival_curve(logits.double())
    before = functional.pad(survival[:, :-1], (1, 0), value=1.0)
    widths = survival.new_tensor(time_grid.widths_months)
    return -((before + survival) / 2) @ widths
