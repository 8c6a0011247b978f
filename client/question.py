"""What a message asks, as the site's log keeps it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from flwr.app import ArrayRecord, Message

from shared.protocol import INSTRUCTION

# An honest question has one to two thousand: what is this much longer is not answered.
LONGEST_CHARACTERS = 1 << 16
# What changes in every round and asks nothing of patients; a line has the round anyway.
_OF_THE_ROUND = ("round", "counted")


@dataclass(frozen=True)
class Question:
    """What came down in a message, word for word; nothing in it is taken to be well formed.

    Attributes
    ----------
    sha256 : str
        Of `asked` as JSON, its keys sorted and no space between: one question has one hash, in
        every round of a run.
    asked : mapping of str to mapping of str to Any, or None
        Record -> key -> value: the plan and, for evidence, the request. None where the text is
        longer than `LONGEST_CHARACTERS`, or stands in an earlier line of the log.
    arrays : mapping of str to str
        Record of arrays -> SHA-256 of all of them: which model was meant.
    """

    sha256: str = ""
    asked: Mapping[str, Mapping[str, Any]] | None = None
    arrays: Mapping[str, str] = field(default_factory=dict)


def question_of(message: Message) -> Question:
    """Return what a message asks; `asked` is None where it is too long."""
    content = message.content if message.has_content() else {}
    asked, arrays = {}, {}
    for name, record in content.items():
        if isinstance(record, ArrayRecord):
            arrays[name] = _digest(record)
        else:
            passing = _OF_THE_ROUND if name == INSTRUCTION else ()
            asked[name] = {key: value for key, value in record.items() if key not in passing}
    text = json.dumps(asked, sort_keys=True, separators=(",", ":"), default=bytes.hex)
    kept = json.loads(text) if len(text) <= LONGEST_CHARACTERS else None
    return Question(sha256(text.encode()).hexdigest(), kept, arrays)


def _digest(arrays: ArrayRecord) -> str:
    digest = sha256()
    for key, array in arrays.items():
        # Lengths go along, so that no two records run into the same bytes.
        about = [key, array.dtype, list(array.shape), array.stype, len(array.data)]
        digest.update(json.dumps(about).encode() + b"\n" + array.data)
    return digest.hexdigest()
