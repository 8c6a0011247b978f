"""Averaging over institutions on Flower's `Strategy`: checked, bounded in time, repeatable."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from server import control, optimiser
from server.checkpoint import Checkpoint, counted, told_patients
from server.intake import JudgementIntake, TrainingIntake
from server.progress import Progress
from server.question import FederationFailedError, Question
from server.roll import draw_sites
from server.selection import is_better, judged_by, selection_score
from server.terms import Terms
from shared.judgement import Judgement, add_up
from shared.plan import Plan, new_model
from shared.protocol import Instruction, write_instruction
from shared.seeds import derive_seed
from shared.weights import Weights, to_record

logger = logging.getLogger("hepafed.server")


class SiteStrategy(Strategy):
    """Federated averaging over institutions that judge first and train then.

    A round sends the global model once. Each site returns its update and the sums that judge
    the model it received, so the result of round r is judged in round r + 1, and the last one
    in an evaluation of its own: half the messages of train plus evaluate. A site that is not
    drawn to train returns the sums alone.

    Run it with a `server.streaming.StreamingGrid`: replies are taken in one by one.

    Parameters
    ----------
    plan : Plan
    checkpoint : Checkpoint
        Where to go on from; round 0 for a new federation.
    terms : Terms
    on_checkpoint : callable
        Called after every round, and once more after the last model was judged.
    on_progress : callable
        Told whenever something has happened within a round.
    """

    def __init__(
        self,
        plan: Plan,
        checkpoint: Checkpoint,
        terms: Terms,
        *,
        on_checkpoint: Callable[[Checkpoint], None],
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.plan = plan
        self.checkpoint = checkpoint
        self._terms = terms
        self._first_round = checkpoint.round
        self._parameters = frozenset(key for key, _ in new_model(plan).named_parameters())
        self._on_checkpoint = on_checkpoint
        self._on_progress = on_progress
        self._question: Question | None = None

    def summary(self) -> None:
        """Log on what terms the federation is run."""
        logger.info("rounds %d, %s", self.plan.rounds, self._terms)

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Send the global model and the plan to every training site that is online."""
        return self._ask(MessageType.TRAIN, self._first_round + server_round, grid).messages()

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Average the valid updates as they come, judge the model that went out, checkpoint.

        Raises
        ------
        FederationFailedError
            Too few sites, at the last attempt too.
        """
        question, before = self._asked(), self.checkpoint
        told = told_patients(before.history)
        intake = TrainingIntake(before.weights, self._control(), told)
        question.put(intake, intake.take_updates, replies)
        judged = self._record_judgement(before, intake.judgements())
        weights, memory = optimiser.apply(
            self._terms.optimiser,
            before.weights,
            intake.average(),
            control.without(before.memory),
            self._parameters,
        )
        if intake.control_change is not None:
            memory = {**memory, **intake.control_change.added_to(before.memory)}
        number = self._first_round + server_round
        record = {"round": number, **intake.record(), **_account(question)}
        self.checkpoint = replace(
            judged,
            round=number,
            weights=weights,
            memory=memory,
            history=[*judged.history, record],
        )
        self._on_checkpoint(self.checkpoint)
        return to_record(weights), None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask for a judgement of its own only for the last model."""
        number = self._first_round + server_round
        return self.instruct_last(grid) if number == self.plan.rounds else []

    def instruct_last(self, grid: Grid) -> list[Message]:
        """Return the messages that have the last model judged."""
        return self._ask(MessageType.EVALUATE, self.plan.rounds + 1, grid).messages()

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Judge the last model and mark the federation as finished."""
        if self._first_round + server_round < self.plan.rounds:
            return None
        intake = JudgementIntake()
        try:
            self._asked().put(intake, intake.take_judgements, replies)
        except FederationFailedError as error:
            # All updates are in: what those who answered think goes into the record.
            logger.warning("the last model is judged by too few sites: %s", error)
        judged = self._record_judgement(self.checkpoint, intake.judgements())
        self.checkpoint = replace(judged, finished=True)
        self._on_checkpoint(self.checkpoint)
        return None

    def _control(self) -> Weights | None:
        """Return the control variate that goes with the model, in SCAFFOLD."""
        if not self.plan.algorithm.control_variates:
            return None
        before = self.checkpoint
        parameters = {key: before.weights[key] for key in self._parameters}
        return control.variate(before.memory, before.history, parameters)

    def _ask(self, message_type: str, number: int, grid: Grid) -> Question:
        at = self.checkpoint
        own = counted(at.history, at.round)
        instruction = Instruction(self.plan, number, own, at.federation)
        trains = message_type == MessageType.TRAIN
        variate = self._control() if trains else None
        self._question = Question(
            grid,
            self._terms,
            write_instruction(at.weights, instruction, variate),
            message_type=message_type,
            number=number,
            on_progress=self._on_progress,
            draw=partial(self._drawn, number) if trains else dict,
        )
        return self._question

    def _drawn(self, number: int, present: Mapping[int, str]) -> Mapping[int, str]:
        """Return who of these trains in a round."""
        count = self._terms.sites_per_round
        if count is None:
            return present
        return draw_sites(present, count, derive_seed(self.plan.seed, "sites", number))

    def _asked(self) -> Question:
        if self._question is None:
            raise RuntimeError("nothing was asked: configure a round before aggregating it")
        return self._question

    def _record_judgement(
        self, checkpoint: Checkpoint, judgements: Mapping[str, Judgement]
    ) -> Checkpoint:
        """Write what the sites think of a model into its round's record; keep it if it is best."""
        total = add_up(judgements.values())
        judged = {
            **checkpoint.history[-1],
            "metrics": total.metrics(),
            "score": selection_score(total.losses, self.plan),
            "judged_by": judged_by(judgements),
        }
        checkpoint = replace(checkpoint, history=[*checkpoint.history[:-1], judged])
        # The last model's judges alone may be fewer: no ground to put it before another.
        enough = len(judgements) >= self._terms.patience.minimum_sites
        if not enough or not self._beats_the_best(judged, checkpoint):
            return checkpoint
        return replace(checkpoint, best_round=checkpoint.round, best_weights=checkpoint.weights)

    def _beats_the_best(self, judged: Mapping[str, Any], checkpoint: Checkpoint) -> bool:
        if checkpoint.best_round is None:
            return judged["score"] is not None
        best = checkpoint.history[checkpoint.best_round]
        return is_better(judged["judged_by"], best["judged_by"], self.plan)


def _account(question: Question) -> dict[str, Any]:
    """Return what a round's record says of those who did not answer, and of failed attempts."""
    return {"absent": question.absent, "failed_attempts": question.failures}
