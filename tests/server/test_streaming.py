"""The grid that hands out replies one by one passes on all else."""

from flwr.app import Message, MessageType, RecordDict

from server.streaming import StreamingGrid
from tests.server.fake_grid import FakeGrid, FakeSite


class Marking(FakeGrid):
    """A grid that makes messages in a way of its own."""

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Mark the group."""
        return super().create_message(content, message_type, dst_node_id, f"own-{group_id}", ttl)


def test_messages_are_made_by_the_grid_that_is_wrapped() -> None:
    grid = Marking(FakeSite("a"))
    (node,) = grid.get_node_ids()
    message = StreamingGrid(grid).create_message(RecordDict(), MessageType.TRAIN, node, "3", 60.0)
    told = message.metadata
    assert (told.group_id, told.dst_node_id, told.ttl) == ("own-3", node, 60.0)
    assert told.message_type == MessageType.TRAIN
