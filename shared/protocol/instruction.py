"""What goes down to a site: the global model, and what to do with it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from flwr.app import ConfigRecord, Message, RecordDict

from shared.config import ConfigurationError, from_json, to_json
from shared.plan import Plan
from shared.protocol.control import CONTROL
from shared.protocol.errors import ErrorCode, ProtocolError
from shared.protocol.records import VERSION, check_version, record_of, weights_in
from shared.weights import Weights, to_record

MODEL = "model"
INSTRUCTION = "instruction"


@dataclass(frozen=True)
class Instruction:
    """One round's order to a site.

    Attributes
    ----------
    plan : Plan
        What is learned, and how.
    round : int
        From 1; the model that comes with it is the result of the round before.
    counted : mapping of str to int
        Site -> the last round, up to the one that made this model, in which its update counted:
        what it remembers of that round goes with this model, and of no later one.
    federation : str
        Drawn when the federation began: what a site remembers is of this run of the plan, and of
        no other.
    """

    plan: Plan
    round: int
    counted: Mapping[str, int] = field(default_factory=dict)
    federation: str = ""


def write_instruction(
    weights: Weights, instruction: Instruction, control: Weights | None = None
) -> RecordDict:
    """Return the content of a message down; `control` is the server's control variate."""
    order: dict[str, int | str] = {
        "version": VERSION,
        "round": instruction.round,
        "plan": to_json(instruction.plan),
        "counted": json.dumps(dict(instruction.counted)),
        "federation": instruction.federation,
    }
    content = RecordDict({MODEL: to_record(weights), INSTRUCTION: ConfigRecord({**order})})
    if control is not None:
        content[CONTROL] = to_record(control)
    return content


def read_instruction(message: Message) -> tuple[Weights, Instruction]:
    """Check and return what a message down carries.

    Raises
    ------
    ProtocolError
        Unknown version, missing record or key, or a plan that does not validate.
    """
    order = record_of(message, INSTRUCTION, ConfigRecord)
    check_version(order)
    try:
        plan = from_json(Plan, str(order["plan"]), where="plan")
        round_number = int(str(order["round"]))
        counted = _read_counted(str(order["counted"]), round_number)
        federation = str(order["federation"])
    except (KeyError, ValueError, TypeError, AttributeError, ConfigurationError) as error:
        raise ProtocolError(ErrorCode.MALFORMED_MESSAGE, str(error)) from error
    return weights_in(message, MODEL), Instruction(plan, round_number, counted, federation)


def _read_counted(text: str, round_number: int) -> dict[str, int]:
    counted = {str(site): int(number) for site, number in json.loads(text).items()}
    if not all(0 < number < max(1, round_number) for number in counted.values()):
        raise ValueError(f"counted names rounds that are not before {round_number}")
    return counted
