"""The sites that are asked about the best model: whoever gives no answer is asked again."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from server.intake import Intake
from server.roll import Roll
from server.streaming import time_to_live
from server.terms import Terms
from shared.evidence.description import Description
from shared.evidence.sums import Evidence
from shared.protocol import ErrorCode

logger = logging.getLogger("hepafed.server")

A = TypeVar("A", Description, Evidence)

# With these a site has given no answer; with any other code it has, and is not asked again.
_NO_ANSWER = frozenset(
    code.name for code in (ErrorCode.NOT_ONLINE, ErrorCode.NO_ANSWER, ErrorCode.INTERNAL)
)


class JudgesMissingError(RuntimeError):
    """A named site has not answered about the best model; what the others said is kept."""


@dataclass(frozen=True)
class Judges:
    """Whom the questions about the best model go to, and how patiently.

    Attributes
    ----------
    grid : Grid
    terms : Terms
        All sites of its roll must answer, but those of `accept_missing`, who are asked too and
        neither waited for nor needed. Where it names nobody, whoever is online is asked once.
    given_up : set of str
        Those who had not answered a question when its attempts were over: asked the next one, but
        not waited for again.
    """

    grid: Grid
    terms: Terms = field(default_factory=Terms)
    given_up: set[str] = field(default_factory=set)

    def ask(
        self, content: RecordDict, kind: str, read: Callable[[Message], A]
    ) -> tuple[tuple[A, ...], dict[str, str]]:
        """Return the answers in the order of the sites' names, and site -> why it has none."""
        answers: dict[str, A] = {}

        def read_named(reply: Message) -> tuple[str, A]:
            answer = read(reply)
            return answer.site, answer

        intake = Intake()
        patience = self.terms.patience
        ttl = time_to_live(patience.deadline_s)
        for attempt in range(1, patience.attempts + 1):
            nodes = self._online(self._missing(intake))
            messages = [Message(content, node, kind, ttl=ttl) for node in nodes]
            replies = self.grid.send_and_receive(messages, timeout=patience.deadline_s)
            intake.take(replies, nodes, read_named, answers.__setitem__)
            missing = self._missing(intake)
            if not self._needed(missing):
                break
            logger.warning("final judgement, attempt %d: %s", attempt, _in_words(missing))
        self.given_up.update(self._needed(missing))
        return tuple(answers[site] for site in sorted(answers)), {**missing, **intake.refused}

    def _missing(self, intake: Intake) -> dict[str, str]:
        """Return named site -> why there is no answer of it, good or bad."""
        left = {*self.terms.roll.named} - {*intake.answered}
        return _silent({s: intake.refused.get(s, ErrorCode.NOT_ONLINE.name) for s in left})

    def _needed(self, missing: dict[str, str]) -> tuple[str, ...]:
        return tuple(s for s in missing if s not in {*self.terms.accept_missing, *self.given_up})

    def _online(self, missing: dict[str, str]) -> dict[int, str]:
        """Return node id -> name of those to ask, having waited for the ones that are needed."""
        if not self.terms.roll.named:
            return Roll().present(self.grid)
        needed = self._needed(missing)
        if needed:
            Roll(needed).gather(self.grid, len(needed), self.terms.patience.gathering_s)
        return Roll(tuple(missing)).present(self.grid)


def missing_judges(refused: Mapping[str, str], terms: Terms) -> dict[str, str]:
    """Return the sites that are named and needed and gave no answer, with the code of why.

    Parameters
    ----------
    refused : mapping of str to str
        Site -> the code of why it is in no metric, or has described no patients.
    terms : Terms
    """
    needed = {*terms.roll.named} - {*terms.accept_missing}
    return _silent({site: code for site, code in refused.items() if site in needed})


def gap_in_words(missing: Mapping[str, str], terms: Terms) -> str:
    """Return who has not judged the best model, and what can be done about it."""
    accept = ",".join(sorted({*terms.accept_missing, *missing}))
    return (
        f"the best model is not judged by {_in_words(missing)}; what the others say is written."
        f" The same command asks all of them again, and with accept_missing=[{accept}] it ends"
        " without"
    )


def _silent(codes: Mapping[str, str]) -> dict[str, str]:
    """Return the sites whose code says that they gave no answer, by name."""
    return {site: code for site, code in sorted(codes.items()) if code in _NO_ANSWER}


def _in_words(missing: Mapping[str, str]) -> str:
    return ", ".join(f"{site} {code}" for site, code in missing.items())
