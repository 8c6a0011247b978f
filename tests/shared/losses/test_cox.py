"""Cox partial likelihood against torchsurv and lifelines."""

import math
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from lifelines import CoxPHFitter
from torchsurv.loss.cox import neg_partial_log_likelihood

from shared.losses.cox import cox_loss


def cohort(seed: int, n: int = 60, *, months: int = 12) -> pd.DataFrame:
    """Many ties in time, a third censored, three sites."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "score": rng.normal(0, 1, n),
            "time": rng.integers(1, months + 1, n).astype(float),
            "event": rng.random(n) < 0.65,
            "site": rng.integers(0, 3, n),
        }
    )


def tensors(rows: pd.DataFrame) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    return (
        torch.tensor(rows["score"].to_numpy()),
        torch.tensor(rows["time"].to_numpy()),
        torch.tensor(rows["event"].to_numpy()),
        torch.tensor(rows["site"].to_numpy()),
    )


def test_efron_by_hand() -> None:
    """Two events tie at time 1 with relative hazards 1 and 2, a third patient of 3 lives on.

    (1 * 2) / (6 * (6 - 3 / 2)); the third's own event at time 2 is certain.
    """
    loss = cox_loss(
        torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64).log(),
        torch.tensor([1.0, 1.0, 2.0]),
        torch.tensor([True, True, True]),
    )
    assert loss.item() == pytest.approx(-math.log(2 / (6 * 4.5)), abs=1e-12)


@pytest.mark.filterwarnings("ignore:Ties in `time`")
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("months", [3, 12, 1000])
def test_agrees_with_torchsurv(seed: int, months: int) -> None:
    # torchsurv adds into float32, whatever it is given.
    score, time, event, _ = tensors(cohort(seed, months=months))
    expected = neg_partial_log_likelihood(
        score.float(), event, time.float(), ties_method="efron", reduction="sum"
    )
    loss = cox_loss(score, time, event)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("strata", [None, ["site"]])
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_lifelines(seed: int, strata: list[str] | None) -> None:
    rows = cohort(seed)
    columns = rows if strata else rows.drop(columns="site")
    fitted = CoxPHFitter().fit(columns, "time", "event", strata=strata)
    score, time, event, site = tensors(rows)
    loss = cox_loss(score * fitted.params_["score"], time, event, site if strata else None)
    assert loss.item() == pytest.approx(-fitted.log_likelihood_, abs=1e-9)


def test_order_of_patients_does_not_matter() -> None:
    rows = cohort(7)
    shuffled = rows.sample(frac=1, random_state=3)
    assert cox_loss(*tensors(rows)).item() == pytest.approx(cox_loss(*tensors(shuffled)).item())


def test_gradient_is_the_derivative() -> None:
    score, time, event, site = tensors(cohort(2, n=12, months=3))
    assert torch.autograd.gradcheck(lambda s: cox_loss(s, time, event), score.requires_grad_())
    assert torch.autograd.gradcheck(lambda s: cox_loss(s, time, event, site), score)


@pytest.mark.parametrize(
    ("scores", "times", "events"),
    [
        ([-400.0, 0.0], [10.0, 1.0], [True, False]),
        ([-400.0, 0.0], [10.0, 1.0], [True, True]),
        ([0.0, -400.0], [10.0, 1.0], [True, True]),
        ([-400.0, 0.0, 400.0], [1.0, 1.0, 1.0], [True, True, False]),
        ([1e30, -1e30], [1.0, 2.0], [True, True]),
    ],
)
def test_extreme_scores_stay_finite_in_float32(
    scores: list[float], times: list[float], events: list[bool]
) -> None:
    score = torch.tensor(scores, requires_grad=True)
    loss = cox_loss(score, torch.tensor(times), torch.tensor(events))
    torch.autograd.backward(loss)
    assert score.grad is not None
    assert torch.isfinite(loss)
    assert torch.isfinite(score.grad).all()


def test_an_event_with_nobody_left_costs_nothing() -> None:
    """Time 10 is the event, time 1 is censored: the risk set is the event alone."""
    loss = cox_loss(
        torch.tensor([-400.0, 0.0]), torch.tensor([10.0, 1.0]), torch.tensor([True, False])
    )
    assert loss.item() == 0


@pytest.mark.parametrize("n", [0, 1, 3])
@pytest.mark.parametrize("stratified", [False, True])
def test_no_event_contributes_nothing_in_silence(n: int, stratified: bool) -> None:
    score = torch.randn(n, requires_grad=True)
    stratum = torch.arange(n) if stratified else None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss = cox_loss(score, torch.ones(n), torch.zeros(n, dtype=torch.bool), stratum)
        torch.autograd.backward(loss)
    assert loss.item() == 0
    assert score.grad is not None
    assert (score.grad == 0).all()
