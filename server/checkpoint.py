"""What a coordinator keeps so that a crash costs no more than the round in progress."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.weights import Weights, read_weights, write_weights

SCHEMA = 1
STATE_FILE = "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """The federation after a round.

    Attributes
    ----------
    round : int
        Rounds done.
    weights : Weights
        The global model after it.
    best_round : int or None
        The round whose model was judged best on internal validation so far.
    best_score : float
    best_weights : Weights or None
    history : list of dict
        One record a round, as in ``rounds.jsonl``.
    finished : bool
        Whether the last model has been judged too.
    """

    round: int
    weights: Weights
    best_round: int | None = None
    best_score: float = float("-inf")
    best_weights: Weights | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    finished: bool = False


class CheckpointMismatchError(RuntimeError):
    """The folder holds the checkpoint of another plan."""


def save(checkpoint: Checkpoint, plan_json: str, folder: Path) -> None:
    """Write a checkpoint; a reader finds the old one or the new one, whole.

    The weights are written first, under names of their own; replacing `STATE_FILE` is the one
    step that makes them count. Files that no state names are removed after it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model_file = f"round-{checkpoint.round}.safetensors"
    write_weights(checkpoint.weights, folder / model_file)
    best_file = None
    if checkpoint.best_weights is not None:
        best_file = f"best-{checkpoint.best_round}.safetensors"
        if not (folder / best_file).exists():
            write_weights(checkpoint.best_weights, folder / best_file)
    state = {
        "schema": SCHEMA,
        "plan": plan_json,
        "round": checkpoint.round,
        "model": model_file,
        "best_round": checkpoint.best_round,
        "best_score": checkpoint.best_score if best_file else None,
        "best_model": best_file,
        "finished": checkpoint.finished,
        "history": checkpoint.history,
    }
    partial = folder / f"{STATE_FILE}.partial"
    partial.write_text(json.dumps(state, allow_nan=False), encoding="utf-8")
    partial.replace(folder / STATE_FILE)
    for path in folder.glob("*.safetensors"):
        if path.name not in (model_file, best_file):
            path.unlink()


def load(plan_json: str, folder: Path) -> Checkpoint | None:
    """Return the checkpoint in a folder; None where there is none.

    Raises
    ------
    CheckpointMismatchError
        The checkpoint belongs to another plan: resuming it would mix two experiments.
    """
    path = folder / STATE_FILE
    if not path.exists():
        return None
    state = json.loads(path.read_text(encoding="utf-8"))
    if state["schema"] != SCHEMA or state["plan"] != plan_json:
        raise CheckpointMismatchError(
            f"{folder} holds the checkpoint of another plan: give a new folder, or remove it"
        )
    best_file = state["best_model"]
    return Checkpoint(
        round=state["round"],
        weights=read_weights(folder / state["model"]),
        best_round=state["best_round"],
        best_score=state["best_score"] if best_file else float("-inf"),
        best_weights=read_weights(folder / best_file) if best_file else None,
        history=state["history"],
        finished=state["finished"],
    )
