"""What sites told of their patients and of the model, kept beside the checkpoints.

The app that asks runs where Flower unpacked it; the command that writes the outputs runs
elsewhere and later. What lies between them is this file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flwr.app import Array, ArrayRecord, MetricRecord
from safetensors.numpy import load_file

from server.evidence import (
    ModelEvidence,
    ask_for_descriptions,
    ask_for_evidence,
    follow_up_of,
)
from server.judges import Judges
from shared.config import from_json, to_json
from shared.durable_file import write_durably
from shared.evidence.description import Description
from shared.evidence.request import EvidenceRequest, follow_up_grid
from shared.evidence.sums import Evidence
from shared.evidence.wire import (
    read_description_records,
    read_evidence_records,
    write_description_records,
    write_evidence_records,
)
from shared.plan import Plan
from shared.weights import Weights, write_weights

DOCUMENT = "told.json"
ARRAYS = "told.safetensors"


@dataclass(frozen=True)
class SitesWord:
    """The answers of all sites.

    Attributes
    ----------
    descriptions : tuple of Description
    evidence : ModelEvidence
    """

    descriptions: tuple[Description, ...]
    evidence: ModelEvidence


def ask_everyone(
    judges: Judges,
    plan: Plan,
    weights: Weights,
    resamples: int,
    *,
    counted: Mapping[str, int],
    federation: str,
) -> SitesWord:
    """Ask training and external sites who their patients are and how good the model is.

    By `counted` and `federation` sites find what they have of their own that goes with it.
    """
    descriptions, refused = ask_for_descriptions(judges, plan)
    evidence = ask_for_evidence(
        judges,
        plan,
        weights,
        descriptions,
        resamples=resamples,
        counted=counted,
        federation=federation,
    )
    return SitesWord(descriptions, _also_refused(evidence, refused))


def save_word(word: SitesWord, folder: Path) -> None:
    """Write answers so that `load_word` reads the same; the document last."""
    arrays: dict[str, Any] = {}
    document: dict[str, Any] = {
        "request": to_json(word.evidence.request),
        "refused": word.evidence.refused,
    }
    for kind, records in (
        ("descriptions", [(d.site, *write_description_records(d)) for d in word.descriptions]),
        ("answers", [(e.site, *write_evidence_records(e)) for e in word.evidence.answers]),
    ):
        document[kind] = []
        for index, (site, sums, numbers) in enumerate(records):
            arrays |= {f"{kind}/{index}/{key}": array.numpy() for key, array in sums.items()}
            document[kind].append({"site": site, "numbers": dict(numbers)})
    write_weights(arrays, folder / ARRAYS)
    write_durably(folder / DOCUMENT, json.dumps(document, allow_nan=False).encode())


def load_word(plan: Plan, folder: Path) -> SitesWord | None:
    """Return what `save_word` wrote; None where nothing is."""
    if not (folder / DOCUMENT).exists():
        return None
    document = json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))
    arrays = load_file(folder / ARRAYS)
    descriptions = tuple(
        read_description_records(*_records(entry, "descriptions", index, arrays))
        for index, entry in enumerate(document["descriptions"])
    )
    answers: tuple[Evidence, ...] = tuple(
        read_evidence_records(*_records(entry, "answers", index, arrays))
        for index, entry in enumerate(document["answers"])
    )
    request = from_json(EvidenceRequest, document["request"], where=DOCUMENT)
    if request.thresholds is None:
        raise ValueError(f"{folder / DOCUMENT}: the question has no frozen thresholds")
    follow_up = follow_up_of(descriptions, follow_up_grid(plan))
    evidence = ModelEvidence(request.thresholds, request, answers, follow_up, document["refused"])
    return SitesWord(descriptions, evidence)


def _records(
    entry: Mapping[str, Any], kind: str, index: int, arrays: Mapping[str, Any]
) -> tuple[str, ArrayRecord, MetricRecord]:
    start = f"{kind}/{index}/"
    own = {key.removeprefix(start): a for key, a in arrays.items() if key.startswith(start)}
    sums = ArrayRecord({key: Array(value) for key, value in own.items()})
    return entry["site"], sums, MetricRecord(entry["numbers"])


def _also_refused(evidence: ModelEvidence, refused: Mapping[str, str]) -> ModelEvidence:
    return ModelEvidence(
        evidence.thresholds,
        evidence.request,
        evidence.answers,
        evidence.follow_up,
        {**refused, **evidence.refused},
    )
