"""One patient's prediction, through the command's function and through the bundle."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, run

from client.predict import PredictSettings, predict_patient
from tests.client.patients import write_patient
from tests.shared.model_folders import write_small_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_model(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_patient(tmp_path_factory.mktemp("patients") / "p1")


def bundle_parser(model: Path, patient: Path) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config(str(model / "configs" / "inference.json"))
    parser["bundle_root"] = str(model)
    parser["dataset_dir"] = str(patient)
    return parser


def test_the_bundle_predicts_what_the_command_predicts(
    model: Path, patient: Path, tmp_path: Path
) -> None:
    prediction = predict_patient(PredictSettings(model, patient, tmp_path))
    with torch.no_grad():
        pred = bundle_parser(model, patient).get_parsed_content("pred")[0].numpy()
    told = [
        prediction["mvi_probability"],
        *prediction["rfs"]["survival"],
        *prediction["os"]["survival"],
    ]
    np.testing.assert_allclose(pred, told, rtol=0, atol=1e-5)


def test_monai_runs_the_bundle(model: Path, patient: Path, tmp_path: Path) -> None:
    run(
        config_file=str(model / "configs" / "inference.json"),
        meta_file=str(model / "configs" / "metadata.json"),
        bundle_root=str(model),
        dataset_dir=str(patient),
        output_dir=str(tmp_path / "out"),
    )
    written = json.loads((tmp_path / "out" / "prediction.json").read_text())
    assert written == predict_patient(PredictSettings(model, patient, tmp_path / "again"))
