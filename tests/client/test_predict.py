"""One patient's prediction, through the command's function and through the bundle."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, run

from client.predict import PredictSettings, predict_patient, read_command
from shared.config import ConfigurationError
from tests.client.patients import write_patient
from tests.shared.model_folders import write_small_model

ROOT = Path(__file__).resolve().parents[2]


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


def test_the_command_predicts(model: Path, patient: Path, tmp_path: Path) -> None:
    out = tmp_path / "a folder (1)"
    command = [sys.executable, str(ROOT / "client" / "predict.py")]
    words = [f"model={model}", f"patient={patient}", f"output_dir={out}"]
    done = subprocess.run([*command, *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "synthetic" in done.stdout
    assert json.loads((out / "prediction.json").read_text())["mvi_probability"] > 0
    assert {path.name for path in tmp_path.iterdir()} == {out.name}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model=m", "patient=p"], "missing: output_dir"),
        (["model=m", "patient=p", "output_dir=o", "patience=1"], "patience"),
        (["somewhere"], "is no key=value"),
    ],
)
def test_a_wrong_word_is_named(words: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_command(words)
