"""One patient's prediction, through the command's function and through the bundle."""

import json
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.bundle import ConfigParser, run
from nibabel.affines import apply_affine

from client.batches import stack_rois
from client.cohort import build_region
from client.imaging.errors import ImagingError
from client.predict import PredictSettings, predict_patient, read_command
from client.prediction import median_months, risk_group
from client.unfamiliar import warnings_for
from shared.config import ConfigurationError
from shared.model_folder import ModelFolderError
from tests.client.patients import SMALL, write_patient
from tests.client.series import mixed_folder
from tests.shared.model_folders import (
    about_small_model,
    small_plan,
    small_weights,
    write_small_model,
)

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


def test_the_same_patient_is_predicted_the_same_at_every_site(
    model: Path, patient: Path, tmp_path: Path
) -> None:
    """Another folder, links for files, another number of threads."""
    elsewhere = tmp_path / "elsewhere" / "p1"
    elsewhere.mkdir(parents=True)
    for file in patient.iterdir():
        (elsewhere / file.name).symlink_to(file)
    threads = torch.get_num_threads()
    here = predict_patient(PredictSettings(model, patient, tmp_path / "here"))
    torch.set_num_threads(threads + 1)
    there = predict_patient(PredictSettings(model, elsewhere, tmp_path / "there"))
    torch.set_num_threads(threads)
    for task in ("rfs", "os"):
        np.testing.assert_allclose(
            here[task]["survival"], there[task]["survival"], rtol=0, atol=1e-5
        )
    assert here["mvi_probability"] == pytest.approx(there["mvi_probability"], abs=1e-5)


def test_raw_dicom_is_predicted_like_the_contracts_folder(model: Path, tmp_path: Path) -> None:
    mixed = mixed_folder.write(tmp_path / "mixed", *mixed_folder.TRIPHASIC)
    plain = tmp_path / "plain"
    for number, phase in enumerate(("arterial", "portal_venous", "delayed"), start=1):
        source = mixed / "DICOM" / f"ST{number % 2}" / f"SE{number}"
        shutil.copytree(source, plain / phase)
    shutil.copy(mixed / "mask.nii.gz", plain)
    raw = predict_patient(PredictSettings(model, mixed, tmp_path / "raw"))
    tidy = predict_patient(PredictSettings(model, plain, tmp_path / "tidy"))
    for key in ("mvi_probability", "rfs", "os", "phases"):
        assert raw[key] == tidy[key]
    used = {row["phase"]: row["number"] for row in raw["series"] if row["decision"] == "used"}
    assert used == {"arterial": "3", "portal_venous": "4", "delayed": "5"}
    assert tidy["series"] == []


def test_everything_asked_for_is_told(model: Path, patient: Path, tmp_path: Path) -> None:
    told = predict_patient(PredictSettings(model, patient, tmp_path, note="A trial."))
    assert told["mvi_positive"] == (told["mvi_probability"] >= 0.5)
    for task in ("rfs", "os"):
        assert told[task]["risk_group"] == ("high" if told[task]["risk"] > -3.0 else "low")
        assert len(told[task]["survival"]) == len(told[task]["months"]) == 12
        assert "median_months" in told[task]
    assert told["note"] == "A trial."
    assert told["synthetic_model"]
    assert len(told["model"]["sha256"]) == 64
    png = (tmp_path / "prediction.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    text = (tmp_path / "prediction.json").read_text()
    assert json.loads(text) == told


def test_the_activation_lies_over_the_ct(model: Path, patient: Path, tmp_path: Path) -> None:
    """Its voxels are at their places in NIfTI's own space, read by another library."""
    predict_patient(PredictSettings(model, patient, tmp_path))
    activation = nibabel.load(tmp_path / "activation_os.nii.gz")
    ct = nibabel.load(patient / "mask.nii.gz")
    assert activation.shape == SMALL.shape[::-1]
    # The region is centred on the tumour's bounding box.
    centre = (np.array(activation.shape) - 1) / 2
    labels = np.asarray(ct.dataobj)
    tumour = np.argwhere(labels == 2)
    middle = (tumour.min(axis=0) + tumour.max(axis=0)) / 2
    np.testing.assert_allclose(
        apply_affine(activation.affine, centre),
        apply_affine(ct.affine, middle),
        atol=0.01,
    )
    over = sitk.Resample(
        sitk.ReadImage(str(patient / "mask.nii.gz")),
        sitk.ReadImage(str(tmp_path / "activation_os.nii.gz")),
        sitk.Transform(),
        sitk.sitkNearestNeighbor,
    )
    region = build_region(patient, SMALL)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(over), region.roi.mask)


def test_a_patient_unlike_the_training_is_told(model: Path, tmp_path: Path) -> None:
    patient = write_patient(tmp_path / "p", phases=["portal_venous"])
    image = sitk.ReadImage(str(patient / "portal_venous.nii.gz"))
    sitk.WriteImage(image + 150, str(patient / "portal_venous.nii.gz"))
    told = predict_patient(PredictSettings(model, patient, tmp_path / "out"))["warnings"]
    had = "of the training patients had it, at the sites that tell."
    assert f"The delayed phase is missing; 88% {had}" in told
    assert f"The arterial phase is missing; 100% {had}" in told
    assert any("liver measures 260 HU in the portal venous phase" in warning for warning in told)


def test_a_patient_like_the_training_is_not_warned_of(
    model: Path, patient: Path, tmp_path: Path
) -> None:
    told = predict_patient(PredictSettings(model, patient, tmp_path))["warnings"]
    assert told == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"tumour_diameter_mm": (30.0, 90.0)},
            r"diameter is \d\d\.\d mm; usual in training \(mean ± 3 SD\): 30.0 to 90.0",
        ),
        ({"slice_spacing_mm": (1.0, 3.0)}, "distance of slices is 4.0 mm; .*: 1.0 to 3.0"),
        ({"intensity_arterial_core": (5.0, 6.0)}, "arterial phase in the tumour is .* 200 to 240"),
    ],
)
def test_a_quantity_outside_its_range_is_told(
    patient: Path, change: dict[str, tuple[float, float]], message: str
) -> None:
    plan = small_plan()
    about = about_small_model(plan, small_weights(plan))
    inputs = replace(about.inputs, ranges={**about.inputs.ranges, **change})
    region = build_region(patient, SMALL)
    told = warnings_for(region, stack_rois([region.roi]), replace(about, inputs=inputs))
    assert any(re.search(message, warning) for warning in told), told


def test_a_tampered_model_is_refused(patient: Path, tmp_path: Path) -> None:
    model = write_small_model(tmp_path / "model")
    content = bytearray((model / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (model / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelFolderError, match=r"model.safetensors: not the file"):
        predict_patient(PredictSettings(model, patient, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_cox_model_gives_risks_and_groups_without_curves(patient: Path, tmp_path: Path) -> None:
    model = write_small_model(tmp_path / "cox", survival="cox")
    told = predict_patient(PredictSettings(model, patient, tmp_path / "out"))
    assert told["os"].keys() == {"risk", "risk_group"}


def test_nothing_is_told_beyond_the_follow_up_of_training(patient: Path, tmp_path: Path) -> None:
    """A curve ends at the last edge that somebody reached; no median is read from beyond it."""
    whole, early, late = (
        predict_patient(
            PredictSettings(
                write_small_model(tmp_path / name, seed=2, followed={"rfs": 93.0, "os": followed}),
                patient,
                tmp_path / "out" / name,
            )
        )
        for name, followed in (("whole", 120.0), ("early", 30.0), ("late", 47.0))
    )
    assert early["rfs"]["months"][-1] == 84.0
    assert early["rfs"]["followed_months"] == 93.0
    assert early["os"]["months"] == [3.0, 6.0, 9.0, 12.0, 18.0, 24.0, 30.0]
    assert early["os"]["survival"] == whole["os"]["survival"][:7]
    assert late["os"]["months"][-1] == 36.0
    assert 30 < whole["os"]["median_months"] < 36
    assert early["os"]["median_months"] is None
    assert late["os"]["median_months"] == whole["os"]["median_months"]
    assert early["warnings"] == whole["warnings"]


def test_without_a_whole_interval_of_follow_up_there_is_no_curve(
    patient: Path, tmp_path: Path
) -> None:
    model = write_small_model(tmp_path / "model", followed={"rfs": 84.0, "os": 2.0})
    told = predict_patient(PredictSettings(model, patient, tmp_path / "out"))
    assert told["os"]["months"] == told["os"]["survival"] == []
    assert told["os"]["median_months"] is None
    assert told["rfs"]["months"][-1] == 84.0


def test_that_follow_up_is_not_known_is_told(patient: Path, tmp_path: Path) -> None:
    model = write_small_model(tmp_path / "model", followed={"rfs": 120.0})
    told = predict_patient(PredictSettings(model, patient, tmp_path / "out"))
    assert told["os"]["followed_months"] is None
    assert told["os"]["months"][-1] == 120.0
    (warning,) = [text for text in told["warnings"] if "followed" in text]
    assert "OS" in warning
    assert "RFS" not in warning
    cox = write_small_model(tmp_path / "cox", survival="cox", followed={})
    told = predict_patient(PredictSettings(cox, patient, tmp_path / "without"))
    assert not any("followed" in text for text in told["warnings"])


def test_medians_lie_between_the_edges() -> None:
    assert median_months([10, 20], [0.8, 0.4]) == pytest.approx(17.5)
    assert median_months([10, 20], [0.5, 0.4]) == pytest.approx(10)
    assert median_months([10, 20], [0.25, 0.2]) == pytest.approx(10 * 0.5 / 0.75)
    assert median_months([10, 20], [0.9, 0.6]) is None
    assert median_months([], []) is None


def test_groups_are_named_from_their_cuts() -> None:
    assert risk_group(1.0, ()) is None
    assert [risk_group(risk, (0.0,)) for risk in (-1.0, 0.0, 0.1)] == ["low", "low", "high"]
    assert [risk_group(risk, (0.0, 1.0)) for risk in (-1.0, 0.5, 2.0)] == [
        "low",
        "medium",
        "high",
    ]
    assert risk_group(2.5, (0.0, 1.0, 2.0)) == "4 of 4"


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
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}


def test_a_patient_that_is_not_there_is_named(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ImagingError, match="no such folder"):
        predict_patient(PredictSettings(model, tmp_path / "nobody", tmp_path / "out"))


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


@pytest.mark.parametrize("device", ["gpu", "cuda:77", "meta"])
def test_a_device_that_is_not_here_is_named(
    model: Path, patient: Path, tmp_path: Path, device: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"device {device}"):
        predict_patient(PredictSettings(model, patient, tmp_path / "out", device))
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_named(
    model: Path, patient: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").write_text("a file in its place")
    with pytest.raises(ConfigurationError, match="out: cannot be written"):
        predict_patient(PredictSettings(model, patient, tmp_path / "out"))


@pytest.fixture(scope="module")
def clinical_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clinical") / "model"
    return write_small_model(folder, clinical_variables=("age", "log_afp"))


def test_clinical_variables_count_where_they_are_given(
    clinical_model: Path, patient: Path, tmp_path: Path
) -> None:
    """The bundle says the same as the command, and what is outside of training is told."""
    settings = PredictSettings(clinical_model, patient, tmp_path)
    unknown = predict_patient(settings)
    given = predict_patient(replace(settings, clinical={"age": 2.0, "log_afp": None}))
    far = predict_patient(replace(settings, clinical={"age": 90.0}))
    assert unknown["clinical"] == {"age": None, "log_afp": None}
    assert given["clinical"] == {"age": 2.0, "log_afp": None}
    assert given["os"]["risk"] != unknown["os"]["risk"]
    assert sum("is not given" in warning for warning in unknown["warnings"]) == 2
    assert [w for w in given["warnings"] if "age" in w or "log_afp is not given" in w] == [
        "The value of log_afp is not given: the one that the rest foretells stands in for it."
    ]
    assert "age is 90; usual in training (mean ± 3 SD): -4.2 to 4.8." in far["warnings"]
    parser = bundle_parser(clinical_model, patient)
    parser["clinical"]["age"] = 2.0
    with torch.no_grad():
        pred = parser.get_parsed_content("pred")[0].numpy()
    told = [given["mvi_probability"], *given["rfs"]["survival"], *given["os"]["survival"]]
    np.testing.assert_allclose(pred, told, rtol=0, atol=1e-5)


def test_only_what_the_model_reads_is_taken(
    model: Path, clinical_model: Path, patient: Path, tmp_path: Path
) -> None:
    words = [f"model={clinical_model}", f"patient={patient}", f"output_dir={tmp_path}"]
    assert read_command([*words, "clinical={age: 63}"]).clinical == {"age": 63.0}
    for text in ("63", "[age", "{age: old}"):
        with pytest.raises(ConfigurationError, match="clinical"):
            read_command([*words, f"clinical={text}"])
    for folder, message in ((clinical_model, "reads age, log_afp"), (model, "no clinical")):
        settings = PredictSettings(folder, patient, tmp_path, clinical={"sex": 1.0})
        with pytest.raises(ConfigurationError, match=message):
            predict_patient(settings)
