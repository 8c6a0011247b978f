"""Takes in the replies of one round: what counts, what is refused and why, one at a time."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from flwr.app import Message, MessageType

from server.averaging import MOST_SITES, RunningAverage
from server.control import ControlChange
from shared.judgement import Judgement
from shared.protocol import ErrorCode, ProtocolError, Update, read_judgement, read_update
from shared.weights import Weights

logger = logging.getLogger("hepafed.server")

T = TypeVar("T")


class Intake:
    """Who has answered in a round, and with what; each site counts once."""

    def __init__(self) -> None:
        self.refused: dict[str, str] = {}
        self._answered: set[str] = set()

    @property
    def answered(self) -> list[str]:
        """Names of the sites whose answers were taken in, in order."""
        return sorted(self._answered)

    @property
    def counted(self) -> list[str]:
        """Names of the sites of whom nothing more is wanted, in order: a round needs enough."""
        return self.answered

    def take(
        self,
        replies: Iterable[Message],
        asked: Mapping[int, str],
        read: Callable[[Message], tuple[str, T]],
        use: Callable[[str, T], None],
    ) -> None:
        """Read replies one by one and use those that count.

        Parameters
        ----------
        replies : iterable of Message
        asked : mapping of int to str
            Node id -> the name its key is registered under; empty for a node without one,
            whose own word is taken.
        read : callable
            Message -> (the site's own name, what it says); raises ProtocolError.
        use : callable
            Called with name and content of each reply that counts.
        """
        for reply in replies:
            self._take_one(reply, asked, read, use)
            del reply  # taken in: it must not stay while the next one comes

    def _take_one(
        self,
        reply: Message,
        asked: Mapping[int, str],
        read: Callable[[Message], tuple[str, T]],
        use: Callable[[str, T], None],
    ) -> None:
        node_id = reply.metadata.src_node_id
        registered = asked.get(node_id, "")
        shown = registered or f"node {node_id}"
        try:
            name, content = _guarded(read, reply)
            shown = registered or name
            if node_id not in asked or (registered and name != registered):
                raise ProtocolError(ErrorCode.WRONG_SITE, f"{shown} answers as {name}")
            if name in self.counted:
                raise ProtocolError(ErrorCode.DUPLICATE_REPLY, f"{shown} has answered before")
            use(name, content)
        except ProtocolError as error:
            logger.warning("%s: %s", shown, error)
            self.refused[shown] = error.code.name
        else:
            self._answered.add(name)
            self.refused.pop(shown, None)


class TrainingIntake(Intake):
    """The updates of one round, averaged as they come, and what goes into its record.

    Parameters
    ----------
    current : Weights
        The model that went out.
    control : Weights or None
        The control variate that went out with it, in SCAFFOLD.
    told : mapping of str to int
        Site -> the training patients it told before, which it may not exceed.
    """

    def __init__(
        self,
        current: Weights,
        control: Weights | None = None,
        told: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        self._current = current
        self._control = control
        self._told = told or {}
        self._running = RunningAverage(current)
        self.control_change = None if control is None else ControlChange(control)
        self._judgements: dict[str, Judgement] = {}
        self._sites: dict[str, dict[str, Any]] = {}
        self._began = time.perf_counter()
        self._asked = 0

    @property
    def counted(self) -> list[str]:
        """Names of the sites whose updates were taken in, in order; a judgement alone is none."""
        return sorted(self._sites)

    def take_updates(self, replies: Iterable[Message], asked: Mapping[int, str]) -> None:
        """Take in updates, and judgements of sites that were not to train."""
        self._asked += len(asked)
        self.take(replies, asked, self._read, self._use)

    def average(self) -> Weights:
        """Return the average of the updates that count."""
        return self._running.average()

    def judgements(self) -> dict[str, Judgement]:
        """Return what the sites think of the model that went out, by site, in site order."""
        return dict(sorted(self._judgements.items()))

    def record(self) -> dict[str, Any]:
        """Return the round's record, sites in order."""
        sent = [*self._current.values(), *(self._control or {}).values()]
        model_bytes = sum(value.nbytes for value in sent)
        return {
            "seconds": time.perf_counter() - self._began,
            "bytes_down": model_bytes * self._asked,
            "bytes_up": model_bytes * len(self._sites),
            "sites": {site: self._sites[site] for site in sorted(self._sites)},
            "refused": dict(sorted(self.refused.items())),
        }

    def _read(self, reply: Message) -> tuple[str, Update | Judgement]:
        if reply.metadata.message_type == MessageType.EVALUATE:
            return read_judgement(reply)
        update = read_update(reply, self._current, self._control)
        return update.site, update

    def _use(self, site: str, told: Update | Judgement) -> None:
        if isinstance(told, Judgement):
            self._judgements[site] = told
        else:
            self._use_update(site, told)

    def _use_update(self, site: str, update: Update) -> None:
        if len(self._sites) == MOST_SITES:
            raise ProtocolError(ErrorCode.OUT_OF_RANGE_UPDATE, f"more than {MOST_SITES} sites")
        if update.patients > self._told.get(site, update.patients):
            raise ProtocolError(
                ErrorCode.OUT_OF_RANGE_UPDATE,
                f"{site} reports {update.patients} training patients, first {self._told[site]}",
            )
        self._running.add(update)
        if self.control_change is not None:
            self.control_change.add(update)
        self._judgements[site] = update.judgement
        self._sites[site] = {
            "patients": update.patients,
            "labelled": update.labelled,
            "loss": update.loss,
            "seconds": update.seconds,
        }


class JudgementIntake(Intake):
    """The judgements of the last model."""

    def __init__(self) -> None:
        super().__init__()
        self._judgements: dict[str, Judgement] = {}

    def take_judgements(self, replies: Iterable[Message], asked: Mapping[int, str]) -> None:
        """Take in the replies to an evaluation message."""
        self.take(replies, asked, read_judgement, self._judgements.__setitem__)

    def judgements(self) -> dict[str, Judgement]:
        """Return them by site, in site order."""
        return dict(sorted(self._judgements.items()))


def _guarded(read: Callable[[Message], tuple[str, T]], reply: Message) -> tuple[str, T]:
    """Read a reply; whatever a broken one raises, it is that site's alone."""
    try:
        return read(reply)
    except ProtocolError:
        raise
    except Exception as error:
        logger.exception("a reply could not be read")
        raise ProtocolError(ErrorCode.MALFORMED_MESSAGE, type(error).__name__) from error
