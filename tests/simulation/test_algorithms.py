"""Federated algorithms through their public door, against what can be derived of them."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from client.memory import memory_of
from client.policy import Policy
from client.site import Site
from client.split import split_cases
from server.checkpoint import Checkpoint
from server.control import variate
from server.optimiser import FedAdam, FedAvg, ServerOptimiser
from shared.algorithm import AlgorithmSettings
from shared.plan import Plan, new_model
from shared.protocol import Instruction, patients_behind
from shared.weights import Weights, parameters_of
from simulation.federate import remembering
from simulation.methods import pooled_site
from tests.simulation.small_sites import GRADIENT_DESCENT, PLAN, assert_equal, labelled_sites, run

SCAFFOLD = replace(
    PLAN,
    optimisation=replace(GRADIENT_DESCENT.optimisation, batch_size=2, max_grad_norm=5.0),
    algorithm=AlgorithmSettings(control_variates=True),
)
ONE_ROUND = replace(GRADIENT_DESCENT, rounds=1)
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> list[Site]:
    """Three unequal sites, everyone's labels known."""
    root = tmp_path_factory.mktemp("algorithms")
    return labelled_sites(root, {"a": 9, "b": 5, "c": 4})


def local_epochs(plan: Plan, epochs: int, proximal_mu: float = 0.0) -> Plan:
    optimisation = replace(plan.optimisation, local_steps=0, local_epochs=epochs)
    return replace(plan, optimisation=optimisation, algorithm=AlgorithmSettings(proximal_mu))


def farthest(first: Weights, second: Weights) -> float:
    """Return the largest difference between two models in any number."""
    assert first.keys() == second.keys()
    return max(float(np.abs(first[key] - second[key]).max()) for key in first)


def test_one_full_batch_step_a_site_is_the_pooled_gradient_step(
    sites: list[Site], tmp_path: Path
) -> None:
    """sum_i n_i / n (w - r grad L_i) = w - r grad L, for losses that are means over patients."""
    plan = ONE_ROUND
    trained = [len(split_cases(s.cases, plan.seed, plan.training_fraction).training) for s in sites]
    assert len(set(trained)) == 3
    start: list[Weights] = []
    pooled = run(
        [pooled_site(sites)], tmp_path / "pooled", lambda c: start.append(c.weights), plan=plan
    )
    federated = run(sites, tmp_path / "federated", plan=plan)
    assert farthest(federated.weights, pooled.weights) < TOLERANCE
    assert farthest(pooled.weights, start[0]) > 1000 * TOLERANCE


def test_heads_take_plain_steps_whatever_the_trunk_does(sites: list[Site], tmp_path: Path) -> None:
    optimisation = replace(ONE_ROUND.optimisation, optimiser="adamw")
    plan = replace(ONE_ROUND, optimisation=optimisation)
    pooled = run([pooled_site(sites)], tmp_path / "pooled", plan=plan).weights
    federated = run(sites, tmp_path / "federated", plan=plan).weights
    heads = {key for key in pooled if key.startswith("heads.")}
    assert farthest({k: federated[k] for k in heads}, {k: pooled[k] for k in heads}) < TOLERANCE
    assert all(np.abs(federated[k]).max() > 1000 * TOLERANCE for k in heads)


def test_steps_do_not_depend_on_how_many_patients_a_site_has(
    sites: list[Site], tmp_path: Path
) -> None:
    """A batch that holds every patient twice has the gradient of one that holds each once."""
    patients = len(split_cases(sites[0].cases, PLAN.seed, PLAN.training_fraction).training)

    def steps(batches: int, local_steps: int) -> Plan:
        changed = replace(
            ONE_ROUND.optimisation,
            batch_size=patients * batches,
            local_steps=local_steps,
            local_epochs=2,
        )
        return replace(ONE_ROUND, optimisation=changed)

    epochs = run(sites[:1], tmp_path / "epochs", plan=steps(1, local_steps=0))
    for batches in (1, 2):
        taken = run(sites[:1], tmp_path / f"{batches}", plan=steps(batches, local_steps=2))
        assert farthest(taken.weights, epochs.weights) < TOLERANCE


def test_where_labels_are_missing_each_head_still_takes_the_pooled_step(
    sites: list[Site], tmp_path: Path
) -> None:
    """A head is averaged by its labelled patients; what tasks share, by all patients, is not."""
    blind = [
        replace(case, labels=replace(case.labels, mvi=None)) if index % 2 else case
        for index, case in enumerate(sites[0].cases)
    ]
    some = [replace(sites[0], cases=tuple(blind)), *sites[1:]]
    pooled = run([pooled_site(some)], tmp_path / "pooled", plan=ONE_ROUND).weights
    federated = run(some, tmp_path / "federated", plan=ONE_ROUND).weights
    heads = {key for key in pooled if key.startswith(("heads.mvi.", "heads.os.", "heads.rfs."))}
    assert farthest({k: federated[k] for k in heads}, {k: pooled[k] for k in heads}) < TOLERANCE
    assert farthest(federated, pooled) > TOLERANCE


def test_the_proximal_term_pulls_a_second_step_back(sites: list[Site], tmp_path: Path) -> None:
    """The first step from w0 feels nothing; the second goes r mu (w1 - w0) less far.

    With w1 after one step, w2 and v2 after two without and with the term, of gradient steps of
    length r: v2 = w2 - r mu (w1 - w0).
    """
    mu = 2.0
    start: list[Weights] = []
    one = run(
        sites[:1],
        tmp_path / "one",
        lambda c: start.append(c.weights),
        plan=local_epochs(ONE_ROUND, 1, proximal_mu=mu),
    ).weights
    two = run(sites[:1], tmp_path / "two", plan=local_epochs(ONE_ROUND, 2)).weights
    held = run(
        sites[:1], tmp_path / "held", plan=local_epochs(ONE_ROUND, 2, proximal_mu=mu)
    ).weights
    rates = {key: plan_rate(key) for key in one if not key.startswith("standardise.")}
    expected = {k: two[k] - rates[k] * mu * (one[k] - start[0][k]) for k in rates}
    assert farthest({k: held[k] for k in rates}, expected) < TOLERANCE
    assert farthest({k: held[k] for k in rates}, {k: two[k] for k in rates}) > 100 * TOLERANCE


def plan_rate(key: str) -> float:
    settings = ONE_ROUND.optimisation
    if not key.startswith("heads."):
        return settings.learning_rate
    weight = key.endswith("weight")
    return settings.head_learning_rate if weight else settings.intercept_learning_rate


def test_no_proximal_term_is_fedavg_to_the_byte(sites: list[Site], tmp_path: Path) -> None:
    plain = run(sites, tmp_path / "plain", plan=local_epochs(PLAN, 2))
    without = run(sites, tmp_path / "without", plan=local_epochs(PLAN, 2, proximal_mu=0.0))
    assert_equal(plain.weights, without.weights)
    held = run(sites, tmp_path / "held", plan=local_epochs(PLAN, 2, proximal_mu=1.0))
    assert farthest(held.weights, plain.weights) > TOLERANCE


def test_with_one_full_batch_step_a_site_corrections_cancel(
    sites: list[Site], tmp_path: Path
) -> None:
    """Averaged, c - c_i is nothing: SCAFFOLD is FedAvg, and c is the pooled gradient.

    c = (x - y) / r, for the average takes one step of length r along it.
    """
    plan = replace(GRADIENT_DESCENT, algorithm=AlgorithmSettings(control_variates=True))
    models: list[Weights] = []
    plain = run(sites, tmp_path / "plain", lambda c: models.append(c.weights), GRADIENT_DESCENT)
    scaffold = run(sites, tmp_path / "scaffold", plan=plan)
    assert farthest(scaffold.weights, plain.weights) < TOLERANCE
    last = scaffold.history[-1]["sites"].values()
    for key, total in scaffold.memory.items():
        name = key.removeprefix("control/")
        gradient = (models[2][name] - models[3][name]) / plan_rate(name)
        # Everybody has every label: all entries are weighted by patients.
        control = total / sum(site["patients"] for site in last)
        np.testing.assert_allclose(control, gradient, atol=2e-5)


def test_with_several_steps_corrections_matter(sites: list[Site], tmp_path: Path) -> None:
    plain = run(sites, tmp_path / "plain", plan=replace(SCAFFOLD, algorithm=AlgorithmSettings()))
    scaffold = run(sites, tmp_path / "scaffold", plan=SCAFFOLD)
    assert farthest(scaffold.weights, plain.weights) > TOLERANCE


def test_scaffold_does_not_depend_on_who_comes_first(sites: list[Site], tmp_path: Path) -> None:
    first = run(sites, tmp_path / "first", plan=SCAFFOLD)
    second = run(sites[::-1], tmp_path / "second", plan=SCAFFOLD)
    assert_equal(first.weights, second.weights)
    assert_equal(first.memory, second.memory)


@pytest.mark.parametrize("lost_checkpoints", [0, 1])
@pytest.mark.parametrize("optimiser", [FedAvg(), FedAdam()])
def test_a_killed_scaffold_goes_on_to_the_same_bytes(
    sites: list[Site], tmp_path: Path, lost_checkpoints: int, optimiser: ServerOptimiser
) -> None:
    """Also where sites remember a round that the server has lost."""

    def kill(checkpoint: Checkpoint) -> None:
        if checkpoint.round == 2:
            raise KeyboardInterrupt

    killed = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        run(sites, killed, kill, plan=SCAFFOLD, optimiser=optimiser)
    for path in sorted(killed.glob("checkpoint-*.json"))[::-1][:lost_checkpoints]:
        path.unlink()
    rounds: list[int] = []
    resumed = run(
        sites, killed, lambda c: rounds.append(c.round), plan=SCAFFOLD, optimiser=optimiser
    )
    assert rounds[0] == 3 - lost_checkpoints
    whole = run(sites, tmp_path / "whole", plan=SCAFFOLD, optimiser=optimiser)
    assert_equal(resumed.weights, whole.weights)
    assert_equal(resumed.memory, whole.memory)


def test_flowers_own_engine_gives_the_same_bytes(sites: list[Site], tmp_path: Path) -> None:
    """SCAFFOLD asks all that a plain average does, and sites that remember."""
    ours = run(sites, tmp_path / "ours", plan=SCAFFOLD)
    theirs = run(sites, tmp_path / "theirs", plan=SCAFFOLD, runtime="ray")
    assert_equal(ours.weights, theirs.weights)
    assert_equal(ours.memory, theirs.memory)
    assert ours.best_round == theirs.best_round


def test_a_site_that_lost_its_control_variate_stays_out(
    sites: list[Site], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def lose(checkpoint: Checkpoint) -> None:
        if checkpoint.round == 1:
            shutil.rmtree(tmp_path / "sites" / "a")

    with caplog.at_level(logging.CRITICAL, logger="hepafed.client"):
        checkpoint = run(sites, tmp_path, lose, plan=SCAFFOLD)
    assert [r["refused"] for r in checkpoint.history[1:]] == [{}, *[{"a": "MEMORY_LOST"}] * 2]
    assert list(checkpoint.history[-1]["sites"]) == ["b", "c"]


def test_another_run_of_the_same_plan_begins_anew(sites: list[Site], tmp_path: Path) -> None:
    first = run(sites, tmp_path, plan=SCAFFOLD)
    for path in tmp_path.glob("*.*"):
        path.unlink()
    second = run(sites, tmp_path, plan=SCAFFOLD)
    assert_equal(first.weights, second.weights)


def test_variates_add_up_where_a_task_has_labels_in_some_rounds_only(
    sites: list[Site], tmp_path: Path
) -> None:
    """The server's sum is that of n_i c_i over what sites keep, entry by entry.

    Of six training patients at a, three have an MVI label, and a round draws three of them: with
    a floor of two labels the head moves in some rounds and not in others.
    """
    training = split_cases(sites[0].cases, PLAN.seed, PLAN.training_fraction).training
    known = {case.patient_id for case in training[:3]}
    cases = tuple(
        case if case.patient_id in known else replace(case, labels=replace(case.labels, mvi=None))
        for case in sites[0].cases
    )
    policy = Policy(min_training_patients=1, min_labelled_patients=2, min_batch_size=1)
    own = [replace(sites[0], cases=cases, policy=policy), *sites[1:]]
    optimisation = replace(SCAFFOLD.optimisation, local_steps=1, batch_size=3)
    plan = replace(SCAFFOLD, rounds=7, optimisation=optimisation)
    checkpoint = run(own, tmp_path, plan=plan)
    rounds = checkpoint.history[1:]
    told = [record["sites"]["a"]["labelled"]["mvi"] for record in rounds]
    assert set(told) == {0, 3}
    assert told[-1] == 0
    instruction = Instruction(plan, plan.rounds, federation=checkpoint.federation)
    found = variate(checkpoint.memory, rounds, parameters_of(new_model(plan)))
    for key, total in checkpoint.memory.items():
        name, expected, patients = key.removeprefix("control/"), np.zeros(total.shape), 0
        for site in remembering(own, tmp_path):
            kept = memory_of(site, instruction).recall("control", plan.rounds)
            assert kept is not None
            said = [record["sites"][site.name] for record in rounds]
            behind = max(patients_behind(name, s["patients"], s["labelled"]) for s in said)
            expected += kept[name] * behind
            patients += behind
        np.testing.assert_allclose(total, expected, atol=1e-5)
        np.testing.assert_allclose(found[name], expected / patients, atol=1e-6)


@pytest.mark.parametrize("plan", [PLAN, SCAFFOLD], ids=["fedavg", "scaffold"])
def test_who_is_not_drawn_judges_and_keeps_what_it_remembers(
    plan: Plan, sites: list[Site], tmp_path: Path
) -> None:
    found = run(sites, tmp_path / "one", plan=plan, sites_per_round=2)
    rounds = found.history[1:]
    assert [len(record["sites"]) for record in rounds] == [2] * plan.rounds
    assert all(set(record["judged_by"]) == {"a", "b", "c"} for record in rounds)
    assert not any(record["refused"] for record in rounds)
    again = run(sites[::-1], tmp_path / "two", plan=plan, sites_per_round=2)
    assert_equal(found.weights, again.weights)
