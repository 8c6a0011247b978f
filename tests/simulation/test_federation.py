"""A small federation through its public door: repeatable, resumable, robust."""

import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from client.batches import collate
from client.site import Site
from server.checkpoint import Checkpoint
from server.federation import initial_weights
from server.optimiser import FedAdam, FedAvg, FedAvgM, FedYogi, ServerOptimiser
from server.question import FederationFailedError
from server.selection import selection_score
from shared.judgement import LossSum
from shared.losses.multitask import LossSettings
from shared.measurements import MEASUREMENTS
from shared.plan import new_model
from shared.tasks import TASKS, Labels, Survival, Task
from tests.simulation.small_sites import PLAN, assert_equal, labelled_sites, run


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> list[Site]:
    """Two sites of six patients with labels drawn from a seed."""
    return labelled_sites(tmp_path_factory.mktemp("federation"), {"a": 6, "b": 6})


def test_the_same_run_gives_the_same_bytes_whatever_the_order_of_sites(
    sites: list[Site], tmp_path: Path
) -> None:
    first = run(sites, tmp_path / "first")
    second = run(sites[::-1], tmp_path / "second")
    assert_equal(first.weights, second.weights)
    assert [r.get("metrics") for r in first.history] == [r.get("metrics") for r in second.history]


def test_training_changes_every_part_of_the_network(sites: list[Site], tmp_path: Path) -> None:
    before, after = initial_weights(PLAN), run(sites, tmp_path).weights
    assert [key for key in before if np.array_equal(before[key], after[key])] == []


def test_what_the_trunk_sees_tells_patients_apart(sites: list[Site], tmp_path: Path) -> None:
    """Else the heads read a constant, and the network is its measurements alone."""
    checkpoints: list[Checkpoint] = []
    run(sites, tmp_path, checkpoints.append)
    model = new_model(PLAN)
    first = checkpoints[0].weights
    model.load_state_dict({key: torch.from_numpy(value) for key, value in first.items()})
    with torch.no_grad():
        features = model.eval().features(collate([case for site in sites for case in site.cases]))
    seen = features[:, -PLAN.model.embedding :] / PLAN.model.embedding_scale
    assert (seen.std(dim=0) > 0.1).all()


@pytest.mark.parametrize(
    ("killed_after", "optimiser"),
    [(1, FedAvg()), (2, FedAvg()), (3, FedAvg()), (2, FedAvgM()), (2, FedAdam()), (2, FedYogi())],
)
def test_a_killed_run_goes_on_to_the_same_bytes(
    sites: list[Site], tmp_path: Path, killed_after: int, optimiser: ServerOptimiser
) -> None:
    def kill(checkpoint: Checkpoint) -> None:
        if checkpoint.round == killed_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(sites, tmp_path / "killed", kill, optimiser=optimiser)
    rounds: list[int] = []
    resumed = run(
        sites,
        tmp_path / "killed",
        lambda checkpoint: rounds.append(checkpoint.round),
        optimiser=optimiser,
    )
    assert rounds[0] == min(killed_after + 1, PLAN.rounds)
    whole = run(sites, tmp_path / "whole", optimiser=optimiser)
    assert_equal(resumed.weights, whole.weights)
    assert_equal(resumed.memory, whole.memory)
    assert resumed.best_round == whole.best_round
    assert len(resumed.history) == len(whole.history) == PLAN.rounds + 1


def test_a_round_is_scored_by_the_loss_that_is_trained() -> None:
    plan = replace(PLAN, loss=LossSettings(mvi_weight=2.0, rfs_weight=0.5))
    losses: dict[Task, LossSum] = {"mvi": LossSum(2.0, 4), "rfs": LossSum(3.0, 3), "os": LossSum()}
    assert selection_score(losses, plan) == -1.5
    assert selection_score(dict.fromkeys(TASKS, LossSum()), plan) is None


def test_the_best_round_is_the_one_that_internal_validation_likes_best(
    sites: list[Site], tmp_path: Path
) -> None:
    checkpoint = run(sites, tmp_path)
    scores = [r["score"] if r["score"] is not None else -math.inf for r in checkpoint.history]
    assert checkpoint.best_round == int(np.argmax(scores))


def test_a_site_without_a_tasks_labels_is_no_error(sites: list[Site], tmp_path: Path) -> None:
    blind = replace(
        sites[1],
        cases=tuple(
            replace(case, labels=replace(case.labels, mvi=None)) for case in sites[1].cases
        ),
    )
    checkpoint = run([sites[0], blind], tmp_path)
    assert checkpoint.history[-1]["refused"] == {}
    assert checkpoint.history[-1]["sites"]["b"]["labelled"]["mvi"] == 0


def test_a_site_without_events_or_labels_trains_on(sites: list[Site], tmp_path: Path) -> None:
    silent = replace(
        sites[1],
        cases=tuple(
            replace(case, labels=Labels(mvi=None, rfs=None, os=Survival(9.0, False)))
            for case in sites[1].cases
        ),
    )
    checkpoint = run([sites[0], silent], tmp_path)
    assert all(np.isfinite(value).all() for value in checkpoint.weights.values())


def test_one_bad_site_does_not_stop_the_federation(
    sites: list[Site], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lost = replace(
        sites[1],
        cases=tuple(
            replace(case, roi_path=Path("/nowhere") / case.roi_path.name) for case in sites[1].cases
        ),
    )
    with caplog.at_level(logging.CRITICAL, logger="hepafed.client"):
        checkpoint = run([sites[0], lost], tmp_path / "with")
    assert checkpoint.history[-1]["refused"] == {"b": "DATA_UNREADABLE"}
    assert list(checkpoint.history[-1]["sites"]) == ["a"]
    assert_equal(checkpoint.weights, run([sites[0]], tmp_path / "without").weights)


def test_a_site_that_prepared_otherwise_is_refused_by_name(
    sites: list[Site], tmp_path: Path
) -> None:
    other = replace(sites[1], preprocessing="another")
    checkpoint = run([sites[0], other], tmp_path)
    assert checkpoint.history[-1]["refused"] == {"b": "OTHER_PREPROCESSING"}


def test_too_few_sites_end_the_run_by_name(sites: list[Site], tmp_path: Path) -> None:
    other = replace(sites[1], preprocessing="another")
    with pytest.raises(FederationFailedError, match="1 of at least 2 sites"):
        run([sites[0], other], tmp_path, minimum_sites=2)


def test_small_counts_are_not_shared(sites: list[Site], tmp_path: Path) -> None:
    shy = [replace(site, minimum_count=1000) for site in sites]
    checkpoint = run(shy, tmp_path)
    assert all(value is None for value in checkpoint.history[-1]["metrics"].values())
    assert checkpoint.best_round is None


def test_the_record_says_of_what_a_site_told_no_sum(sites: list[Site], tmp_path: Path) -> None:
    """Of fewer than seven training patients nothing is told where seven are wanted."""
    careful = replace(sites[0], minimum_count=7)
    untold = run([careful, sites[1]], tmp_path).history[0]["untold"]
    assert set(MEASUREMENTS) == set(untold["a"])
    assert "log_diameter_mm" not in untold["b"]


def test_the_cox_loss_trains_too(sites: list[Site], tmp_path: Path) -> None:
    plan = replace(PLAN, loss=replace(PLAN.loss, survival="cox"))
    checkpoint = run(sites, tmp_path, plan=plan)
    assert all(np.isfinite(value).all() for value in checkpoint.weights.values())
