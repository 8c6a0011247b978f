"""The proximal term by hand."""

import torch
from torch import nn

from client.proximal import ProximalTerm


class Tiny(nn.Module):
    """One parameter and one buffer."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([value]))
        self.register_buffer("mean", torch.tensor([value]))


def test_the_term_and_its_gradient_by_hand() -> None:
    """From w0 = (1) at w = (3), mu = 0.5: 0.5 / 2 * 2^2 = 1, gradient 0.5 * 2 = 1."""
    model = Tiny(1.0)
    proximal = ProximalTerm(model, mu=0.5)
    with torch.no_grad():
        model.w.fill_(3.0)
        model.get_buffer("mean").fill_(9.0)
    loss = proximal.added_to(torch.tensor(10.0))
    assert loss.item() == 11.0
    (gradient,) = torch.autograd.grad(loss, [model.w])
    assert gradient.item() == 1.0


def test_where_training_began_it_neither_costs_nor_pulls() -> None:
    model = Tiny(1.0)
    term = ProximalTerm(model, mu=0.5).added_to(torch.tensor(0.0))
    (gradient,) = torch.autograd.grad(term, [model.w])
    assert (term.item(), gradient.item()) == (0.0, 0.0)


def test_it_holds_training_where_the_paper_says() -> None:
    """Of (w - b)^2 a / 2 + (w - w0)^2 mu / 2 the minimum is (a b + mu w0) / (a + mu).

    With a = 2, b = 5, w0 = 1, mu = 3: (10 + 3) / 5 = 2.6.
    """
    model = Tiny(1.0)
    proximal = ProximalTerm(model, mu=3.0)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(200):
        optimiser.zero_grad()
        torch.autograd.backward(proximal.added_to((model.w - 5.0).square().sum()))
        optimiser.step()
    torch.testing.assert_close(model.w.detach(), torch.tensor([2.6]))


def test_without_mu_the_loss_is_left_alone() -> None:
    loss = torch.tensor(10.0)
    assert ProximalTerm(Tiny(1.0), mu=0.0).added_to(loss) is loss
