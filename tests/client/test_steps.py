"""Steps are those of torch's own optimisers, to the bit, without torch's compiler."""

import copy

import pytest
import torch
from torch import Tensor, nn

from client.steps import AdamWSteps, PlainSteps, StepGroup, Steps

RATES = (0.05, 0.2)
DECAYS = (0.3, 0.0)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(2, 4, 3), nn.ELU(), nn.Flatten(), nn.Linear(32, 1))


def parts(model: nn.Sequential) -> tuple[tuple[nn.Parameter, ...], tuple[nn.Parameter, ...]]:
    return tuple(model[0].parameters()), tuple(model[3].parameters())


def train(model: nn.Sequential, step: Steps | torch.optim.Optimizer, steps: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    for number in range(steps):
        model.zero_grad(set_to_none=True)
        x = torch.randn(3, 2, 4, 4, 4, generator=generator)
        torch.autograd.backward(model(x).square().mean() * (1 + number))
        if number == 1:
            model[3].bias.grad = None  # a head that a batch tells nothing of
        step.step()
    return [parameter.detach() for parameter in model.parameters()]


@pytest.mark.parametrize("name", ["plain", "adamw"])
def test_they_are_torchs_to_the_bit(name: str) -> None:
    ours, theirs = network(), network()
    groups = [StepGroup(*given) for given in zip(parts(ours), RATES, DECAYS, strict=True)]
    torchs = [
        {"params": list(p), "lr": r, "weight_decay": w}
        for p, r, w in zip(parts(theirs), RATES, DECAYS, strict=True)
    ]
    before = copy.deepcopy(list(ours.parameters()))
    if name == "plain":
        got = train(ours, PlainSteps(*groups), 5)
        expected = train(theirs, torch.optim.SGD(torchs), 5)
    else:
        whole = StepGroup(tuple(ours.parameters()), RATES[0], DECAYS[0])
        got = train(ours, AdamWSteps(whole), 5)
        reference = torch.optim.AdamW(theirs.parameters(), lr=RATES[0], weight_decay=DECAYS[0])
        expected = train(theirs, reference, 5)
    for start, mine, torchs_own in zip(before, got, expected, strict=True):
        assert not torch.equal(start, mine)
        assert torch.equal(mine, torchs_own)
