"""``model/``: the global model with all that predicting for a patient needs."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from shared.config import from_json, to_json
from shared.model import MultiTaskNet
from shared.plan import Plan, new_model
from shared.protocol import check_weights
from shared.weights import Weights, read_weights, weights_of, write_weights

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
CARD_FILE = "README.md"
SCHEMA = 1


class ModelFolderError(RuntimeError):
    """A model folder cannot be used; the message names the file and what is wrong."""


@dataclass(frozen=True)
class ModelFolder:
    """What a model folder says.

    Attributes
    ----------
    plan : Plan
        Architecture, time grid and how it was trained.
    preprocessing : dict
        The settings that prepare a region of interest for it.
    mvi_threshold : float or None
        Calls a patient MVI-positive; fixed on internal validation.
    best_round : int or None
    synthetic : bool
        Whether it was trained on synthetic patients, and so must not be used on real ones.
    """

    plan: Plan
    preprocessing: dict[str, Any]
    mvi_threshold: float | None
    best_round: int | None
    synthetic: bool


def write_model_folder(folder: Path, weights: Weights, about: ModelFolder, card: str) -> None:
    """Write weights, configuration and model card; the same model gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(weights, folder / WEIGHTS_FILE)
    values = {
        "schema": SCHEMA,
        **{key: value for key, value in asdict(about).items() if key != "plan"},
        "plan": json.loads(to_json(about.plan)),
    }
    (folder / CONFIG_FILE).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    (folder / CARD_FILE).write_text(card, encoding="utf-8")


def read_model_folder(folder: Path) -> tuple[MultiTaskNet, ModelFolder]:
    """Return the network, in evaluation mode, and what its folder says.

    Raises
    ------
    ModelFolderError
        A file is absent or unreadable, or the weights are not those of the configuration.
    """
    try:
        values = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        plan = from_json(Plan, json.dumps(values["plan"]), where=CONFIG_FILE)
        about = ModelFolder(
            plan=plan,
            preprocessing=values["preprocessing"],
            mvi_threshold=values["mvi_threshold"],
            best_round=values["best_round"],
            synthetic=values["synthetic"],
        )
        weights = read_weights(folder / WEIGHTS_FILE)
        model = new_model(plan)
        check_weights(weights, weights_of(model))
    except Exception as error:
        raise ModelFolderError(f"{folder} is not a usable model folder: {error}") from error
    model.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
    return model.eval(), about
