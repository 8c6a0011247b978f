"""A site's half of SCAFFOLD: corrected steps, and the control variate that comes of them."""

from collections.abc import Sequence, Set

import numpy as np
import torch
from torch import Tensor, nn

from client.steps import StepGroup
from shared.weights import Weights


class ControlVariate:
    """Corrects gradient steps by ``c - c_i``, and sums what the site itself would have done.

    Karimireddy et al., arXiv 1910.06378, algorithm 1. A step of length r is
    ``y <- y - r (g(y) - c_i + c)``, g being all that a plain step follows: the gradient of the
    loss and its penalties, after clipping, and weight decay. Option II of the paper,
    ``c_i+ = c_i - c + (x - y) / (K r)``, is the mean of g over the K steps of the round; summed
    as it comes, it does not suffer from the cancellation in x - y where r is small.

    Parameters
    ----------
    model : nn.Module
    own : Weights or None
        c_i, by trainable parameter; None: 0, as of a site whose update has not counted yet.
    server : Weights
        c, likewise.
    """

    def __init__(self, model: nn.Module, own: Weights | None, server: Weights) -> None:
        self._own = own or {key: np.zeros_like(value) for key, value in server.items()}
        self._names: dict[Tensor, str] = {
            parameter: name for name, parameter in model.named_parameters()
        }
        self._correction: dict[str, Tensor] = {}
        self._sum: dict[str, Tensor] = {}
        for name, parameter in model.named_parameters():
            difference = torch.from_numpy(server[name] - self._own[name])
            self._correction[name] = difference.to(parameter.device)
            self._sum[name] = torch.zeros_like(parameter, requires_grad=False)
        self._steps = 0

    @torch.no_grad()
    def correct(self, groups: Sequence[StepGroup]) -> None:
        """Correct the gradients of the step that these groups are about to take."""
        self._steps += 1
        for group in groups:
            for parameter in group.parameters:
                if parameter.grad is not None:
                    name = self._names[parameter]
                    decay = group.weight_decay * parameter
                    self._sum[name] += parameter.grad + decay
                    parameter.grad += self._correction[name]

    def after(self, *, stay: Set[str] = frozenset()) -> Weights:
        """Return the site's control variate after the round, c_i+.

        Entries in `stay` are as they were: those behind which nobody stood in the round, so that
        the server does not count their change.
        """
        found = {name: (s / max(1, self._steps)).cpu().numpy() for name, s in self._sum.items()}
        return found | {name: self._own[name] for name in found.keys() & stay}

    def change(self, *, stay: Set[str] = frozenset()) -> Weights:
        """Return what is told: c_i+ - c_i."""
        return {name: value - self._own[name] for name, value in self.after(stay=stay).items()}
