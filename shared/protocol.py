"""The messages between coordinator and sites: keys, versions, checks.

Before the first round the server asks for sums of features (`FeatureSums`), to standardise them
alike everywhere, and for a description of the cohorts. Then, in every round, down: the global
model and what to do with it (`Instruction`); up: the site's update, the number of patients
behind each part of it, and sums that judge the model that came down (`Judgement`) on the site's
internal validation patients; with SCAFFOLD also control variates, both ways. At the end it asks
twice for evidence of the best model (`shared.evidence.messages`). Nothing else crosses.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeVar

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from shared.config import ConfigurationError, from_json, to_json
from shared.judgement import Judgement
from shared.plan import Plan
from shared.standardisation import FeatureSums
from shared.tasks import TASKS, Task
from shared.weights import Weights, from_record, to_record

R = TypeVar("R", ArrayRecord, ConfigRecord, MetricRecord)

VERSION = 2

MODEL = "model"
CONTROL = "control"
INSTRUCTION = "instruction"
SITE = "site"
COUNTS = "counts"
JUDGEMENT = "judgement"
FEATURE_SUMS = "feature-sums"


# What no hospital has, and no network in training: beyond it, a sum would not stay exact.
MOST_PATIENTS = 2**20
LARGEST_WEIGHT = 2.0**23


class ErrorCode(IntEnum):
    """Why an answer does not count; details stay in the log of the side that found it."""

    UNKNOWN_VERSION = 1001
    MALFORMED_MESSAGE = 1002
    WRONG_MODEL = 1003
    OTHER_PREPROCESSING = 1004
    NO_PATIENTS = 1005
    DATA_UNREADABLE = 1006
    NON_FINITE_UPDATE = 1007
    NO_ANSWER = 1008
    WRONG_SITE = 1009
    DUPLICATE_REPLY = 1010
    OUT_OF_RANGE_UPDATE = 1011
    MEMORY_LOST = 1012
    POLICY_REFUSED = 1020
    BUNDLE_REFUSED = 1021
    INTERNAL = 1099


class ProtocolError(Exception):
    """A message breaks the contract.

    Parameters
    ----------
    code : ErrorCode
        What the other side is told.
    detail : str
        For the log of the side that found it.
    """

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(f"{code.name}: {detail}")
        self.code = code


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
    """

    plan: Plan
    round: int
    counted: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Update:
    """A site's answer to a training round.

    Attributes
    ----------
    site : str
        The name the site gives itself; sums run in its order.
    weights : Weights
        The locally trained model.
    patients : int
        Training patients behind it.
    labelled : dict of Task to int
        Training patients who have the task's label.
    loss : float
        Mean training loss of the last local epoch.
    seconds : float
        What the site spent on the answer.
    judgement : Judgement
        Of the model that came down.
    control : Weights or None
        By how much the site's control variate has changed; None but in SCAFFOLD.
    """

    site: str
    weights: Weights
    patients: int
    labelled: dict[Task, int]
    loss: float
    seconds: float
    judgement: Judgement
    control: Weights | None = None


def write_instruction(
    weights: Weights, instruction: Instruction, control: Weights | None = None
) -> RecordDict:
    """Return the content of a message down; `control` is the server's control variate."""
    order: dict[str, int | str] = {
        "version": VERSION,
        "round": instruction.round,
        "plan": to_json(instruction.plan),
        "counted": json.dumps(dict(instruction.counted)),
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
    except (KeyError, ValueError, TypeError, AttributeError, ConfigurationError) as error:
        raise ProtocolError(ErrorCode.MALFORMED_MESSAGE, str(error)) from error
    return _weights(message, MODEL), Instruction(plan, round_number, counted)


def _read_counted(text: str, round_number: int) -> dict[str, int]:
    counted = {str(site): int(number) for site, number in json.loads(text).items()}
    if not all(0 < number < max(1, round_number) for number in counted.values()):
        raise ValueError(f"counted names rounds that are not before {round_number}")
    return counted


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
    control = _weights(message, CONTROL)
    check_weights(control, expected)
    return control


def write_update(update: Update) -> RecordDict:
    """Return the content of a training reply."""
    counts: dict[str, int | float] = {
        "patients": update.patients,
        "loss": update.loss,
        "seconds": update.seconds,
    }
    counts.update({f"labelled-{task}": update.labelled[task] for task in TASKS})
    content = RecordDict(
        {
            MODEL: to_record(update.weights),
            COUNTS: MetricRecord({**counts}),
            **write_judgement(update.site, update.judgement),
        }
    )
    if update.control is not None:
        content[CONTROL] = to_record(update.control)
    return content


def write_judgement(site: str, judgement: Judgement) -> RecordDict:
    """Return the content of an evaluation reply."""
    return RecordDict(
        {
            SITE: ConfigRecord({"version": VERSION, "name": site}),
            JUDGEMENT: MetricRecord({**judgement.as_sums()}),
        }
    )


def write_feature_sums(site: str, sums: FeatureSums) -> RecordDict:
    """Return the content of a reply to the question before the first round."""
    return RecordDict(
        {
            SITE: ConfigRecord({"version": VERSION, "name": site}),
            FEATURE_SUMS: MetricRecord({**sums.as_lists()}),
        }
    )


def read_feature_sums(message: Message, features: int) -> tuple[str, FeatureSums]:
    """Check and return what such a reply carries: the site's name and sums of so many features."""
    site = record_of(message, SITE, ConfigRecord)
    check_version(site)
    try:
        lists = record_of(message, FEATURE_SUMS, MetricRecord)
        return str(site["name"]), FeatureSums.from_lists(lists, features)
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise ProtocolError(ErrorCode.MALFORMED_MESSAGE, str(error)) from error


def read_judgement(message: Message) -> tuple[str, Judgement]:
    """Check and return what an evaluation reply carries: the site's name and its sums."""
    site = record_of(message, SITE, ConfigRecord)
    check_version(site)
    sums = record_of(message, JUDGEMENT, MetricRecord)
    try:
        return str(site["name"]), Judgement.from_sums(dict(sums))
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise ProtocolError(ErrorCode.MALFORMED_MESSAGE, str(error)) from error


def read_update(message: Message, expected: Weights, control: Weights | None = None) -> Update:
    """Check and return what a training reply carries.

    Parameters
    ----------
    message : Message
    expected : Weights
        The model that went down: keys and shapes must agree with it.
    control : Weights or None
        The control variate that went down, likewise; None but in SCAFFOLD.

    Raises
    ------
    ProtocolError
        Besides what `read_judgement` raises: wrong keys or shapes, non-finite numbers, or no
        patients behind the update.
    """
    name, judgement = read_judgement(message)
    weights = _weights(message, MODEL)
    check_weights(weights, expected)
    change = read_control(message, control)
    counts = record_of(message, COUNTS, MetricRecord)
    try:
        patients = int(_number(counts, "patients"))
        labelled = {task: int(_number(counts, f"labelled-{task}")) for task in TASKS}
        loss, seconds = _number(counts, "loss"), _number(counts, "seconds")
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise ProtocolError(ErrorCode.MALFORMED_MESSAGE, str(error)) from error
    if patients < 1:
        raise ProtocolError(ErrorCode.NO_PATIENTS, f"{name} reports {patients} training patients")
    if patients > MOST_PATIENTS or not all(0 <= n <= patients for n in labelled.values()):
        raise ProtocolError(
            ErrorCode.MALFORMED_MESSAGE, f"{name} reports {labelled} labelled of {patients}"
        )
    return Update(name, weights, patients, labelled, loss, seconds, judgement, change)


def check_weights(weights: Weights, expected: Weights) -> None:
    """Raise ProtocolError unless keys, shapes and types are as expected and numbers are sane.

    Sane: finite, and below `LARGEST_WEIGHT`.
    """
    if weights.keys() != expected.keys():
        odd = sorted(weights.keys() ^ expected.keys())
        raise ProtocolError(ErrorCode.WRONG_MODEL, f"keys differ: {', '.join(odd[:3])}")
    for key, value in weights.items():
        if value.shape != expected[key].shape or value.dtype != expected[key].dtype:
            raise ProtocolError(
                ErrorCode.WRONG_MODEL, f"{key} is {value.dtype}{value.shape}, not as sent"
            )
        if not np.isfinite(value).all():
            raise ProtocolError(ErrorCode.NON_FINITE_UPDATE, f"{key} is not finite")
        if value.size and max(-value.min(), value.max()) >= LARGEST_WEIGHT:
            raise ProtocolError(ErrorCode.OUT_OF_RANGE_UPDATE, f"{key} is far out of range")


def _weights(message: Message, key: str) -> Weights:
    record = record_of(message, key, ArrayRecord)
    try:
        return from_record(record)
    except Exception as error:
        # What bytes that are no array raise is NumPy's business, and of many kinds.
        raise ProtocolError(ErrorCode.MALFORMED_MESSAGE, f"unreadable array: {error}") from error


def record_of(message: Message, key: str, kind: type[R]) -> R:
    """Return a message's record, or raise ProtocolError: an error reply, no such record."""
    if message.has_error():
        raise ProtocolError(_code_of(message.error.code), "the other side answered with an error")
    record = message.content.get(key)
    if not isinstance(record, kind):
        raise ProtocolError(ErrorCode.MALFORMED_MESSAGE, f"no {kind.__name__} {key!r}")
    return record


def _code_of(code: int) -> ErrorCode:
    """Return the protocol's own code; whatever Flower reports of a node means no answer."""
    try:
        return ErrorCode(code)
    except ValueError:
        return ErrorCode.NO_ANSWER


def check_version(record: ConfigRecord) -> None:
    """Raise ProtocolError unless a record is of the version that this side speaks."""
    version = record.get("version")
    if version != VERSION:
        raise ProtocolError(
            ErrorCode.UNKNOWN_VERSION, f"protocol version {version!r}, this side speaks {VERSION}"
        )


def _number(record: MetricRecord, key: str) -> float:
    value = record[key]
    if isinstance(value, list):
        raise TypeError(f"{key} is a list")
    if not np.isfinite(value):
        raise ValueError(f"{key} is not finite")
    return float(value)
