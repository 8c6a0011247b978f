"""A Grid that hands out replies one by one, as they come, and answers for whoever does not."""

import time
from collections.abc import Iterable, Iterator

from flwr.app import Error, Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from shared.protocol import ErrorCode

_SHORTEST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0
_LOOK_FOR_RESTARTS_EVERY_S = 5.0

# A site that begins just before the deadline must still be able to say that it gave up.
_TTL_MARGIN_S = 60.0


def time_to_live(deadline_s: float) -> float:
    """Return how long a message is worth working on, in seconds."""
    return deadline_s + _TTL_MARGIN_S


class StreamingGrid(Grid):
    """Flower's Grid with another `send_and_receive`; all else is passed on.

    Flower's own collects every reply in a list before anyone sees the first. Here a reply is
    fetched when the one before has been taken in, so that one at a time is in memory. Whatever
    happens, each message gets exactly one reply: an error says NO_ANSWER where the deadline has
    passed. A message whose node was restarted, and has forgotten it, is sent again.

    Parameters
    ----------
    grid : Grid
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid

    def set_run(self, run: Run) -> None:
        """Set the run this grid works in."""
        self._grid.set_run(run)

    @property
    def run(self) -> Run:
        """The run this grid works in."""
        return self._grid.run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Return a message to a node."""
        return self._grid.create_message(content, message_type, dst_node_id, group_id, ttl)

    def get_node_ids(self) -> Iterable[int]:
        """Return the ids of the nodes that are online."""
        return self._grid.get_node_ids()

    def get_nodes(self) -> Iterable[NodeInfo]:
        """Return the nodes that are online."""
        return self._grid.get_nodes()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages and return their ids."""
        return self._grid.push_messages(messages)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies to these messages that are there."""
        return self._grid.pull_messages(message_ids)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterator[Message]:
        """Send messages and yield one reply to each, in the order of arrival.

        Nothing is sent before the first reply is asked for. Who has answered is not late because
        the replies before took long to be taken in: after the deadline, what is there is fetched.
        """
        waiting = self._send(list(messages))
        began = time.monotonic()
        end = float("inf") if timeout is None else began + timeout
        activated, looked = self._activations() if waiting else {}, began
        while waiting:
            overdue, before = time.monotonic() >= end, len(waiting)
            for message_id, message in list(waiting.items()):
                reply = self._reply_to(message_id, message)
                if reply is not None:
                    del waiting[message_id]
                    yield reply
                    reply = None  # taken in: it must not stay while the next one comes
            if overdue and len(waiting) == before:
                break
            now = time.monotonic()
            if waiting and not overdue and now - looked > _LOOK_FOR_RESTARTS_EVERY_S:
                activated, looked = self._send_again(waiting, activated), now
            if waiting and len(waiting) == before:
                time.sleep(max(0.0, min(_pause(now - began), end - now)))
        for message in waiting.values():
            yield Message(Error(int(ErrorCode.NO_ANSWER)), reply_to=message)

    def _send(self, messages: list[Message]) -> dict[str, Message]:
        """Return id -> message; one that could not be sent waits in vain under its number."""
        if not messages:
            return {}
        ids = list(self._grid.push_messages(messages))
        ids += [""] * (len(messages) - len(ids))
        return {
            message_id or f"unsent-{number}": message
            for number, (message_id, message) in enumerate(zip(ids, messages, strict=True))
        }

    def _reply_to(self, message_id: str, message: Message) -> Message | None:
        if message_id.startswith("unsent-"):
            return Message(Error(int(ErrorCode.NO_ANSWER)), reply_to=message)
        for reply in self._grid.pull_messages([message_id]):
            if reply.has_error():
                # The link answers in its own name for a node that is gone.
                return Message(Error(reply.error.code), reply_to=message)
            if reply.metadata.message_type != message.metadata.message_type:
                # Who was asked to judge may not slip in an update.
                return Message(Error(int(ErrorCode.MALFORMED_MESSAGE)), reply_to=message)
            return reply
        return None

    def _activations(self) -> dict[int, str]:
        return {node.node_id: node.last_activated_at for node in self._grid.get_nodes()}

    def _send_again(self, waiting: dict[str, Message], activated: dict[int, str]) -> dict[int, str]:
        """Send anew what restarted nodes have forgotten; return when nodes were activated."""
        newest = self._activations()
        for message_id, message in list(waiting.items()):
            node_id = message.metadata.dst_node_id
            if newest.get(node_id, "") != activated.get(node_id, "") and node_id in newest:
                del waiting[message_id]
                again = Message(
                    message.content,
                    node_id,
                    message.metadata.message_type,
                    ttl=message.metadata.ttl,
                    group_id=message.metadata.group_id,
                )
                waiting |= self._send([again])
        return {**activated, **newest}


def _pause(waited_s: float) -> float:
    """Return how long to sleep: short while an answer may come soon, longer in a long round."""
    return min(_LONGEST_PAUSE_S, max(_SHORTEST_PAUSE_S, waited_s / 20))
