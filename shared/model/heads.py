"""The linear heads: one for MVI, and one a survival outcome."""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

HEADS = "heads"
SHARED_RISK = "shared_risk"


# At which baselines begin, a month: half of the patients live for 40 months.
_MONTHLY_HAZARD = math.log(2) / 40


def constant_hazard(widths_months: Sequence[float]) -> Tensor:
    """Return baselines, shape (T,), of the same hazard in every month of so wide intervals.

    Near what is seen, so that no steps are spent on the level, and the best guess for an interval
    in which a site has seen no event: the logit of 1 - exp(-r w).
    """
    risk = -torch.expm1(-_MONTHLY_HAZARD * torch.tensor(widths_months, dtype=torch.float64))
    return torch.logit(risk).float()


class ProportionalHazardHead(nn.Module):
    """A survival head: one risk a patient on a baseline shared by all.

    The logit of the conditional hazard in interval k is ``level + baseline_k + risk``: a
    proportional-odds model in discrete time (Cox, J R Stat Soc B 1972;34:187, section 6),
    with T + F parameters where free logits would have T * F. The risk is the part that all
    tasks share and this task's own.

    The level says nothing that baselines could not. It is there for steps along the gradient:
    a late interval has few patients and a small gradient, and with a baseline alone it still
    stood near its start when the best round came. With a level that all patients move, it
    follows what is seen of the earlier ones until its own patients tell otherwise.
    """

    def __init__(self, features: int, baseline: Tensor) -> None:
        super().__init__()
        self.risk = zero_linear(features, bias=False)
        self.level = nn.Parameter(torch.zeros(1))
        self.baseline = nn.Parameter(baseline.clone())

    def forward(self, features: Tensor, shared_risk: Tensor) -> Tensor:
        """Return hazard logits, shape (B, T), from features, shape (B, F), and a risk (B, 1)."""
        return cast(Tensor, self.level + self.baseline + shared_risk + self.risk(features))


class LogisticHead(nn.Module):
    """The MVI head: logistic regression on the risk that all tasks share and a part of its own."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.risk = zero_linear(features, bias=True)

    def forward(self, features: Tensor, shared_risk: Tensor) -> Tensor:
        """Return logits, shape (B,), from features, shape (B, F), and a risk (B, 1)."""
        return cast(Tensor, (shared_risk + self.risk(features)).squeeze(1))


def ranking_score(survival_output: Tensor) -> Tensor:
    """Return one number a patient, higher is worse, shape (B,), float64, from shape (B, T).

    With a baseline shared by all patients, the mean logit orders them as S(t) does at every
    t, and as `shared.losses.logistic_hazard.risk_score` does, without that score's rounding
    near its ends.
    """
    return survival_output.double().mean(dim=1)


def zero_linear(features: int, *, bias: bool) -> nn.Linear:
    """Return a layer of one output that begins, as ridge regression without evidence ends, at 0."""
    layer = nn.Linear(features, 1, bias=bias)
    nn.init.zeros_(layer.weight)
    return layer


def squared_weights(linear: nn.Module) -> Tensor:
    """Return the sum of a linear layer's squared weights, which a ridge penalises."""
    return cast(nn.Linear, linear).weight.square().sum()
