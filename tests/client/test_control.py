"""A site's control variate is the paper's option II."""

import numpy as np
import torch
from torch import nn

from client.control import ControlVariate
from client.steps import PlainSteps, StepGroup
from shared.weights import parameters_of


def test_it_is_option_two_of_the_paper() -> None:
    """c_i+ = c_i - c + (x - y) / (K r), with weight decay and a rate for each group."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2).double()
    before = parameters_of(model)
    generator = np.random.default_rng(0)
    own, server = (
        {key: generator.standard_normal(value.shape) for key, value in before.items()}
        for _ in range(2)
    )
    rates = {"weight": 0.1, "bias": 0.02}
    plain = PlainSteps(
        StepGroup((model.weight,), rates["weight"], weight_decay=0.3),
        StepGroup((model.bias,), rates["bias"]),
    )
    variate = ControlVariate(model, own, server)  # type: ignore[arg-type]
    steps = 5
    for _ in range(steps):
        model.zero_grad()
        torch.autograd.backward(model(torch.randn(4, 3).double()).square().mean())
        variate.correct(plain.groups)
        plain.step()
    after, change, moved = variate.after(), variate.change(), parameters_of(model)
    for key, rate in rates.items():
        expected = own[key] - server[key] + (before[key] - moved[key]) / (steps * rate)
        np.testing.assert_allclose(after[key], expected, rtol=1e-10)
        np.testing.assert_allclose(change[key], expected - own[key], rtol=1e-10)


def test_what_nobody_stood_behind_stays() -> None:
    model = nn.Linear(1, 1)
    before = parameters_of(model)
    twos = {key: np.full_like(value, 2.0) for key, value in before.items()}
    variate = ControlVariate(model, twos, before)
    plain = PlainSteps(StepGroup(tuple(model.parameters()), 1.0))
    torch.autograd.backward(model(torch.ones(1, 1)).sum())
    variate.correct(plain.groups)
    after, change = (told(stay={"bias", "trunk"}) for told in (variate.after, variate.change))
    assert [float(after[key].item()) for key in ("weight", "bias")] == [1.0, 2.0]
    assert [float(change[key].item()) for key in ("weight", "bias")] == [-1.0, 0.0]
    assert after.keys() == before.keys()


def test_what_has_no_gradient_is_left_alone() -> None:
    model = nn.Linear(1, 1)
    ones = {key: np.ones_like(value) for key, value in parameters_of(model).items()}
    variate = ControlVariate(model, None, ones)
    plain = PlainSteps(StepGroup(tuple(model.parameters()), 1.0))
    before = parameters_of(model)
    variate.correct(plain.groups)
    plain.step()
    assert parameters_of(model) == before
    assert all((value == 0).all() for value in variate.after().values())
