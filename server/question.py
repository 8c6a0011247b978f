"""One question to the training sites, put until enough of them have answered."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from flwr.app import Message, MessageType, RecordDict
from flwr.serverapp import Grid

from server.intake import Intake
from server.progress import Progress
from server.streaming import time_to_live
from server.terms import Terms

logger = logging.getLogger("hepafed.server")

Take = Callable[[Iterable[Message], Mapping[int, str]], None]
# Node id -> name of sites -> the same of those who are chosen.
Draw = Callable[[Mapping[int, str]], Mapping[int, str]]


class FederationFailedError(RuntimeError):
    """Too few sites answered with something that counts; the last checkpoint stands."""


class Question:
    """What a round asks of the sites, and who has been asked.

    Parameters
    ----------
    grid : Grid
    terms : Terms
    content : RecordDict
        The same for every site.
    message_type : str
    number : int
        The round.
    on_progress : callable
        Told whenever something has happened.
    draw : callable, optional
        Of the sites of the first attempt, those who are asked as `message_type` says; the others
        are asked to judge what the message carries. An attempt after it asks all who are left.
    """

    def __init__(
        self,
        grid: Grid,
        terms: Terms,
        content: RecordDict,
        *,
        message_type: str,
        number: int,
        on_progress: Callable[[Progress], None],
        draw: Draw = dict,
    ) -> None:
        self._grid = grid
        self._terms = terms
        self._content = content
        self._message_type = message_type
        self._on_progress = on_progress
        self._draw = draw
        self._progress = Progress(run_id=grid.run.run_id, round=number)
        self._asked: dict[int, str] = {}
        self.failures: list[str] = []

    @property
    def absent(self) -> list[str]:
        """Training sites that were not online when the question was last put."""
        return list(self._progress.absent)

    def messages(self, done: Iterable[str] = ()) -> list[Message]:
        """Return the messages of the next attempt: to all who are there and are not done.

        Waits, within bounds, for enough sites. Where they do not come nobody is asked.
        """
        roll, patience = self._terms.roll, self._terms.patience
        self._tell(attempt=len(self.failures) + 1, began=time.time(), asked=())
        present = roll.gather(self._grid, patience.minimum_sites, patience.gathering_s)
        enough = len(present) >= patience.minimum_sites
        left = set(present.values()) - set(done) if enough else set()
        self._asked = {n: name for n, name in present.items() if name in left}
        drawn = self._asked if self.failures else self._draw(self._asked)
        self._tell(
            began=time.time(),
            asked=tuple(name or f"node {n}" for n, name in self._asked.items()),
            absent=tuple(roll.absent(present)),
        )
        return [
            Message(
                content=self._content,
                message_type=self._message_type if node_id in drawn else MessageType.EVALUATE,
                dst_node_id=node_id,
                ttl=time_to_live(patience.deadline_s),
            )
            for node_id in self._asked
        ]

    def put(self, intake: Intake, take: Take, replies: Iterable[Message] | None = None) -> None:
        """Take in answers, and ask again while too few count.

        Parameters
        ----------
        intake : Intake
        take : callable
            Takes replies in, given who was asked.
        replies : iterable of Message, optional
            To the messages of the first attempt, where somebody else has sent them.

        Raises
        ------
        FederationFailedError
            After the last attempt.
        """
        patience = self._terms.patience
        while True:
            if replies is None:
                messages = self.messages(intake.counted)
                replies = self._grid.send_and_receive(messages, timeout=patience.deadline_s)
            take(self._telling(replies, intake), self._asked)
            self._tell_of(intake)
            if len(intake.counted) >= patience.minimum_sites:
                return
            self.failures.append(self._failure(intake))
            logger.warning("%s", self.failures[-1])
            if len(self.failures) == patience.attempts:
                raise FederationFailedError(self.failures[-1])
            replies = None

    def _telling(self, replies: Iterable[Message], intake: Intake) -> Iterable[Message]:
        for reply in replies:
            yield reply
            del reply  # taken in: it must not stay while the next one comes
            self._tell_of(intake)

    def _tell_of(self, intake: Intake) -> None:
        self._tell(answered=tuple(intake.answered), refused=dict(intake.refused))

    def _tell(self, **changes: object) -> None:
        self._progress = replace(self._progress, **changes)  # type: ignore[arg-type]
        self._on_progress(self._progress)

    def _failure(self, intake: Intake) -> str:
        needed, number = self._terms.patience.minimum_sites, self._progress.round
        refused = ", ".join(f"{site} {code}" for site, code in sorted(intake.refused.items()))
        absent = ", ".join(self.absent)
        return (
            f"{'before round 1' if number == 0 else f'round {number}'}, attempt"
            f" {self._progress.attempt}: {len(intake.counted)} of at least {needed} sites"
            f" answered; refused: {refused or 'none'}; not online: {absent or 'none'}"
        )
