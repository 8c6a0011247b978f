"""``model/``: the global model as a MONAI bundle, with all that predicting for a patient needs.

A manifest names every file with its SHA-256, so that a file that was cut short, edited or
brought from another run is refused by its name. Who can rewrite the manifest too can forge the
whole folder: compare `folder_digest` with the one that the coordinator published.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from shared.bundle import inference, metadata
from shared.config import ConfigurationError, build, to_json
from shared.model import MultiTaskNet
from shared.plan import Plan, new_model
from shared.preprocessing import PreprocessingSettings
from shared.protocol import ProtocolError, check_weights
from shared.tasks import SurvivalTask
from shared.training_inputs import TrainingInputs
from shared.weights import Weights, read_weights, weights_of, write_weights

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
CARD_FILE = "README.md"
METADATA_FILE = "configs/metadata.json"
INFERENCE_FILE = "configs/inference.json"
MANIFEST_FILE = "manifest.json"
REQUIRED_FILES = (WEIGHTS_FILE, CONFIG_FILE, METADATA_FILE, INFERENCE_FILE)
SCHEMA = 5


class ModelFolderError(RuntimeError):
    """A model folder cannot be used; the message names the file and what is wrong."""


@dataclass(frozen=True)
class Provenance:
    """Where a model comes from.

    Attributes
    ----------
    sites : mapping of str to int
        Training patients of each institution.
    code_version : str
        From `shared.code_version`.
    versions : mapping of str to str
        Of the packages that trained it; ``hepafed``, ``monai``, ``torch``, ``numpy`` at least.
    """

    sites: Mapping[str, int]
    code_version: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class ModelFolder:
    """What a model folder says.

    Attributes
    ----------
    plan : Plan
        Architecture, time grid and how it was trained.
    preprocessing : PreprocessingSettings
        The settings that prepare a region of interest for it.
    mvi_threshold : float or None
        Calls a patient MVI-positive; fixed on internal validation.
    best_round : int or None
    synthetic : bool
        Whether it was trained on synthetic patients, and so must not be used on real ones.
    provenance : Provenance
    risk_cuts : mapping of str to tuple of float
        By survival task, the increasing risks (`shared.model.ranking_score`) that part the risk
        groups, fixed on internal validation; a patient above a cut is in the group beyond it.
    inputs : TrainingInputs
        What the training patients looked like.
    followed_months : mapping of str to float
        By survival task, the month to which training patients are certain to have been followed
        (`shared.evidence.follow_up.supported_months`); without the task where no site told.
    own_rounds : mapping of str to int
        Where the algorithm is personal: site -> the round whose own part, which lies at that site
        alone, goes with this model.
    federation : str
        Likewise: the run that it was kept in (`shared.protocol.Instruction`).
    """

    plan: Plan
    preprocessing: PreprocessingSettings
    mvi_threshold: float | None
    best_round: int | None
    synthetic: bool
    provenance: Provenance
    risk_cuts: Mapping[SurvivalTask, tuple[float, ...]] = field(default_factory=dict)
    inputs: TrainingInputs = field(default_factory=TrainingInputs)
    followed_months: Mapping[SurvivalTask, float] = field(default_factory=dict)
    own_rounds: Mapping[str, int] = field(default_factory=dict)
    federation: str = ""


def write_model_folder(folder: Path, weights: Weights, about: ModelFolder, card: str) -> None:
    """Write the bundle; the same model gives the same bytes.

    Parameters
    ----------
    folder : Path
    weights : Weights
    about : ModelFolder
    card : str
        The model card as Markdown; the files' hashes are added to it.
    """
    (folder / METADATA_FILE).parent.mkdir(parents=True, exist_ok=True)
    # Last to be written: without a manifest a folder is refused.
    (folder / MANIFEST_FILE).unlink(missing_ok=True)
    write_weights(weights, folder / WEIGHTS_FILE)
    settings = {"schema": SCHEMA, **json.loads(to_json(about))}
    described = metadata(
        about.plan,
        about.preprocessing,
        about.provenance.versions,
        synthetic=about.synthetic,
        followed_months=about.followed_months,
    )
    _write_json(settings, folder / CONFIG_FILE)
    _write_json(described, folder / METADATA_FILE)
    _write_json(inference(about.plan, about.preprocessing, WEIGHTS_FILE), folder / INFERENCE_FILE)
    digests = {name: sha256(folder / name) for name in REQUIRED_FILES}
    card += "\n| file | SHA-256 |\n|---|---|\n"
    card += "".join(f"| {name} | `{digest}` |\n" for name, digest in digests.items())
    (folder / CARD_FILE).write_text(card, encoding="utf-8", newline="\n")
    digests[CARD_FILE] = sha256(folder / CARD_FILE)
    _write_json({"schema": SCHEMA, "sha256": digests}, folder / MANIFEST_FILE)


def read_model_folder(folder: Path) -> tuple[MultiTaskNet, ModelFolder]:
    """Return the network, in evaluation mode, and what its folder says.

    Raises
    ------
    ModelFolderError
        A file is absent, unreadable or not the one of the manifest, or the weights are not
        those of the configuration.
    """
    verify_manifest(folder)
    about = _read_settings(folder / CONFIG_FILE)
    model = new_model(about.plan)
    path = folder / WEIGHTS_FILE
    try:
        weights = read_weights(path)
        check_weights(weights, weights_of(model))
    except ProtocolError as error:
        raise ModelFolderError(
            f"{path}: not the weights of {CONFIG_FILE}'s network ({error})"
        ) from error
    except Exception as error:
        raise ModelFolderError(f"{path}: not a safetensors file ({error})") from error
    model.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
    return model.eval(), about


def verify_manifest(folder: Path) -> None:
    """Raise ModelFolderError unless every file of the manifest is there, unchanged."""
    path = folder / MANIFEST_FILE
    manifest = _read_json(path)
    digests = manifest.get("sha256")
    if manifest.get("schema") != SCHEMA or not isinstance(digests, dict):
        raise ModelFolderError(
            f"{path}: not a manifest of schema {SCHEMA}: made by another version"
        )
    absent = [name for name in REQUIRED_FILES if name not in digests]
    if absent:
        raise ModelFolderError(f"{path}: does not name {', '.join(absent)}")
    for name, expected in digests.items():
        file = folder / name
        if not file.resolve().is_relative_to(folder.resolve()) or not file.is_file():
            raise ModelFolderError(f"{file}: no such file, but the manifest names it")
        if sha256(file) != expected:
            raise ModelFolderError(
                f"{file}: not the file that {MANIFEST_FILE} names (another SHA-256): damaged,"
                " edited, or of another model; take the whole folder anew from its source"
            )


def folder_digest(folder: Path) -> str:
    """Return the SHA-256 of the manifest: one number that stands for the whole bundle."""
    return sha256(folder / MANIFEST_FILE)


def sha256(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read_settings(path: Path) -> ModelFolder:
    values = _read_json(path)
    schema = values.pop("schema", None)
    if schema != SCHEMA:
        raise ModelFolderError(f"{path}: schema {schema!r}, this version reads {SCHEMA}")
    try:
        return build(ModelFolder, values, where=path.name)
    except ConfigurationError as error:
        raise ModelFolderError(f"{path}: {error}") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelFolderError(
            f"{path}: cannot be read ({type(error).__name__}); give the model/ folder of a"
            " finished run"
        ) from error
    if not isinstance(values, dict):
        raise ModelFolderError(f"{path}: not a JSON object")
    return values


def _write_json(values: Mapping[str, Any], path: Path) -> None:
    text = json.dumps(values, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")
