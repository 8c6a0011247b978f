"""FedAvg on Flower's `Strategy`: one message a round, checked updates, a checkpoint each round."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg

from server.averaging import average_updates
from server.checkpoint import Checkpoint
from shared.judgement import Judgement, add_up
from shared.plan import Plan
from shared.protocol import (
    Instruction,
    ProtocolError,
    Update,
    read_judgement,
    read_update,
    write_instruction,
)
from shared.weights import Weights, to_record

SELECTION_METRICS = ("os_c_index", "rfs_c_index", "mvi_auc")


class FederationFailedError(RuntimeError):
    """Too few sites answered with a valid update; the last checkpoint stands."""


class SiteFedAvg(FedAvg):
    """Federated averaging over institutions that judge first and train then.

    A round sends the global model once. Each site returns its update and the sums that judge
    the model it received, so the result of round r is judged in round r + 1, and the last one
    in an evaluation of its own: half the messages of train plus evaluate.

    Parameters
    ----------
    plan : Plan
    checkpoint : Checkpoint
        Where to go on from; round 0 for a new federation.
    minimum_sites : int
        With fewer valid updates in a round the federation fails.
    on_checkpoint : callable
        Called after every round, and once more after the last model was judged.
    """

    def __init__(
        self,
        plan: Plan,
        checkpoint: Checkpoint,
        *,
        minimum_sites: int,
        on_checkpoint: Callable[[Checkpoint], None],
    ) -> None:
        super().__init__(
            min_train_nodes=minimum_sites,
            min_evaluate_nodes=minimum_sites,
            min_available_nodes=minimum_sites,
        )
        self.plan = plan
        self.checkpoint = checkpoint
        self._first_round = checkpoint.round
        self._minimum_sites = minimum_sites
        self._on_checkpoint = on_checkpoint
        self._round_began = 0.0

    def summary(self) -> None:
        """Say nothing: the command that runs the federation shows its own progress."""

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Send the global model and the plan to every site."""
        self._round_began = time.perf_counter()
        return self._instruct(MessageType.TRAIN, self._first_round + server_round, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Judge the model that went out, average the valid updates, and checkpoint."""
        number = self._first_round + server_round
        updates, refused = self._read_updates(replies)
        if len(updates) < self._minimum_sites:
            raise FederationFailedError(
                f"round {number}: {len(updates)} of at least {self._minimum_sites} sites"
                f" answered with a valid update; refused: {refused or 'none'}"
            )
        before = self.checkpoint
        judged = self._record_judgement(before, (update.judgement for update in updates))
        averaged = average_updates(updates, before.weights)
        record = self._round_record(number, updates, refused, averaged)
        self.checkpoint = replace(
            judged, round=number, weights=averaged, history=[*judged.history, record]
        )
        self._on_checkpoint(self.checkpoint)
        return to_record(averaged), None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask for a judgement of its own only for the last model."""
        number = self._first_round + server_round
        return self.instruct_last(grid) if number == self.plan.rounds else []

    def instruct_last(self, grid: Grid) -> list[Message]:
        """Return the messages that have the last model judged."""
        return self._instruct(MessageType.EVALUATE, self.plan.rounds + 1, grid)

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Judge the last model and mark the federation as finished."""
        if self._first_round + server_round < self.plan.rounds:
            return None
        judgements: dict[str, Judgement] = {}
        for reply in replies:
            # A site that fails here only misses the last judgement: its updates are in.
            with suppress(ProtocolError):
                site, judgement = read_judgement(reply)
                judgements[site] = judgement
        ordered = [judgements[site] for site in sorted(judgements)]
        self.checkpoint = replace(self._record_judgement(self.checkpoint, ordered), finished=True)
        self._on_checkpoint(self.checkpoint)
        return None

    def _instruct(self, message_type: str, number: int, grid: Grid) -> list[Message]:
        content = write_instruction(self.checkpoint.weights, Instruction(self.plan, number))
        return [
            Message(content=content, message_type=message_type, dst_node_id=node_id)
            for node_id in sorted(grid.get_node_ids())
        ]

    def _read_updates(self, replies: Iterable[Message]) -> tuple[list[Update], dict[str, str]]:
        """Return valid updates in site order, and why the other replies do not count."""
        updates: list[Update] = []
        refused: dict[str, str] = {}
        for reply in replies:
            try:
                updates.append(read_update(reply, self.checkpoint.weights))
            except ProtocolError as error:
                refused[str(reply.metadata.src_node_id)] = error.code.name
        return sorted(updates, key=lambda update: update.site), refused

    def _record_judgement(
        self, checkpoint: Checkpoint, judgements: Iterable[Judgement]
    ) -> Checkpoint:
        """Write what the sites think of a model into its round's record; keep it if it is best."""
        metrics = add_up(judgements).metrics()
        score = selection_score(metrics)
        last = {**checkpoint.history[-1], "metrics": metrics, "score": score}
        checkpoint = replace(checkpoint, history=[*checkpoint.history[:-1], last])
        if score is None or score <= checkpoint.best_score:
            return checkpoint
        return replace(
            checkpoint,
            best_round=checkpoint.round,
            best_score=score,
            best_weights=checkpoint.weights,
        )

    def _round_record(
        self, number: int, updates: list[Update], refused: dict[str, str], averaged: Weights
    ) -> dict[str, Any]:
        model_bytes = sum(value.nbytes for value in averaged.values())
        return {
            "round": number,
            "seconds": time.perf_counter() - self._round_began,
            "bytes_down": model_bytes * (len(updates) + len(refused)),
            "bytes_up": model_bytes * len(updates),
            "sites": {
                update.site: {
                    "patients": update.patients,
                    "labelled": update.labelled,
                    "loss": update.loss,
                    "seconds": update.seconds,
                }
                for update in updates
            },
            "refused": refused,
        }


def selection_score(metrics: dict[str, float | None]) -> float | None:
    """Return what the best round is chosen by, on internal validation alone.

    The mean of the C-indices of OS and RFS and the AUC of MVI, over those that can be had.
    """
    values = [value for key in SELECTION_METRICS if (value := metrics[key]) is not None]
    return sum(values) / len(values) if values else None
