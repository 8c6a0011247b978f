"""What a coordinator keeps so that a crash costs no more than the round in progress."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from server.optimiser import Memory
from shared.durable_file import write_durably
from shared.weights import Weights

logger = logging.getLogger("hepafed.server")

SCHEMA = 5

# The newest may be damaged when the machine goes down: the one before must still be there.
_KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """The federation after a round.

    Attributes
    ----------
    round : int
        Rounds done.
    weights : Weights
        The global model after it.
    memory : Memory
        What the server optimiser and the algorithm remember, by name; empty for those that
        remember nothing.
    best_round : int or None
        The round whose model was judged best on internal validation so far.
    best_weights : Weights or None
    history : list of dict
        One record a round, from 0, as in ``rounds.jsonl``; what the best round was judged by is
        in its own.
    finished : bool
        Whether the last model has been judged too.
    federation : str
        Drawn at the start: by it sites tell this run of a plan from another.
    """

    round: int
    weights: Weights
    memory: Memory = field(default_factory=dict)
    best_round: int | None = None
    best_weights: Weights | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    finished: bool = False
    federation: str = ""


def counted(history: Sequence[Mapping[str, Any]], last_round: int) -> dict[str, int]:
    """Return site -> the last round, up to `last_round`, in which its update counted."""
    rounds = (record for record in history if record["round"] <= last_round)
    return {site: record["round"] for record in rounds for site in record.get("sites", ())}


def told_patients(history: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return site -> the number of training patients that it told first."""
    told: dict[str, int] = {}
    for record in history:
        rounds = {site: said["patients"] for site, said in record.get("sites", {}).items()}
        told = {**rounds, **record.get("patients", {}), **told}
    return told


class CheckpointMismatchError(RuntimeError):
    """The folder holds the checkpoint of another plan, or of another version of this program."""


def save(checkpoint: Checkpoint, identity: str, folder: Path) -> None:
    """Write a checkpoint; a reader finds the one before or this one, whole.

    Every file's name holds the digest of its content: ``<digest>.safetensors`` for arrays, and
    ``checkpoint-<serial>-<digest>.json``, which names the arrays it goes with and is written
    last. Each is on the disk before it gets its name. Files that neither this checkpoint nor
    the one before needs are removed at the end.

    Parameters
    ----------
    checkpoint : Checkpoint
    identity : str
        What the checkpoint belongs to: only a run of the same identity goes on from it.
    folder : Path
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {
        "schema": SCHEMA,
        "identity": identity,
        "round": checkpoint.round,
        "weights": _write_arrays(checkpoint.weights, folder),
        "memory": _write_arrays(checkpoint.memory, folder),
        "best_round": checkpoint.best_round,
        "best_weights": _write_arrays(checkpoint.best_weights, folder),
        "finished": checkpoint.finished,
        "federation": checkpoint.federation,
        "history": checkpoint.history,
    }
    content = json.dumps(state, allow_nan=False).encode()
    serial = 1 + max((_serial(path) for path in _states(folder)), default=0)
    write_durably(folder / f"checkpoint-{serial:06d}-{_digest(content)}.json", content)
    _remove_what_nobody_needs(folder)


def load(identity: str, folder: Path) -> Checkpoint | None:
    """Return the newest whole checkpoint in a folder; None where there is none.

    A damaged file (cut short, or its content not what its name says) is told in the log, and
    the checkpoint before it is taken.

    Raises
    ------
    CheckpointMismatchError
        The checkpoint belongs to another plan: resuming it would mix two experiments. Or it is
        of another format.
    """
    for path in reversed(_states(folder)):
        try:
            return _read(path, identity)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            logger.warning("%s cannot be used (%s): trying the one before", path.name, error)
    return None


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Return the records of the newest readable checkpoint, without its arrays.

    For whoever watches a run: the writer may be in the midst of replacing files.
    """
    for path in reversed(_states(folder)):
        try:
            history: list[dict[str, Any]] = json.loads(_verified(path))["history"]
            return history
        except (OSError, ValueError, KeyError):
            continue
    return []


def _read(path: Path, identity: str) -> Checkpoint:
    state = json.loads(_verified(path))
    if state["schema"] != SCHEMA:
        raise CheckpointMismatchError(
            f"{path.parent} holds a checkpoint of format {state['schema']}, this version reads"
            f" {SCHEMA}: give a new folder, or remove it"
        )
    if state["identity"] != identity:
        raise CheckpointMismatchError(
            f"{path.parent} holds the checkpoint of another plan: give a new folder, or remove it"
        )
    return Checkpoint(
        round=state["round"],
        weights=_read_arrays(state["weights"], path.parent) or {},
        memory=_read_arrays(state["memory"], path.parent) or {},
        best_round=state["best_round"],
        best_weights=_read_arrays(state["best_weights"], path.parent),
        history=state["history"],
        finished=state["finished"],
        federation=state["federation"],
    )


def _write_arrays(arrays: dict[str, NDArray[Any]] | None, folder: Path) -> str | None:
    """Write arrays under their digest, unless they are there; return the file's name."""
    if not arrays:
        return None
    content = safetensors.save({key: np.ascontiguousarray(a) for key, a in arrays.items()})
    path = folder / f"{_digest(content)}.safetensors"
    if not _is_whole(path):
        write_durably(path, content)
    return path.name


def _read_arrays(name: str | None, folder: Path) -> dict[str, NDArray[Any]] | None:
    return None if name is None else dict(safetensors.load(_verified(folder / name)))


def _verified(path: Path) -> bytes:
    content = path.read_bytes()
    if _digest(content) != path.stem.rpartition("-")[2]:
        raise ValueError("the content is not what was written")
    return content


def _is_whole(path: Path) -> bool:
    try:
        _verified(path)
    except (OSError, ValueError):
        return False
    return True


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _states(folder: Path) -> list[Path]:
    """Return the state files, the oldest first."""
    return sorted(folder.glob("checkpoint-*.json"), key=_serial)


def _serial(path: Path) -> int:
    return int(path.stem.split("-")[1])


def _remove_what_nobody_needs(folder: Path) -> None:
    states = _states(folder)
    kept = [path for path in states if _is_whole(path)][-_KEPT:]
    needed = set(kept)
    for path in kept:
        state = json.loads(path.read_text(encoding="utf-8"))
        names = (state.get(key) for key in ("weights", "memory", "best_weights"))
        needed |= {folder / name for name in names if name}
    for path in [*states, *folder.glob("*.safetensors"), *folder.glob("*.partial")]:
        if path not in needed:
            path.unlink(missing_ok=True)
