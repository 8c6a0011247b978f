"""The model's folder: written, verified, read, and refused when anything in it was changed."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shared.config import to_json
from shared.model_card import model_card
from shared.model_folder import (
    CARD_FILE,
    CONFIG_FILE,
    MANIFEST_FILE,
    REQUIRED_FILES,
    WEIGHTS_FILE,
    ModelFolderError,
    folder_digest,
    read_model_folder,
    sha256,
    write_model_folder,
)
from shared.results import Estimate
from shared.weights import weights_of
from tests.shared.model_folders import (
    about_small_model,
    small_plan,
    small_weights,
    write_small_model,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_small_model(tmp_path / "model")


def test_what_was_written_is_read(folder: Path) -> None:
    plan = small_plan()
    weights = small_weights(plan)
    model, about = read_model_folder(folder)
    assert not model.training
    assert to_json(about) == to_json(about_small_model(plan, weights))
    for key, value in weights_of(model).items():
        np.testing.assert_array_equal(value, weights[key])


def test_two_equal_runs_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    again = write_small_model(tmp_path / "again")
    files = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert files == {Path(name) for name in (*REQUIRED_FILES, CARD_FILE, MANIFEST_FILE)}
    assert all((folder / file).read_bytes() == (again / file).read_bytes() for file in files)
    assert folder_digest(folder) == folder_digest(again)
    assert folder_digest(folder) != folder_digest(write_small_model(tmp_path / "other", seed=1))


@pytest.mark.parametrize("name", [*REQUIRED_FILES, CARD_FILE])
def test_a_changed_file_is_refused_by_its_name(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ModelFolderError, match=rf"{name}: not the file that manifest.json names"):
        read_model_folder(folder)


@pytest.mark.parametrize("name", [*REQUIRED_FILES, MANIFEST_FILE])
def test_a_missing_file_is_refused_by_its_name(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelFolderError, match=name):
        read_model_folder(folder)


def test_weights_of_another_run_are_refused(folder: Path, tmp_path: Path) -> None:
    other = write_small_model(tmp_path / "other", seed=1)
    (folder / WEIGHTS_FILE).write_bytes((other / WEIGHTS_FILE).read_bytes())
    with pytest.raises(ModelFolderError, match=WEIGHTS_FILE):
        read_model_folder(folder)


def forge(folder: Path, name: str) -> None:
    """Make the manifest agree with a file that was changed."""
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    manifest["sha256"][name] = sha256(folder / name)
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))


def test_weights_of_another_network_are_refused_even_with_a_manifest(
    folder: Path, tmp_path: Path
) -> None:
    cox = write_small_model(tmp_path / "cox", survival="cox")
    (folder / WEIGHTS_FILE).write_bytes((cox / WEIGHTS_FILE).read_bytes())
    forge(folder, WEIGHTS_FILE)
    with pytest.raises(ModelFolderError, match=r"not the weights of config.json's network"):
        read_model_folder(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 4}, "schema 4, this version reads 5"),
        ({"mvi_threshold": "high"}, "mvi_threshold"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_settings_that_make_no_sense_name_their_key(
    folder: Path, change: dict[str, object], message: str
) -> None:
    values = json.loads((folder / CONFIG_FILE).read_text()) | change
    (folder / CONFIG_FILE).write_text(json.dumps(values))
    forge(folder, CONFIG_FILE)
    with pytest.raises(ModelFolderError, match=message):
        read_model_folder(folder)


def test_a_manifest_reaches_no_file_outside(folder: Path) -> None:
    (folder.parent / "outside.txt").write_text("x")
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    manifest["sha256"]["../outside.txt"] = sha256(folder.parent / "outside.txt")
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest))
    with pytest.raises(ModelFolderError, match=r"outside.txt: no such file"):
        read_model_folder(folder)


def test_the_card_says_where_the_model_comes_from(folder: Path) -> None:
    card = (folder / CARD_FILE).read_text()
    for said in (
        "Synthetic patients",
        "north (8 patients), south (5 patients)",
        "Seed 0, round 3 of 30",
        "MVI threshold: 0.5000",
        "OS risk groups are cut at -3.0000",
        "0.1.0+0123",
        "usual range in training (mean ± 3 standard deviations)",
        "of the sites that tell it): arterial 100%, portal venous 30%, delayed 88%",
        sha256(folder / WEIGHTS_FILE),
    ):
        assert said in card


def test_the_card_shows_metrics_that_a_run_has(tmp_path: Path) -> None:
    plan = small_plan()
    weights = small_weights(plan)
    about = replace(about_small_model(plan, weights), synthetic=False, risk_cuts={})
    metrics = {"os_c_index": Estimate(0.7, (0.6, 0.8), 80), "mvi_f1": Estimate(None, None, 3)}
    card = model_card(about, {"external": {**metrics}})  # type: ignore[dict-item]
    write_model_folder(tmp_path, weights, about, card)
    text = (tmp_path / CARD_FILE).read_text()
    assert "| OS C-index | 0.700 (0.600 to 0.800, n = 80) |" in text
    assert text.count("not available") == 3
    assert "ynthetic" not in text
