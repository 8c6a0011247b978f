"""Logistic hazard loss, survival curve and risk."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from shared.losses.logistic_hazard import logistic_hazard_loss, risk_score, survival_curve
from shared.plan import Plan
from shared.time_grid import TimeGrid

GRID = TimeGrid((3.0, 6.0, 12.0))
DEFAULT_EDGES = Plan().time_grid.edges_months


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def hazards(*rows: list[float]) -> torch.Tensor:
    return torch.tensor([[logit(h) for h in row] for row in rows], dtype=torch.float64)


def loss_of(logits: torch.Tensor, months: ArrayLike, event: ArrayLike) -> torch.Tensor:
    exposure, died = GRID.exposure(months, event)
    return logistic_hazard_loss(logits, torch.from_numpy(exposure), torch.from_numpy(died))


def test_likelihood_values_by_hand() -> None:
    """Hazards 0.1, 0.2, 0.5 in all rows, of intervals that end at 3, 6 and 12 months.

    Event in the third: survive two, then die: 0.9 * 0.8 * 0.5, whenever in it. Event in the
    first: 0.1. Censored as the second ends: 0.9 * 0.8. Censored a third of the way through the
    third: 0.9 * 0.8 * 0.5^(1/3). Nothing known: 1.
    """
    logits = hazards(*[[0.1, 0.2, 0.5]] * 6)
    exposure, died = GRID.exposure([7, 12, 2, 6, 8], [1, 1, 1, 0, 0])
    nobody = np.zeros((1, 3))
    loss = logistic_hazard_loss(
        logits,
        torch.from_numpy(np.vstack([exposure, nobody])),
        torch.from_numpy(np.vstack([died, nobody > 0])),
    )
    expected = [0.36, 0.36, 0.1, 0.72, 0.72 * 0.5 ** (1 / 3), 1.0]
    torch.testing.assert_close(loss, -torch.tensor(expected, dtype=torch.float64).log())
    assert loss[5] == 0


@pytest.mark.parametrize("last_followed", [48.0, 72.0, 96.0])
def test_who_is_lost_within_an_interval_makes_no_curve_lower(last_followed: float) -> None:
    """A constant hazard with a median of 40 months, and follow-up of 3 months at least.

    Of patients alike the loss is least at h = events / exposure, where its gradient is 0; what
    the intervals then leave is S(t) = 2^(-t / 40). Without a share of the last interval nobody
    who is alive counts in it, and S(last) = 0.
    """
    generator = np.random.default_rng(0)
    death = generator.exponential(40 / np.log(2), 100_000)
    lost = generator.uniform(3, last_followed, len(death))
    grid = TimeGrid(tuple(edge for edge in DEFAULT_EDGES if edge <= last_followed))
    exposure, died = grid.exposure(np.minimum(death, lost), death <= lost)
    hazard = died.sum(axis=0) / exposure.sum(axis=0)
    logits = torch.logit(torch.from_numpy(hazard)).requires_grad_()
    each = logistic_hazard_loss(
        logits.expand(len(death), -1), torch.from_numpy(exposure), torch.from_numpy(died)
    )
    torch.autograd.backward(each.mean())
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-12
    survived = survival_curve(logits[None].detach())[0].numpy()
    truth = 2 ** (-np.asarray(grid.edges_months) / 40)
    np.testing.assert_allclose(survived, truth, atol=0.02)


def pycox_nll(phi: np.ndarray, index: np.ndarray, event: np.ndarray) -> np.ndarray:
    """nll_logistic_hazard without its mean.

    Binary cross-entropy of sigmoid(phi) against the event's indicator, added up to and
    including the patient's index (Kvamme and Borgan, arXiv 1910.06724, equation 9).
    """
    rows = np.arange(len(phi))
    target = np.zeros_like(phi)
    target[rows, index] = event
    cost = np.logaddexp(0, phi) - target * phi
    nll: np.ndarray = cost.cumsum(axis=1)[rows, index]
    return nll


def test_agrees_with_pycox_where_nobody_is_lost_within_an_interval() -> None:
    """Index 0 of pycox is time 0, which everyone survives; at logit -inf it costs nothing."""
    rng = np.random.default_rng(1)
    event = rng.random(200) < 0.6
    months = np.where(event, rng.uniform(0.1, 15, 200), rng.choice([3.0, 6.0, 12.0, 20.0], 200))
    logits = rng.normal(0, 3, (200, 3))
    interval, seen = GRID.discretise(months, event)
    with_time_zero = np.concatenate([np.full((200, 1), -800.0), logits], axis=1)
    loss = loss_of(torch.from_numpy(logits), months, event)
    np.testing.assert_allclose(
        loss.numpy(), pycox_nll(with_time_zero, interval + 1, seen), rtol=1e-12, atol=1e-15
    )


def test_gradient_is_the_derivative() -> None:
    logits = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    months, event = [2.0, 6.0, 9.0, 1.0, 8.0], [True, False, True, False, False]
    assert torch.autograd.gradcheck(lambda x: loss_of(x, months, event), logits.requires_grad_())


def test_intervals_after_the_patients_own_get_no_gradient() -> None:
    """At h = 1/2 a whole interval gives 1/2; the event takes 1 off, and a third gives a sixth."""
    logits = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    torch.autograd.backward(loss_of(logits, [4.0, 1.0], [True, False]).sum())
    assert logits.grad is not None
    expected = torch.tensor([[0.5, -0.5, 0.0], [1 / 6, 0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(logits.grad, expected)


def test_an_unknown_patients_infinite_logit_costs_nothing() -> None:
    loss = logistic_hazard_loss(
        torch.full((1, 3), torch.inf), torch.zeros(1, 3), torch.zeros(1, 3, dtype=torch.bool)
    )
    assert loss.tolist() == [0.0]


def test_survival_is_the_product_of_what_each_interval_leaves() -> None:
    torch.testing.assert_close(
        survival_curve(hazards([0.1, 0.2, 0.5])),
        torch.tensor([[0.9, 0.72, 0.36]], dtype=torch.float64),
    )


def test_extreme_logits_stay_finite_in_float32() -> None:
    logits = torch.tensor([[1e4, -1e4, 300.0], [-1e4, -1e4, -1e4]], requires_grad=True)
    survival = survival_curve(logits)
    risk = risk_score(logits, GRID)
    torch.autograd.backward(survival.sum() + risk.sum())
    assert logits.grad is not None
    assert torch.isfinite(survival).all()
    assert torch.isfinite(logits.grad).all()
    # Dead by 3 months on a straight line lives 1.5; nobody lives beyond the last edge.
    assert risk.tolist() == [-1.5, -12.0]


def test_risk_is_minus_the_area_under_the_curve() -> None:
    """Trapezoids by hand: 3 (1 + .9)/2 + 3 (.9 + .72)/2 + 6 (.72 + .36)/2 = 8.52 months."""
    risk = risk_score(hazards([0.1, 0.2, 0.5]).float(), GRID)
    assert risk.tolist() == pytest.approx([-8.52], abs=1e-6)


def test_risk_tells_small_hazards_apart() -> None:
    low, lower = risk_score(torch.tensor([[-20.0] * 3, [-20.01] * 3]), GRID).tolist()
    assert low > lower


@given(st.lists(st.floats(-8, 8), min_size=3, max_size=3), st.integers(0, 2))
def test_a_higher_hazard_is_a_higher_risk(logits: list[float], where: int) -> None:
    worse = list(logits)
    worse[where] += 0.5
    before, after = risk_score(torch.tensor([logits, worse]), GRID).tolist()
    assert after > before
