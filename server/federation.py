"""A federation from its plan to its best model, resumed from wherever it stands."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from flwr.app import Message, MessageType
from flwr.serverapp import Grid

from server import checkpoint as checkpoints
from server.checkpoint import Checkpoint
from server.strategy import FederationFailedError, SiteFedAvg
from shared.config import to_json
from shared.plan import Plan, new_model
from shared.protocol import (
    Instruction,
    ProtocolError,
    read_feature_sums,
    write_instruction,
)
from shared.seeds import derive_seed
from shared.standardisation import add_up
from shared.weights import Weights, to_record, weights_of

STRATEGIES = {"fedavg": SiteFedAvg}


@dataclass(frozen=True)
class FederationSettings:
    """How a federation is run.

    Attributes
    ----------
    plan : Plan
    state_dir : Path
        Where checkpoints go.
    strategy : str
        A key of `STRATEGIES`.
    minimum_sites : int
        With fewer valid updates in a round the federation fails.
    timeout_s : float
        How long a round waits for its replies.
    """

    plan: Plan
    state_dir: Path
    strategy: str = "fedavg"
    minimum_sites: int = 1
    timeout_s: float = 3600.0

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ValueError(f"strategy must be one of {sorted(STRATEGIES)}, got {self.strategy!r}")
        if self.minimum_sites < 1:
            raise ValueError(f"minimum_sites must be at least 1, got {self.minimum_sites}")


def run_federation(
    grid: Grid,
    settings: FederationSettings,
    on_checkpoint: Callable[[Checkpoint], None] | None = None,
) -> Checkpoint:
    """Run the rounds that are left and return the last checkpoint.

    Parameters
    ----------
    grid : Grid
        Flower's way to the sites.
    settings : FederationSettings
    on_checkpoint : callable, optional
        Told of every checkpoint after it is on disk.
    """
    plan, plan_json = settings.plan, to_json(settings.plan)

    def keep(checkpoint: Checkpoint) -> None:
        checkpoints.save(checkpoint, plan_json, settings.state_dir)
        if on_checkpoint is not None:
            on_checkpoint(checkpoint)

    start = checkpoints.load(plan_json, settings.state_dir)
    if start is None:
        start = first_checkpoint(grid, settings)
        keep(start)
    if start.finished:
        return start
    strategy = STRATEGIES[settings.strategy](
        plan, start, minimum_sites=settings.minimum_sites, on_checkpoint=keep
    )
    rounds_left = plan.rounds - start.round
    if rounds_left:
        strategy.start(
            grid, to_record(start.weights), num_rounds=rounds_left, timeout=settings.timeout_s
        )
    else:
        replies = grid.send_and_receive(strategy.instruct_last(grid), timeout=settings.timeout_s)
        strategy.aggregate_evaluate(0, replies)
    return strategy.checkpoint


def first_checkpoint(grid: Grid, settings: FederationSettings) -> Checkpoint:
    """Return round 0: weights drawn from the run's seed, features standardised by all sites.

    Raises
    ------
    FederationFailedError
        Too few sites answered with their sums.
    """
    weights = initial_weights(settings.plan)
    content = write_instruction(weights, Instruction(settings.plan, round=0))
    messages = [
        Message(content=content, message_type=MessageType.QUERY, dst_node_id=node_id)
        for node_id in sorted(grid.get_node_ids())
    ]
    sums, refused = {}, []
    for reply in grid.send_and_receive(messages, timeout=settings.timeout_s):
        try:
            site, sums_of_site = read_feature_sums(reply)
            sums[site] = sums_of_site
        except ProtocolError as error:
            refused.append(error.code.name)
    if len(sums) < settings.minimum_sites:
        raise FederationFailedError(
            f"before round 1: {len(sums)} of at least {settings.minimum_sites} sites answered;"
            f" refused: {refused or 'none'}"
        )
    total = add_up(sums[site] for site in sorted(sums))
    mean, deviation = total.mean_and_deviation()
    weights |= {"standardise.mean": mean, "standardise.deviation": deviation}
    return Checkpoint(round=0, weights=weights, history=[{"round": 0}])


def initial_weights(plan: Plan) -> Weights:
    """Return the weights that every method of a run begins with."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(plan.seed, "initial weights"))
        return weights_of(new_model(plan))


def best_weights(checkpoint: Checkpoint) -> Weights:
    """Return the model chosen on internal validation; the last one where nothing could choose."""
    return checkpoint.weights if checkpoint.best_weights is None else checkpoint.best_weights
