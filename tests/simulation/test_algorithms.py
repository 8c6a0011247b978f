"""Federated algorithms through their public door, against what can be derived of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from client.site import Site
from client.split import split_cases
from shared.algorithm import AlgorithmSettings
from shared.plan import Plan
from shared.weights import Weights
from simulation.methods import pooled_site
from tests.simulation.small_sites import GRADIENT_DESCENT, PLAN, assert_equal, labelled_sites, run

ONE_ROUND = replace(GRADIENT_DESCENT, rounds=1)
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> list[Site]:
    """Three unequal sites, everyone's labels known."""
    root = tmp_path_factory.mktemp("algorithms")
    return labelled_sites(root, {"a": 9, "b": 5, "c": 4})


def local_epochs(plan: Plan, epochs: int, **algorithm: float) -> Plan:
    optimisation = replace(plan.optimisation, local_epochs=epochs)
    return replace(plan, optimisation=optimisation, algorithm=AlgorithmSettings(**algorithm))


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
    return settings.head_learning_rate if key.startswith("heads.") else settings.learning_rate


def test_no_proximal_term_is_fedavg_to_the_byte(sites: list[Site], tmp_path: Path) -> None:
    plain = run(sites, tmp_path / "plain", plan=local_epochs(PLAN, 2))
    without = run(sites, tmp_path / "without", plan=local_epochs(PLAN, 2, proximal_mu=0.0))
    assert_equal(plain.weights, without.weights)
    held = run(sites, tmp_path / "held", plan=local_epochs(PLAN, 2, proximal_mu=1.0))
    assert farthest(held.weights, plain.weights) > TOLERANCE
