"""A site predicts with the part of the model that it keeps; the model says of which round."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from client.batches import stack_rois
from client.cohort import build_roi
from client.personal import take_own_part
from client.predict import PredictSettings, predict_patient, read_command
from client.prediction import predict
from client.site import Site
from server.checkpoint import Checkpoint
from server.federation import best_weights, counted_with_best
from server.outputs import TrainedFederation, versions, write_model
from shared.algorithm import AlgorithmSettings
from shared.config import ConfigurationError
from shared.model_folder import read_model_folder
from shared.protocol import Instruction
from simulation.evaluation import load_model
from simulation.federate import remembering
from tests.client.patients import SMALL, write_patient
from tests.shared.reporting.content import report_content
from tests.simulation.small_sites import PLAN, labelled_sites, run

RUN = replace(report_content().run, versions=versions())
PERSONAL = replace(PLAN, algorithm=AlgorithmSettings(personal="heads"))


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_patient(tmp_path_factory.mktemp("patient") / "p1", seed=7)


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Site], Checkpoint]:
    """Return the folder that a federation with own heads leaves, its sites and its end."""
    folder = tmp_path_factory.mktemp("federation")
    sites = labelled_sites(folder / "patients", {"a": 9, "b": 5})
    # Labels were drawn: no round is better than the start, which nobody has a part of.
    checkpoint = replace(run(sites, folder, plan=PERSONAL), best_weights=None)
    write_model(folder / "model", TrainedFederation(RUN, PERSONAL, SMALL, checkpoint))
    for site in sites:
        write_site_file(folder / f"{site.name}.yaml", site.name, folder / "sites" / site.name)
    return folder, remembering(sites, folder), checkpoint


def write_site_file(path: Path, name: str, state_dir: Path) -> None:
    path.write_text(f"name: {name}\nfolder: data\ncache_dir: cache\nstate_dir: {state_dir}\n")


def test_the_sites_own_part_predicts(
    federation: tuple[Path, list[Site], Checkpoint], patient: Path, tmp_path: Path
) -> None:
    folder, sites, checkpoint = federation
    words = [f"model={folder / 'model'}", f"patient={patient}", f"output_dir={tmp_path}"]
    batch = stack_rois([build_roi(patient, SMALL)[0]])
    _, about = read_model_folder(folder / "model")
    risks = {}
    for site in sites:
        told = predict_patient(read_command([*words, f"site={folder / site.name}.yaml"]))
        model = load_model(PERSONAL, best_weights(checkpoint)).eval()
        counted = counted_with_best(checkpoint)
        take_own_part(model, site, Instruction(PERSONAL, 4, counted, checkpoint.federation))
        assert told["mvi_probability"] == pytest.approx(
            predict(model, batch, about).mvi_probability
        )
        assert told["model"]["own_part_of"] == site.name
        assert not any("average" in warning for warning in told["warnings"])
        risks[site.name] = told["os"]["risk"]
    averaged = predict_patient(read_command(words))
    assert averaged["model"]["own_part_of"] is None
    assert "Sites use this model with a part of their own" in averaged["warnings"][0]
    assert len({averaged["os"]["risk"], *risks.values()}) == 3


def test_a_later_run_of_the_same_plan_leaves_an_older_model_as_it_was(
    patient: Path, tmp_path: Path
) -> None:
    """The hospital has one state_dir; of the later run's patients fewer are the same."""
    sites = labelled_sites(tmp_path / "patients", {"a": 9, "b": 5})
    write_site_file(tmp_path / "a.yaml", "a", tmp_path / "sites" / "a")

    def train(name: str, sites: list[Site]) -> PredictSettings:
        for path in tmp_path.glob("*.*"):
            if path.suffix in {".json", ".safetensors"}:
                path.unlink()
        checkpoint = replace(run(sites, tmp_path, plan=PERSONAL), best_weights=None)
        write_model(tmp_path / name, TrainedFederation(RUN, PERSONAL, SMALL, checkpoint))
        return PredictSettings(tmp_path / name, patient, tmp_path / "out", site=tmp_path / "a.yaml")

    first = train("first", sites)
    before = predict_patient(first)
    second = train("second", [replace(site, cases=site.cases[1:]) for site in sites])
    assert predict_patient(first) == before
    assert predict_patient(second)["os"] != before["os"]


def test_a_site_that_did_not_train_is_told_of_the_average(
    federation: tuple[Path, list[Site], Checkpoint], patient: Path, tmp_path: Path
) -> None:
    folder, *_ = federation
    write_site_file(tmp_path / "c.yaml", "c", tmp_path / "state")
    settings = PredictSettings(folder / "model", patient, tmp_path / "out")
    told = predict_patient(replace(settings, site=tmp_path / "c.yaml"))
    assert told["os"] == predict_patient(settings)["os"]
    assert "c has no part of its own in this model" in told["warnings"][0]


def test_a_lost_part_is_told_by_its_place_and_round(
    federation: tuple[Path, list[Site], Checkpoint], patient: Path, tmp_path: Path
) -> None:
    folder, *_ = federation
    write_site_file(tmp_path / "a.yaml", "a", tmp_path / "state")
    settings = PredictSettings(folder / "model", patient, tmp_path, site=tmp_path / "a.yaml")
    with pytest.raises(ConfigurationError, match=r"state: what a kept of round 3 cannot be read"):
        predict_patient(settings)
    shutil.copytree(folder / "sites" / "a", tmp_path / "state")
    (kept,) = (tmp_path / "state").rglob("personal-000003.safetensors")
    shutil.copy(folder / "model" / "model.safetensors", kept)
    with pytest.raises(ConfigurationError, match="round 3 is of another model"):
        predict_patient(settings)


def test_a_model_that_all_sites_use_alike_wants_no_site(
    federation: tuple[Path, list[Site], Checkpoint], patient: Path, tmp_path: Path
) -> None:
    folder, _, checkpoint = federation
    write_model(tmp_path / "model", TrainedFederation(RUN, PLAN, SMALL, checkpoint))
    settings = PredictSettings(tmp_path / "model", patient, tmp_path, site=folder / "a.yaml")
    with pytest.raises(ConfigurationError, match="sites use this model alike"):
        predict_patient(settings)
