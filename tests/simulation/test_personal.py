"""Local heads and local norms through the federation's public door."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from client.answers import build_client_app
from client.evaluation import judge
from client.memory import memory_of
from client.personal import keep_own_part, personal_keys, take_own_part
from client.site import Site
from client.split import split_cases
from client.training import train_locally
from server.checkpoint import Checkpoint
from server.evidence import ModelEvidence, ask_for_descriptions, ask_for_evidence
from server.federation import best_weights, counted_with_best
from server.judges import Judges
from shared.algorithm import AlgorithmSettings
from shared.judgement import add_up
from shared.metrics.predictions import evaluate
from shared.plan import OptimisationSettings, Plan, new_model
from shared.protocol import Instruction, patients_behind
from shared.weights import Weights, weights_of
from simulation.evaluation import evaluate_federation, load_model
from simulation.federate import remembering
from simulation.grid import InProcessGrid
from simulation.methods import FederationData
from tests.simulation.small_sites import GRADIENT_DESCENT, PLAN, assert_equal, labelled_sites, run

CPU = torch.device("cpu")
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> list[Site]:
    """Three unequal sites, everyone's labels known."""
    return labelled_sites(tmp_path_factory.mktemp("personal"), {"a": 9, "b": 5, "c": 4})


def personal(part: Literal["heads", "norms"], plan: Plan = PLAN) -> Plan:
    return replace(plan, algorithm=AlgorithmSettings(personal=part))


def own_part(site: Site, checkpoint: Checkpoint, plan: Plan) -> Weights:
    """Return what a site kept in the last round."""
    instruction = Instruction(plan, checkpoint.round, federation=checkpoint.federation)
    found = memory_of(site, instruction).recall("personal", checkpoint.round)
    assert found is not None
    return found


@pytest.mark.parametrize("part", ["heads", "norms"])
def test_a_site_keeps_its_own_and_the_coordinator_the_average(
    sites: list[Site], tmp_path: Path, part: Literal["heads", "norms"]
) -> None:
    plan = personal(part)
    checkpoint = run(sites, tmp_path, plan=plan)
    own = {s.name: own_part(s, checkpoint, plan) for s in remembering(sites, tmp_path)}
    told = checkpoint.history[-1]["sites"]
    for key in personal_keys(new_model(plan), part):
        counts = {n: patients_behind(key, s["patients"], s["labelled"]) for n, s in told.items()}
        average = sum(own[name][key] * n for name, n in counts.items()) / sum(counts.values())
        np.testing.assert_allclose(checkpoint.weights[key], average, atol=1e-6)
    assert own["a"].keys() == personal_keys(new_model(plan), part)
    differ = [key for key, value in own["a"].items() if not np.array_equal(value, own["b"][key])]
    assert differ


def test_local_heads_go_on_where_they_were(sites: list[Site], tmp_path: Path) -> None:
    """Without a trunk two rounds of one full-batch step are two steps of each site alone.

    The average, which every site would else begin round 2 from, is another model.
    """
    plan = replace(GRADIENT_DESCENT, rounds=2)
    plan = personal("heads", replace(plan, model=replace(plan.model, trunk="none")))
    start: list[Weights] = []
    checkpoint = run(sites, tmp_path, lambda c: start.append(c.weights), plan=plan)
    alone = load_model(plan, start[0])
    train_locally(
        alone,
        split_cases(sites[0].cases, plan.seed, plan.training_fraction).training,
        replace(plan, optimisation=replace(plan.optimisation, local_epochs=2)),
        site="a",
        round_number=1,
        device=CPU,
    )
    own = own_part(remembering(sites, tmp_path)[0], checkpoint, plan)
    expected = weights_of(alone)
    assert max(np.abs(own[key] - expected[key]).max() for key in own) < TOLERANCE
    assert max(np.abs(own[key] - checkpoint.weights[key]).max() for key in own) > 100 * TOLERANCE


def test_a_model_is_judged_as_its_site_uses_it(sites: list[Site], tmp_path: Path) -> None:
    plan = personal("heads")
    checkpoint = run(sites, tmp_path, plan=plan)
    last = Instruction(plan, 4, {site.name: 3 for site in sites}, checkpoint.federation)

    def judged(instruction: Instruction) -> dict[str, float | None]:
        found = []
        for site in remembering(sites, tmp_path):
            model = load_model(plan, checkpoint.weights)
            take_own_part(model, site, instruction)
            internal = split_cases(site.cases, plan.seed, plan.training_fraction).internal
            found.append(judge(model, internal, plan, CPU, minimum_count=1))
        return add_up(found).metrics()

    assert checkpoint.history[-1]["metrics"] == judged(last)
    assert judged(last) != judged(replace(last, counted={}))


def test_who_has_not_trained_gets_the_average(sites: list[Site], tmp_path: Path) -> None:
    plan = personal("heads")
    checkpoint = run(sites[:2], tmp_path, plan=plan)
    newcomer = remembering(sites, tmp_path)[2]
    model = load_model(plan, checkpoint.weights)
    counted = counted_with_best(checkpoint)
    take_own_part(model, newcomer, Instruction(plan, 4, counted, checkpoint.federation))
    assert_equal(weights_of(model), checkpoint.weights)


def test_a_head_that_no_label_of_a_site_has_moved_is_everybodys(
    sites: list[Site], tmp_path: Path
) -> None:
    """Its own would be the untrained one, at a site that cannot judge it."""
    without = tuple(replace(c, labels=replace(c.labels, mvi=None)) for c in sites[0].cases)
    plan = personal("heads")
    checkpoint = run([replace(sites[0], cases=without), *sites[1:]], tmp_path, plan=plan)
    site = remembering(sites, tmp_path)[0]
    own = own_part(site, checkpoint, plan)
    assert {key.split(".")[1] for key in own} == {"shared_risk", "rfs", "os"}
    model = load_model(plan, checkpoint.weights)
    counted = {"a": plan.rounds}
    take_own_part(model, site, Instruction(plan, 4, counted, checkpoint.federation))
    for key, value in weights_of(model).items():
        theirs = own.get(key, checkpoint.weights[key])
        np.testing.assert_array_equal(value, theirs)


def test_a_round_without_a_tasks_label_leaves_the_sites_own_head(
    sites: list[Site], tmp_path: Path
) -> None:
    site, plan = replace(sites[0], state_dir=tmp_path), personal("heads")
    model = new_model(plan)
    first = weights_of(model)
    keep_own_part(model, first, site, Instruction(plan, 1))
    second = {key: value + 1 for key, value in first.items()}
    mvi = {key for key in first if key.startswith("heads.mvi.")}
    keep_own_part(model, second, site, Instruction(plan, 2, {"a": 1}), unmoved=mvi)
    found = memory_of(site, Instruction(plan, 2)).recall("personal", 2)
    assert found is not None
    for key, value in found.items():
        np.testing.assert_array_equal(value, first[key] if key in mvi else second[key])


@pytest.mark.parametrize("lost_checkpoints", [0, 1])
def test_a_killed_run_goes_on_to_the_same_bytes(
    sites: list[Site], tmp_path: Path, lost_checkpoints: int
) -> None:
    def kill(checkpoint: Checkpoint) -> None:
        if checkpoint.round == 2:
            raise KeyboardInterrupt

    plan, killed = personal("heads"), tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        run(sites, killed, kill, plan=plan)
    for path in sorted(killed.glob("checkpoint-*.json"))[::-1][:lost_checkpoints]:
        path.unlink()
    resumed, whole = run(sites, killed, plan=plan), run(sites, tmp_path / "whole", plan=plan)
    assert_equal(resumed.weights, whole.weights)
    for ours, theirs in zip(
        remembering(sites, killed), remembering(sites, tmp_path / "whole"), strict=True
    ):
        assert_equal(own_part(ours, resumed, plan), own_part(theirs, whole, plan))


def test_a_site_that_lost_its_own_goes_on_from_the_average(
    sites: list[Site], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def lose(checkpoint: Checkpoint) -> None:
        if checkpoint.round == 1:
            shutil.rmtree(tmp_path / "sites" / "a")

    with caplog.at_level(logging.WARNING, logger="hepafed.client"):
        checkpoint = run(sites, tmp_path, lose, plan=personal("heads"))
    assert "the average takes its place" in caplog.text
    assert [record["refused"] for record in checkpoint.history[1:]] == [{}] * 3


def test_evidence_is_of_each_site_with_its_own_part(sites: list[Site], tmp_path: Path) -> None:
    """The sums that sites send say what rows predicted with their own parts say."""
    plan = personal("heads", replace(PLAN, optimisation=OptimisationSettings(local_epochs=4)))
    # Labels were drawn: no round is better than the start, which nobody has a part of.
    checkpoint = replace(run(sites, tmp_path, plan=plan), best_weights=None)
    own = remembering(sites, tmp_path)
    data = FederationData(tuple(own), None, plan.seed, plan.training_fraction)
    grid = InProcessGrid(
        build_client_app(lambda context: own[int(context.node_config["partition-id"])]),
        [site.name for site in own],
    )
    judges = Judges(grid)
    descriptions, _ = ask_for_descriptions(judges, plan)

    def evidence(counted: dict[str, int]) -> ModelEvidence:
        weights = best_weights(checkpoint)
        return ask_for_evidence(
            judges,
            plan,
            weights,
            descriptions,
            resamples=2,
            counted=counted,
            federation=checkpoint.federation,
        )

    theirs = evidence(counted_with_best(checkpoint))
    judged = evaluate_federation(theirs, checkpoint, data, plan, resamples=2, seed=0)
    expected = evaluate(judged.predictions["training"], None, resamples=2)["os_c_index"].value
    assert theirs.metrics()["training"]["os_c_index"].value == pytest.approx(expected)
    assert judged.metrics["training"]["os_c_index_rows"].value == expected
    averaged = evidence({}).metrics()["training"]["os_c_index"].value
    assert averaged != pytest.approx(expected)
