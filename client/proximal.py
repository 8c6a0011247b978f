"""FedProx: the local loss with a pull towards the model that came down."""

import torch
from torch import Tensor, nn


class ProximalTerm:
    """mu / 2 times the squared distance ||w - w0||^2 to where training began.

    Li et al., Federated optimization in heterogeneous networks, arXiv 1812.06127, equation 2.
    The distance is over trainable parameters; buffers do not move in training.

    Parameters
    ----------
    model : nn.Module
        Its parameters as they are now are w0.
    mu : float
        0 leaves the loss untouched, to the bit.
    """

    def __init__(self, model: nn.Module, mu: float) -> None:
        self._mu = mu
        self._pairs = [(p, p.detach().clone()) for p in model.parameters()] if mu else []

    def added_to(self, loss: Tensor) -> Tensor:
        """Return the loss, shape (), and the term at the parameters of this moment."""
        if not self._pairs:
            return loss
        squares = [(now - before).square().sum() for now, before in self._pairs]
        return loss + self._mu / 2 * torch.stack(squares).sum()
