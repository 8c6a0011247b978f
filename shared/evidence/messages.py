"""The messages by which a coordinator asks who the patients are and how good a model is.

``query.describe``: down the plan, up a `Description`, before any training.
``evaluate.evidence``: down a model and an `EvidenceRequest`, up `Evidence`. It is asked twice:
of internal validation for what thresholds are fixed by, and then, with the thresholds frozen, of
all cohorts, also of sites that never train.
"""

from collections.abc import Callable
from typing import TypeVar

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from shared.config import ConfigurationError, from_json, to_json
from shared.evidence.description import Description
from shared.evidence.request import EvidenceRequest
from shared.evidence.sums import Evidence
from shared.evidence.wire import (
    read_description_records,
    read_evidence_records,
    write_description_records,
    write_evidence_records,
)
from shared.protocol import (
    SITE,
    VERSION,
    ErrorCode,
    Instruction,
    ProtocolError,
    check_version,
    record_of,
    write_instruction,
)
from shared.weights import Weights

S = TypeVar("S")

# Named actions of a site beside its train, evaluate and query.
DESCRIBE = "describe"
EVIDENCE = "evidence"

REQUEST = "evidence-request"
SUMS = "sums"
NUMBERS = "numbers"


def write_evidence_request(
    weights: Weights, instruction: Instruction, request: EvidenceRequest
) -> RecordDict:
    """Return the content of a question for evidence."""
    content = write_instruction(weights, instruction)
    content[REQUEST] = ConfigRecord({"version": VERSION, "request": to_json(request)})
    return content


def read_evidence_request(message: Message) -> EvidenceRequest:
    """Check and return what is asked; `read_instruction` reads the model that is meant."""
    record = record_of(message, REQUEST, ConfigRecord)
    check_version(record)
    try:
        return from_json(EvidenceRequest, str(record["request"]), where="request")
    except (KeyError, ValueError, ConfigurationError) as error:
        raise ProtocolError(ErrorCode.MALFORMED_MESSAGE, str(error)) from error


def write_evidence(evidence: Evidence) -> RecordDict:
    """Return the content of an answer to it."""
    arrays, numbers = write_evidence_records(evidence)
    site = ConfigRecord({"version": VERSION, "name": evidence.site})
    return RecordDict({SITE: site, SUMS: arrays, NUMBERS: numbers})


def read_evidence(message: Message) -> Evidence:
    """Check and return what such an answer carries."""
    return _read_sums(message, read_evidence_records)


def write_description(description: Description) -> RecordDict:
    """Return the content of an answer to the question who the patients are."""
    arrays, numbers = write_description_records(description)
    site = ConfigRecord({"version": VERSION, "name": description.site})
    return RecordDict({SITE: site, SUMS: arrays, NUMBERS: numbers})


def read_description(message: Message) -> Description:
    """Check and return what such an answer carries."""
    return _read_sums(message, read_description_records)


def _read_sums(message: Message, read: Callable[[str, ArrayRecord, MetricRecord], S]) -> S:
    site = record_of(message, SITE, ConfigRecord)
    check_version(site)
    arrays = record_of(message, SUMS, ArrayRecord)
    numbers = record_of(message, NUMBERS, MetricRecord)
    try:
        return read(str(site["name"]), arrays, numbers)
    except (KeyError, ValueError, TypeError) as error:
        raise ProtocolError(ErrorCode.MALFORMED_MESSAGE, str(error)) from error
