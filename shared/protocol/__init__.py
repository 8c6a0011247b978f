"""The messages between coordinator and sites: keys, versions, checks.

Before the first round the server asks for sums of features (`FeatureSums`) and of what the
untrained trunk pools (`MapSums`), to standardise both alike everywhere, and for a description of
the cohorts. Then, in every round, down: the global model and what to do with it (`Instruction`);
up: the site's update, the number of patients behind each part of it, and sums that judge the
model that came down (`Judgement`) on the site's internal validation patients; with SCAFFOLD also
control variates, both ways. At the end it asks twice for evidence of the best model
(`shared.evidence.messages`). Nothing else crosses.
"""

from shared.protocol.control import CONTROL, read_control
from shared.protocol.errors import ErrorCode, ProtocolError
from shared.protocol.instruction import (
    INSTRUCTION,
    MODEL,
    Instruction,
    read_instruction,
    write_instruction,
)
from shared.protocol.records import LARGEST_WEIGHT, VERSION, check_version, check_weights, record_of
from shared.protocol.sums import (
    FEATURE_SUMS,
    JUDGEMENT,
    MAP_SUMS,
    SITE,
    read_feature_sums,
    read_judgement,
    write_feature_sums,
    write_judgement,
)
from shared.protocol.update import COUNTS, MOST_PATIENTS, Update, read_update, write_update

__all__ = [
    "CONTROL",
    "COUNTS",
    "FEATURE_SUMS",
    "INSTRUCTION",
    "JUDGEMENT",
    "LARGEST_WEIGHT",
    "MAP_SUMS",
    "MODEL",
    "MOST_PATIENTS",
    "SITE",
    "VERSION",
    "ErrorCode",
    "Instruction",
    "ProtocolError",
    "Update",
    "check_version",
    "check_weights",
    "read_control",
    "read_feature_sums",
    "read_instruction",
    "read_judgement",
    "read_update",
    "record_of",
    "write_feature_sums",
    "write_instruction",
    "write_judgement",
    "write_update",
]
