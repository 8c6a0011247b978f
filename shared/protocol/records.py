"""What a message's records must hold before anything is read from them."""

from typing import TypeVar

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord

from shared.judgement import MOST_PATIENTS
from shared.protocol.errors import ErrorCode, ProtocolError
from shared.weights import LARGEST_WEIGHT, Weights, from_record

R = TypeVar("R", ArrayRecord, ConfigRecord, MetricRecord)

VERSION = 5

COUNTS = "counts"


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


def weights_in(message: Message, key: str) -> Weights:
    """Return a message's weights, or raise ProtocolError: no such record, bytes of no array."""
    record = record_of(message, key, ArrayRecord)
    try:
        return from_record(record)
    except Exception as error:
        # What bytes that are no array raise is NumPy's business, and of many kinds.
        raise ProtocolError(ErrorCode.MALFORMED_MESSAGE, f"unreadable array: {error}") from error


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


def number_in(record: MetricRecord, key: str) -> float:
    """Return a finite number.

    Raises
    ------
    KeyError, TypeError, ValueError
        It is missing, a list, or not finite.
    """
    value = record[key]
    if isinstance(value, list):
        raise TypeError(f"{key} is a list")
    if not np.isfinite(value):
        raise ValueError(f"{key} is not finite")
    return float(value)


def count_in(record: MetricRecord, key: str) -> int:
    """Return a number of patients; errors as of `number_in`, also where no hospital has so many."""
    number = number_in(record, key)
    if number != int(number) or not 0 <= number <= MOST_PATIENTS:
        raise ValueError(f"{key} is {number}: expected a number of patients")
    return int(number)
