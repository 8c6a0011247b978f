"""Models of one cohort on the patients of others."""

from dataclasses import replace
from pathlib import Path

import pytest

from simulation.methods import groups
from simulation.training import federation_settings, train_method
from tests.benchmarks.goals import METRICS, OUTSIDE, UNSEEN
from tests.benchmarks.internal import internal_run
from tests.benchmarks.small_cohort import SITES, write_cohort
from tests.benchmarks.wide import WholeCohort, judge_widely, read_cohort
from tests.client.patients import SMALL


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> list[WholeCohort]:
    folder = tmp_path_factory.mktemp("cohorts")
    words = ["+experiment=smoke", "rounds=1", f"cache_dir={folder / 'cache'}", "workers=1"]
    # So few train that radiomics, tested elsewhere, is not fitted: it would take most of the time.
    words.append("training_fraction=0.3")
    made = []
    for seed in range(3):
        root = write_cohort(folder / str(seed), seed)
        settings = internal_run(folder, "small", root, 0, words, "federated").settings
        own = replace(settings, preprocessing=SMALL)
        made.append(read_cohort(str(seed), own, folder / "scratch"))
    return made


def test_nobody_is_unseen_by_the_cohort_that_trained_on_them(cohorts: list[WholeCohort]) -> None:
    unseen = cohorts[1].patients(UNSEEN)
    assert len(unseen.cases) == 3 * 8
    assert set(unseen.sites) == set(SITES) - {"external"}
    assert set(cohorts[1].patients(OUTSIDE).sites) == {"external"}
    names = {case.patient_id for cohort in cohorts for case in cohort.patients(UNSEEN).cases}
    assert len(names) == 3 * 3 * 8


def test_every_method_is_judged_on_all_that_it_has_not_seen(
    cohorts: list[WholeCohort], tmp_path: Path
) -> None:
    own = cohorts[0]
    sites, strategy = own.data.sites, own.settings.strategy
    for method, members in groups(strategy, sites).items():
        federation = federation_settings(method, members, own.settings, len(sites), tmp_path)
        train_method(members, federation, own.settings.runtime)
    found = judge_widely(own, cohorts, tmp_path)
    alone = {f"local/{site.name}" for site in sites}
    assert set(found) == {"oracle", "pooled", "radiomics", strategy, "local", *alone}
    # The true risk orders all patients: at three sites of two cohorts, and at one of three.
    for part in (UNSEEN, OUTSIDE):
        assert found["oracle"][part]["rfs_c_index"]["value"] == 1.0
        assert found["oracle"][part]["mvi_auc"]["value"] == 1.0
        values = [found[strategy][part][f"{metric}_rows"]["value"] for metric in METRICS]
        assert all(value is not None and 0 <= value <= 1 for value in values)
    assert found["pooled"][UNSEEN] != found["pooled"][OUTSIDE]
