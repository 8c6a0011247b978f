"""The grid that hands out replies one by one passes on all else."""

from flwr.app import Message, MessageType, RecordDict

from server.federation import initial_weights
from server.streaming import StreamingGrid
from shared.protocol import Instruction, write_instruction
from tests.server.fake_grid import PLAN, FakeGrid, FakeSite, silent


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


def test_who_has_answered_is_not_late_because_others_took_long_to_be_taken_in() -> None:
    """A reply is fetched when the one before has been averaged, be it beyond the deadline."""
    sites = (FakeSite("a"), FakeSite("b"), FakeSite("c", otherwise=silent), FakeSite("d"))
    grid = FakeGrid(*sites, hurry=["b", "a", "d", "c"])
    names = {node.node_id: node.name for node in grid.get_nodes()}
    content = write_instruction(initial_weights(PLAN), Instruction(PLAN, 1))
    messages = [Message(content, node, MessageType.TRAIN) for node in names]
    replies = StreamingGrid(grid).send_and_receive(messages, timeout=0.0)
    told = [(names[reply.metadata.src_node_id], reply.has_error()) for reply in replies]
    assert told == [("b", False), ("a", False), ("d", False), ("c", True)]
