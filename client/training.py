"""Local optimisation: one round at one site."""

import math
from collections.abc import Sequence

import torch

from client.augmentation import augment
from client.batches import shuffled
from client.cohort import PreparedCase
from client.control import ControlVariate
from client.proximal import ProximalTerm
from shared.losses.multitask import multitask_loss
from shared.model import HEADS, MultiTaskNet
from shared.plan import OptimisationSettings, Plan
from shared.seeds import derive_seed


def train_locally(
    model: MultiTaskNet,
    cases: Sequence[PreparedCase],
    plan: Plan,
    *,
    site: str,
    round_number: int,
    device: torch.device,
    control: ControlVariate | None = None,
) -> float:
    """Train a model in place on a site's training patients.

    Everything random is drawn from the seed of (run, site, round): the same round at the same
    site gives the same weights, whoever runs it and whatever ran before.

    Returns
    -------
    float
        Mean loss a step over the last local epoch.
    """
    settings = plan.optimisation
    seed = derive_seed(plan.seed, "train", site, round_number)
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(derive_seed(plan.seed, "dropout", site, round_number))
    proximal = ProximalTerm(model, plan.algorithm.proximal_mu)
    optimiser = _optimiser(model, settings, cosine(settings, round_number, plan.rounds))
    model.train()
    losses: list[float] = []
    for _ in range(settings.local_epochs):
        losses = []
        for batch, targets in shuffled(
            cases, settings.batch_size, generator, plan.model.clinical_variables
        ):
            changed = augment(batch, plan.augmentation, generator).to(device)
            loss, _ = multitask_loss(model(changed), targets.to(device), plan.loss, plan.time_grid)
            total = loss + model.ridge(settings.shared_ridge, settings.own_ridge)
            total = proximal.added_to(total)
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(total)
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
            if control is not None:
                control.correct(optimiser)
            optimiser.step()
            losses.append(float(total.detach()))
    return sum(losses) / len(losses)


def cosine(settings: OptimisationSettings, round_number: int, rounds: int) -> float:
    """Return the factor on the learning rates: half a cosine from the first round to the last.

    `round_number` counts from 1.
    """
    progress = (round_number - 1) / max(1, rounds - 1)
    low = settings.final_learning_rate
    return low + (1 - low) * (1 + math.cos(math.pi * progress)) / 2


def _optimiser(
    model: MultiTaskNet, settings: OptimisationSettings, factor: float
) -> torch.optim.Optimizer:
    heads = list(model.heads.parameters())
    others = [p for name, p in model.named_parameters() if not name.startswith(f"{HEADS}.")]
    kind = torch.optim.AdamW if settings.optimiser == "adamw" else torch.optim.SGD
    return kind(
        [
            {
                "params": others,
                "lr": settings.learning_rate * factor,
                "weight_decay": settings.weight_decay,
            },
            # The heads' penalty is part of the loss.
            {"params": heads, "lr": settings.head_learning_rate * factor, "weight_decay": 0.0},
        ],
    )
