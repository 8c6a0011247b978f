"""SCAFFOLD's control variates, which travel both ways."""

from flwr.app import Message

from shared.protocol.errors import ErrorCode, ProtocolError
from shared.protocol.records import check_weights, weights_in
from shared.weights import Weights

CONTROL = "control"


def read_control(message: Message, expected: Weights | None) -> Weights | None:
    """Check and return the control variates of a message, of either side.

    Parameters
    ----------
    message : Message
    expected : Weights or None
        Keys and shapes that they must have; None: there must be none.

    Raises
    ------
    ProtocolError
        They are missing or uninvited, or break what `check_weights` asks.
    """
    if expected is None:
        if CONTROL in message.content:
            raise ProtocolError(ErrorCode.MALFORMED_MESSAGE, f"nobody asked for {CONTROL!r}")
        return None
    control = weights_in(message, CONTROL)
    check_weights(control, expected)
    return control
