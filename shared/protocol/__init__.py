"""The messages between coordinator and sites: keys, versions, checks.

Before the first round the server asks how many patients train, for sums of their features
(`FeatureSums`) and of what the untrained trunk pools (`MapSums`), to standardise both alike
everywhere. Then, in every round, down: the global model and what to do with it (`Instruction`);
up: the site's update, the number of patients behind each part of it, and sums that judge the
model that came down (`Judgement`) on the site's internal validation patients; with SCAFFOLD also
control variates, both ways. At the end it asks for a description of the cohorts and twice for
evidence of the best model (`shared.evidence.messages`). Nothing else crosses.

**What one site cannot do.** Whatever breaks the contract is that site's refusal, by name, and the
rest goes on: numbers that are not finite or that no network holds, counts that are not whole,
exceed what the site told before round 1 or do not fit together, sums that no patients can have,
negative losses.

**What it still can.** Tell a plausible lie. An average goes by the number of patients that a site
says it has, in the first place too; no update is clipped or compared with the others', and the
best round is chosen by the losses that sites tell. Whom to let in is for people to decide.
"""

from shared.judgement import MOST_PATIENTS
from shared.protocol.control import CONTROL, read_control
from shared.protocol.errors import ErrorCode, ProtocolError
from shared.protocol.instruction import (
    INSTRUCTION,
    MODEL,
    Instruction,
    read_instruction,
    write_instruction,
)
from shared.protocol.records import (
    COUNTS,
    VERSION,
    check_version,
    check_weights,
    record_of,
)
from shared.protocol.sums import (
    FEATURE_SUMS,
    JUDGEMENT,
    MAP_SUMS,
    SITE,
    ToldFeatures,
    read_feature_sums,
    read_judgement,
    write_feature_sums,
    write_judgement,
)
from shared.protocol.update import (
    Update,
    patients_behind,
    read_update,
    task_of,
    write_update,
)
from shared.weights import LARGEST_WEIGHT

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
    "ToldFeatures",
    "Update",
    "check_version",
    "check_weights",
    "patients_behind",
    "read_control",
    "read_feature_sums",
    "read_instruction",
    "read_judgement",
    "read_update",
    "record_of",
    "task_of",
    "write_feature_sums",
    "write_instruction",
    "write_judgement",
    "write_update",
]
