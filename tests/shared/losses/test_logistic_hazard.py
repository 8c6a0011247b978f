"""Logistic hazard loss, survival curve and risk."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shared.losses.logistic_hazard import logistic_hazard_loss, risk_score, survival_curve
from shared.time_grid import TimeGrid

GRID = TimeGrid((3.0, 6.0, 12.0))


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def hazards(*rows: list[float]) -> torch.Tensor:
    return torch.tensor([[logit(h) for h in row] for row in rows], dtype=torch.float64)


def test_likelihood_values_by_hand() -> None:
    """Hazards 0.1, 0.2, 0.5 in all rows.

    Event in interval 2: survive 0 and 1, then die: 0.9 * 0.8 * 0.5. Event in interval 0: 0.1.
    Censored with interval 1 finished: 0.9 * 0.8. Censored within the first: 1.
    """
    logits = hazards(*[[0.1, 0.2, 0.5]] * 4)
    loss = logistic_hazard_loss(
        logits, torch.tensor([2, 0, 1, -1]), torch.tensor([True, True, False, False])
    )
    likelihood = torch.tensor([0.9 * 0.8 * 0.5, 0.1, 0.9 * 0.8, 1.0], dtype=torch.float64)
    torch.testing.assert_close(loss, -likelihood.log())
    assert loss[3] == 0


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


def test_agrees_with_pycox_up_to_its_interval_at_time_zero() -> None:
    """Index 0 of pycox is time 0, which everyone survives; at logit -inf it costs nothing."""
    rng = np.random.default_rng(1)
    months, event = rng.uniform(0.1, 15, 200), rng.random(200) < 0.6
    logits = rng.normal(0, 3, (200, 3))
    interval, seen = GRID.discretise(months, event)
    with_time_zero = np.concatenate([np.full((200, 1), -800.0), logits], axis=1)
    loss = logistic_hazard_loss(
        torch.from_numpy(logits), torch.from_numpy(interval), torch.from_numpy(seen)
    )
    np.testing.assert_allclose(
        loss.numpy(), pycox_nll(with_time_zero, interval + 1, seen), rtol=1e-12, atol=1e-15
    )


def test_gradient_is_the_derivative() -> None:
    logits = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    interval, event = (
        torch.tensor([0, 1, 2, -1, 2]),
        torch.tensor([True, False, True, False, False]),
    )
    assert torch.autograd.gradcheck(
        lambda x: logistic_hazard_loss(x, interval, event), logits.requires_grad_()
    )


def test_intervals_after_the_patients_own_get_no_gradient() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    loss = logistic_hazard_loss(logits, torch.tensor([1, -1]), torch.tensor([True, False]))
    torch.autograd.backward(loss.sum())
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.tensor([[0.5, -0.5, 0.0], [0.0, 0.0, 0.0]]))


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
