"""One patient: ``python client/predict.py model=DIR patient=DIR output_dir=DIR``.

Writes ``prediction.json`` (MVI probability, RFS and OS curves, risk scores) and
``prediction.png`` (the tumour in three planes with its activation map).
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from omegaconf import MISSING, OmegaConf

from client.activation import activation_map
from client.batches import stack_rois
from client.cohort import build_roi
from client.imaging.errors import ImagingError
from client.imaging.roi import Roi
from shared.bundle_network import pack
from shared.config import ConfigurationError, build
from shared.losses.logistic_hazard import survival_curve
from shared.model import MultiTaskNet, RoiBatch, ranking_score
from shared.model_folder import ModelFolder, ModelFolderError, read_model_folder
from shared.preprocessing import PreprocessingSettings
from shared.reporting import figures
from shared.reporting.content import ActivationSample
from shared.tasks import PHASES, SURVIVAL_TASKS, TUMOUR_LABEL

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
USAGE = "python client/predict.py model=DIR patient=DIR output_dir=DIR [device=cpu]"
PLANES = ("axial", "coronal", "sagittal")
GREY_RANGE = (-2.0, 2.5)


@dataclass(frozen=True)
class PredictSettings:
    """What to predict with, for whom, and where to."""

    model: Path
    patient: Path
    output_dir: Path
    device: str = "cpu"


def predict_patient(settings: PredictSettings) -> dict[str, Any]:
    """Predict for one patient and write what was found; return what ``prediction.json`` holds.

    Raises
    ------
    ModelFolderError
        The model folder cannot be used.
    ImagingError
        The patient's folder cannot be used.
    """
    model, about = read_model_folder(settings.model)
    roi, problems = build_roi(settings.patient, about.preprocessing)
    device = torch.device(settings.device)
    batch = stack_rois([roi]).to(device)
    prediction = _predict(model.to(device), batch, about)
    prediction["phases"] = [name for name, flag in zip(PHASES, roi.present, strict=True) if flag]
    prediction["left_out"] = [{"file": file, "reason": reason} for reason, file in problems]
    settings.output_dir.mkdir(parents=True, exist_ok=True)
    text = json.dumps(prediction, indent=2) + "\n"
    (settings.output_dir / "prediction.json").write_text(text, encoding="utf-8")
    picture = _picture(roi, activation_map(model, batch, "os")[0], prediction)
    (settings.output_dir / "prediction.png").write_bytes(picture)
    return prediction


def bundle_image(patient: str, preprocessing: PreprocessingSettings) -> torch.Tensor:
    """Return a patient as the input of the bundle's network; ``inference.json`` calls this."""
    roi, _ = build_roi(Path(patient), preprocessing)
    return pack(stack_rois([roi]))


def predict_into(bundle_root: str, patient: str, output_dir: str) -> dict[str, Any]:
    """Predict as the command does; ``inference.json`` calls this."""
    return predict_patient(PredictSettings(Path(bundle_root), Path(patient), Path(output_dir)))


@torch.no_grad()
def _predict(model: MultiTaskNet, batch: RoiBatch, about: ModelFolder) -> dict[str, Any]:
    outputs = model(batch)
    probability = float(torch.sigmoid(outputs["mvi"].double())[0])
    prediction: dict[str, Any] = {
        "synthetic_model": about.synthetic,
        "mvi_probability": probability,
        "mvi_positive": None if about.mvi_threshold is None else probability >= about.mvi_threshold,
    }
    for task in SURVIVAL_TASKS:
        prediction[task] = {"risk": float(ranking_score(outputs[task])[0])}
        if about.plan.loss.survival == "logistic_hazard":
            prediction[task]["months"] = list(about.plan.time_grid.edges_months)
            prediction[task]["survival"] = survival_curve(outputs[task].double())[0].tolist()
    return prediction


def _picture(
    roi: Roi, activation: np.ndarray[Any, np.dtype[np.float32]], prediction: dict[str, Any]
) -> bytes:
    """Return a PNG of three planes through the middle of the tumour."""
    low, high = GREY_RANGE
    shown = next(index for index in (1, 0, 2) if roi.present[index])
    grey = np.clip((roi.phases[shown].astype(np.float64) - low) / (high - low), 0, 1)
    tumour = roi.mask == TUMOUR_LABEL
    samples = []
    for axis, plane in enumerate(PLANES):
        level = int(tumour.sum(axis=tuple({0, 1, 2} - {axis})).argmax())
        # Rows run from head to foot in coronal and sagittal planes, as they are read.
        turn = slice(None) if axis == 0 else slice(None, None, -1)
        parts = [np.take(volume, level, axis)[turn] for volume in (grey, activation, tumour)]
        caption = plane if axis else f"{plane}; MVI {prediction['mvi_probability']:.0%}"
        samples.append(ActivationSample(parts[0], parts[1].astype(float), parts[2], caption))
    return figures.activation_maps_png(samples)


def read_command(words: Sequence[str]) -> PredictSettings:
    """Return what ``key=value`` words ask for; the rest is as in ``configs/predict.yaml``.

    Not Hydra: it takes ``model=DIR`` for the configuration group of that name, and trips over
    folders whose names hold spaces or brackets.

    Raises
    ------
    ConfigurationError
        A word that is no ``key=value``, an unknown key, or one that is missing.
    """
    values: dict[str, Any] = cast(
        dict[str, Any], OmegaConf.to_container(OmegaConf.load(CONFIGS / "predict.yaml"))
    )
    for word in words:
        key, separator, value = word.partition("=")
        if not separator:
            raise ConfigurationError(f"{word!r} is no key=value; {USAGE}")
        values[key] = value
    missing = sorted(key for key, value in values.items() if value == MISSING)
    if missing:
        raise ConfigurationError(f"missing: {', '.join(missing)}; {USAGE}")
    return build(PredictSettings, values, where="predict")


def main() -> None:
    """Predict for the patient that the command line names."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return
    try:
        settings = read_command(sys.argv[1:])
        prediction = predict_patient(settings)
    except (ConfigurationError, ModelFolderError, ImagingError) as error:
        sys.exit(f"Cannot predict: {error}")
    if prediction["synthetic_model"]:
        print("This model was trained on synthetic patients: its prediction means nothing.")
    print(f"MVI probability {prediction['mvi_probability']:.3f}; see {settings.output_dir}")


if __name__ == "__main__":
    main()
