"""A cohort in which two sites lack much, and a federation that is judged on it."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from shared.tasks import PHASES
from simulation.cohort.folder import find_sites
from simulation.settings import CohortSettings
from tests.benchmarks.goals import JUDGED, METRICS
from tests.benchmarks.internal import state_of
from tests.benchmarks.robustness import lacking_cohort, lacking_run, train_lacking
from tests.benchmarks.small_cohort import SITES, write_cohort
from tests.client.patients import SMALL


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("cohort"), seed=0)


@pytest.fixture(scope="module")
def lacking(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("lacking") / "cohort"
    lacking_cohort(cohort, target, "site_1", "site_2", seed=0)
    return target


def phases(site: Path) -> dict[str, set[str]]:
    return {
        folder.name: {path.name.split(".")[0] for path in folder.iterdir()} & set(PHASES)
        for folder in site.iterdir()
        if folder.is_dir()
    }


def mvi(site: Path) -> list[str]:
    with (site / "clinical.csv").open(newline="") as file:
        return [row["mvi"] for row in csv.DictReader(file)]


def test_a_third_of_phases_is_missing_at_one_site_and_mvi_at_another(
    cohort: Path, lacking: Path
) -> None:
    left = phases(lacking / "site_1")
    assert sum(map(len, left.values())) == 24 - 8
    assert min(map(len, left.values())) >= 1
    assert set(mvi(lacking / "site_2")) == {""}
    for name in SITES:
        assert name == "site_1" or phases(lacking / name) == phases(cohort / name)
        assert name == "site_2" or mvi(lacking / name) == mvi(cohort / name)
    assert find_sites(lacking).truth_csv is not None


def test_the_same_seed_leaves_out_the_same(cohort: Path, lacking: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        lacking_cohort(cohort, tmp_path / str(seed), "site_1", "site_2", seed)
    assert phases(tmp_path / "0" / "site_1") == phases(lacking / "site_1")
    assert phases(tmp_path / "1" / "site_1") != phases(lacking / "site_1")


@pytest.mark.parametrize(("one", "other"), [("site_1", "site_1"), ("site_1", "external")])
def test_two_training_sites_must_be_named(
    cohort: Path, tmp_path: Path, one: str, other: str
) -> None:
    with pytest.raises(ValueError, match="must be two of"):
        lacking_cohort(cohort, tmp_path / "lacking", one, other, seed=0)


def test_a_federation_is_trained_on_it_and_judged(cohort: Path, tmp_path: Path) -> None:
    words = ["+experiment=smoke", "rounds=1", f"cache_dir={tmp_path / 'cache'}", "workers=1"]
    run = lacking_run(tmp_path, 1, 0, words)
    settings = replace(run.settings, cohort=CohortSettings("folder", cohort), preprocessing=SMALL)
    train_lacking(replace(run, settings=settings))
    assert run.done
    found = run.figures()
    assert set(found) == set(JUDGED)
    assert all(set(values) == set(METRICS) for values in found.values())
    assert found["external"]["mvi_auc"] is not None
    assert not state_of(run).exists()
    assert all(kept == set(PHASES) for kept in phases(cohort / "site_1").values())
