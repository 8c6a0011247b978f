"""Steps along the gradients, by the functions that torch's own optimisers call.

Not by the optimisers' classes: the first one made imports torch's compiler, for which nothing
here has a use. That is 73 MB and a second of CPU in every process that trains, and at a site
every message has one of its own. The weights are those of the classes to the bit.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd


@dataclass(frozen=True, eq=False)
class StepGroup:
    """Parameters that are moved alike.

    Attributes
    ----------
    parameters : tuple of Tensor
        One without a gradient stays where it is.
    learning_rate : float
    weight_decay : float
    """

    parameters: tuple[Tensor, ...]
    learning_rate: float
    weight_decay: float = 0.0


class PlainSteps:
    """y <- y - r (g + w y), as `torch.optim.SGD` without momentum.

    Parameters
    ----------
    *groups : StepGroup
        Each with its own rate r and weight decay w.
    """

    def __init__(self, *groups: StepGroup) -> None:
        self.groups = groups

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters along their gradients."""
        for group in self.groups:
            moved = [p for p in group.parameters if p.grad is not None]
            sgd(
                moved,
                [p.grad for p in moved if p.grad is not None],
                [],
                weight_decay=group.weight_decay,
                momentum=0.0,
                lr=group.learning_rate,
                dampening=0.0,
                nesterov=False,
                maximize=False,
            )


class _Moments:
    """What Adam remembers of a parameter: running means of the gradient and of its square."""

    def __init__(self, parameter: Tensor) -> None:
        self.mean = torch.zeros_like(parameter, requires_grad=False)
        self.square = torch.zeros_like(parameter, requires_grad=False)
        self.steps = torch.tensor(0.0)


class AdamWSteps:
    """Adam with decoupled weight decay, as `torch.optim.AdamW` with its own constants.

    Loshchilov and Hutter, arXiv 1711.05101.

    Parameters
    ----------
    group : StepGroup
    """

    BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8

    def __init__(self, group: StepGroup) -> None:
        self.groups = (group,)
        self._moments = [_Moments(parameter) for parameter in group.parameters]

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters along their gradients."""
        (group,) = self.groups
        pairs = zip(group.parameters, self._moments, strict=True)
        moved = [(p, p.grad, moments) for p, moments in pairs if p.grad is not None]
        adamw(
            [parameter for parameter, _, _ in moved],
            [gradient for _, gradient, _ in moved],
            [moments.mean for _, _, moments in moved],
            [moments.square for _, _, moments in moved],
            [],
            [moments.steps for _, _, moments in moved],
            amsgrad=False,
            beta1=self.BETA_1,
            beta2=self.BETA_2,
            lr=group.learning_rate,
            weight_decay=group.weight_decay,
            eps=self.EPSILON,
            maximize=False,
        )


Steps = PlainSteps | AdamWSteps
