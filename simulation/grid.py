"""An in-process Flower Grid: the sites' ClientApp is called where the server runs.

No serialisation to other processes, no scheduler, no waiting: a federation costs what its
training costs, and is exactly repeatable.
"""

import logging
from collections.abc import Iterable, Sequence

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

logger = logging.getLogger("hepafed.simulation")

RUN_ID = 1
SERVER_NODE_ID = 1
FIRST_SITE_NODE_ID = 2


class InProcessGrid(Grid):
    """A Grid whose nodes are calls of one ClientApp.

    Parameters
    ----------
    client_app : ClientApp
        Told apart by ``context.node_config["partition-id"]``, as Flower's own simulation does.
    sites : sequence of str
        One node each, in this order.
    """

    def __init__(self, client_app: ClientApp, sites: Sequence[str]) -> None:
        self._client_app = client_app
        self._contexts = {
            FIRST_SITE_NODE_ID + index: Context(
                run_id=RUN_ID,
                node_id=FIRST_SITE_NODE_ID + index,
                node_config={"partition-id": index, "num-partitions": len(sites)},
                state=RecordDict(),
                run_config={},
            )
            for index in range(len(sites))
        }
        self._run = Run.create_empty(RUN_ID)
        self._names = dict(zip(self._contexts, sites, strict=True))
        self._waiting: dict[str, Message] = {}
        self._sent = 0
        # Messages take their origin from the process's identity; a superlink would set it.
        TaskIdentity.run_id = RUN_ID
        TaskIdentity.task_id = RUN_ID
        TaskIdentity.node_id = SERVER_NODE_ID

    def set_run(self, run: Run) -> None:
        """Set the run this grid works in."""
        self._run = run

    @property
    def run(self) -> Run:
        """The run this grid works in."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Return a message to a node."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Return the sites' node ids in their order."""
        return list(self._contexts)

    def get_nodes(self) -> Iterable[NodeInfo]:
        """Return the sites' nodes, as a link would that knows their keys by the sites' names."""
        return [NodeInfo(node_id=node_id, name=name) for node_id, name in self._names.items()]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Keep messages until their replies are asked for."""
        ids = []
        for message in messages:
            self._sent += 1
            ids.append(str(self._sent))
            self._waiting[ids[-1]] = message
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Let the sites answer these messages, each once."""
        return [self._deliver(self._waiting.pop(message_id)) for message_id in message_ids]

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Answer messages one after the other; a time-out has no meaning here."""
        return self.pull_messages(self.push_messages(messages))

    def _deliver(self, message: Message) -> Message:
        """Call the ClientApp as a node would: an exception becomes an error reply."""
        try:
            return self._client_app(message, self._contexts[message.metadata.dst_node_id])
        except Exception:
            logger.exception("the ClientApp failed on node %s", message.metadata.dst_node_id)
            return Message(Error(code=ErrorCode.CLIENT_APP_RAISED_EXCEPTION), reply_to=message)
