"""Why a message does not count."""

from enum import IntEnum


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
    NOT_ONLINE = 1013
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
