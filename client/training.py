"""Local optimisation: one round at one site."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import torch
from torch import Tensor

from client.augmentation import augment
from client.batches import Batches, draw, in_steps, on_device, shuffled
from client.cases import PreparedCase, labelled
from client.control import ControlVariate
from client.proximal import ProximalTerm
from client.steps import AdamWSteps, PlainSteps, StepGroup, Steps
from shared.losses.multitask import multitask_loss
from shared.model import HEADS, MultiTaskNet
from shared.plan import OptimisationSettings, Plan
from shared.seeds import derive_seed
from shared.tasks import Task


def train_locally(
    model: MultiTaskNet,
    cases: Sequence[PreparedCase],
    plan: Plan,
    *,
    site: str,
    round_number: int,
    device: torch.device,
    control: ControlVariate | None = None,
) -> Tensor:
    """Train a model in place on a site's training patients.

    Everything random is drawn from the seed of (run, site, round): the same round at the same
    site gives the same weights, whoever runs it and whatever ran before.

    Returns
    -------
    Tensor, shape (), float64
        Mean loss a step, on the device: to read a number is to wait for a GPU, and nothing here
        reads one.
    """
    settings = plan.optimisation
    generator = _generator(plan, site, round_number)
    torch.manual_seed(derive_seed(plan.seed, "dropout", site, round_number))
    proximal = ProximalTerm(model, plan.algorithm.proximal_mu)
    trunk_and_heads = _steps(model, settings, cosine(settings, round_number, plan.rounds))
    model.train()
    losses: list[Tensor] = []
    for batch, targets in on_device(_changed_batches(cases, plan, generator), device):
        loss, _ = multitask_loss(model(batch), targets, plan.loss, plan.time_grid)
        total = loss + model.ridge(settings.shared_ridge, settings.own_ridge)
        total = proximal.added_to(total)
        model.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
        for steps in trunk_and_heads:
            if control is not None:
                control.correct(steps.groups)
            steps.step()
        losses.append(total.detach())
    return torch.stack(losses).double().mean()


def with_enough_labels(
    cases: Sequence[PreparedCase], plan: Plan, least: int, *, site: str, round_number: int
) -> tuple[PreparedCase, ...]:
    """Return the cases as a round may use them: without the labels that too few of it have.

    A task's own head moves by the patients alone who have its label. Where fewer than `least` of
    those whom the round draws have it, nobody has: the head stays, and the other tasks train.
    """
    known = labelled(_drawn(cases, plan, _generator(plan, site, round_number)))
    hidden: dict[Task, None] = dict.fromkeys(task for task, count in known.items() if count < least)
    return tuple(replace(case, labels=replace(case.labels, **hidden)) for case in cases)


def _generator(plan: Plan, site: str, round_number: int) -> torch.Generator:
    seed = derive_seed(plan.seed, "train", site, round_number)
    return torch.Generator().manual_seed(seed)


def _drawn(
    cases: Sequence[PreparedCase], plan: Plan, generator: torch.Generator
) -> Sequence[PreparedCase]:
    """Return whom a round draws, each once; the draw is the first use of its generator."""
    steps, size = plan.optimisation.local_steps, plan.optimisation.batch_size
    # Passes take everybody; so do enough steps.
    if not steps or steps * size >= len(cases):
        return cases
    return draw(cases, steps * size, generator)


def _changed_batches(
    cases: Sequence[PreparedCase], plan: Plan, generator: torch.Generator
) -> Batches:
    images = plan.model.trunk != "none"
    for batch, targets in _batches(cases, plan, generator):
        yield augment(batch, plan.augmentation, generator, images=images), targets


def _batches(cases: Sequence[PreparedCase], plan: Plan, generator: torch.Generator) -> Batches:
    settings, variables = plan.optimisation, plan.model.clinical_variables
    size, steps = settings.batch_size, settings.local_steps
    if steps:
        return in_steps(cases, size, steps, generator, variables)
    epochs = (shuffled(cases, size, generator, variables) for _ in range(settings.local_epochs))
    return chain.from_iterable(epochs)


def cosine(settings: OptimisationSettings, round_number: int, rounds: int) -> float:
    """Return the factor on the learning rates: half a cosine from the first round to the last.

    `round_number` counts from 1.
    """
    progress = (round_number - 1) / max(1, rounds - 1)
    low = settings.final_learning_rate
    return low + (1 - low) * (1 + math.cos(math.pi * progress)) / 2


def _steps(model: MultiTaskNet, settings: OptimisationSettings, factor: float) -> list[Steps]:
    """Return what steps along the gradients: plain steps for the heads, and for SGD for all."""
    trunk = [p for name, p in model.named_parameters() if not name.startswith(f"{HEADS}.")]
    others = StepGroup(tuple(trunk), settings.learning_rate * factor, settings.weight_decay)
    # No weight decay: the heads' penalty is part of the loss.
    named = [*model.heads.named_parameters()]
    weights = tuple(p for name, p in named if name.endswith("weight"))
    intercepts = tuple(p for name, p in named if not name.endswith("weight"))
    heads = (
        StepGroup(weights, settings.head_learning_rate * factor),
        StepGroup(intercepts, settings.intercept_learning_rate * factor),
    )
    if settings.optimiser == "sgd":
        return [PlainSteps(others, *heads)]
    return [AdamWSteps(others), PlainSteps(*heads)]
