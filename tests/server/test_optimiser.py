"""Server optimisers against hand derivations and against Flower's own classes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import strategy as flower

from server.federation import FederationSettings
from server.optimiser import FedAdam, FedAvg, FedAvgM, FedYogi, Memory, ServerOptimiser, apply
from server.terms import Terms
from shared.config import ConfigurationError, build, from_json, to_json
from shared.plan import Plan
from shared.weights import Weights, from_record, to_record
from simulation.grid import InProcessGrid


def one(value: float) -> Weights:
    return {"w": np.array([value], np.float32)}


def test_fedavg_takes_the_average_and_remembers_nothing() -> None:
    assert FedAvg().step(one(1.0), one(3.0), {}) == (one(3.0), {})


def test_momentum_goes_on_where_the_sites_have_stopped() -> None:
    """d1 = 2: v = 2, x = 0 + 0.5 * 2 = 1; d2 = 0: v = 0.5 * 2 = 1, x = 1 + 0.5 * 1 = 1.5."""
    optimiser = FedAvgM(learning_rate=0.5, momentum=0.5)
    first, memory = optimiser.step(one(0.0), one(2.0), {})
    second, memory = optimiser.step(first, first, memory)
    assert (first["w"][0], second["w"][0], memory["velocity/w"][0]) == (1.0, 1.5, 1.0)


def test_adam_by_hand() -> None:
    """Steps by d = 2, then d = 0.5, with b1 = 0.5, b2 = 0.75, tau = 1, r = 1.

    m = 0.5 * 2 = 1; v = 0.25 * 4 = 1; c = sqrt(1 - 0.75^2) / (1 - 0.5^2) = sqrt(0.4375) / 0.75;
    x = c * 1 / (1 + 1). Then m = 0.5 + 0.5 * 0.5 = 0.75; v = 0.75 + 0.25 * 0.25 = 0.8125;
    c = sqrt(1 - 0.75^3) / (1 - 0.5^3); x goes c * 0.75 / (sqrt(0.8125) + 1) on.
    """
    optimiser = FedAdam(learning_rate=1.0, beta_1=0.5, beta_2=0.75, tau=1.0)
    moved, memory = optimiser.step(one(0.0), one(2.0), {})
    np.testing.assert_allclose(moved["w"], np.sqrt(0.4375) / 0.75 / 2, rtol=1e-6)
    assert (memory["first/w"][0], memory["second/w"][0], memory["steps"][0]) == (1.0, 1.0, 1.0)
    further = {"w": moved["w"] + np.float32(0.5)}
    second, memory = optimiser.step(moved, further, memory)
    step = np.sqrt(1 - 0.75**3) / (1 - 0.5**3) * 0.75 / (np.sqrt(0.8125) + 1)
    np.testing.assert_allclose(second["w"], moved["w"] + step, rtol=1e-6)
    np.testing.assert_allclose(memory["first/w"], 0.75, rtol=1e-6)
    np.testing.assert_allclose(memory["second/w"], 0.8125, rtol=1e-6)


def test_yogi_by_hand() -> None:
    """Two steps by d = 2 with b1 = 0.5, b2 = 0.75, tau = 1, r = 1.

    First m = 1, v = 0 + 0.25 * 4 = 1, x = 1 / 2. Then m = 1.5 and
    v = 1 - 0.25 * 4 * sign(1 - 4) = 2: x = 0.5 + 1.5 / (sqrt 2 + 1).
    """
    optimiser = FedYogi(learning_rate=1.0, beta_1=0.5, beta_2=0.75, tau=1.0)
    first, memory = optimiser.step(one(0.0), one(2.0), {})
    second, _ = optimiser.step(first, one(2.5), memory)
    np.testing.assert_allclose(first["w"], 0.5)
    np.testing.assert_allclose(second["w"], 0.5 + 1.5 / (np.sqrt(2) + 1), rtol=1e-6)


def flowers(strategy: Any, rounds: list[Weights], start: Weights) -> list[Weights]:
    """Return the models that a strategy of Flower's makes of the averages of each round."""
    grid = InProcessGrid(ClientApp(), ["a", "b"])
    current, models = to_record(start), []
    for number, averaged in enumerate(rounds, start=1):
        strategy.configure_train(number, current, ConfigRecord(), grid)
        replies = []
        for node_id in grid.get_node_ids():
            asked = Message(RecordDict(), node_id, "train")
            content = RecordDict({"arrays": to_record(averaged)})
            content["metrics"] = MetricRecord({"num-examples": 1})
            replies.append(Message(content, reply_to=asked))
        current, _ = strategy.aggregate_train(number, replies)
        models.append(from_record(current))
    return models


PAIRS: list[tuple[Any, Any]] = [
    (
        FedAvgM(learning_rate=0.7, momentum=0.8),
        lambda: flower.FedAvgM(server_learning_rate=0.7, server_momentum=0.8),
    ),
    (
        FedAdam(learning_rate=0.03, beta_1=0.9, beta_2=0.99, tau=1e-3),
        lambda: flower.FedAdam(eta=0.03, beta_1=0.9, beta_2=0.99, tau=1e-3),
    ),
    (
        FedYogi(learning_rate=0.03, beta_1=0.9, beta_2=0.99, tau=1e-3),
        lambda: flower.FedYogi(eta=0.03, beta_1=0.9, beta_2=0.99, tau=1e-3),
    ),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_flowers_own_classes_agree(ours: Any, theirs: Any) -> None:
    generator = np.random.default_rng(0)

    def draw() -> Weights:
        return {key: generator.standard_normal((3, 4)).astype(np.float32) for key in ("a", "b")}

    start, rounds = draw(), [draw() for _ in range(6)]
    expected = flowers(theirs(), rounds, start)
    current, memory = start, dict[str, Any]()
    for averaged, model in zip(rounds, expected, strict=True):
        current, memory = ours.step(current, averaged, memory)
        for key in start:
            np.testing.assert_allclose(current[key], model[key], rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("optimiser", [FedAvgM(), FedAdam(), FedYogi()])
def test_buffers_are_what_the_average_says(optimiser: ServerOptimiser) -> None:
    current = {**one(0.0), "standardise.mean": np.array([5.0], np.float32)}
    averaged = {**one(1.0), "standardise.mean": np.array([7.0], np.float32)}
    memory: Memory = {}
    for _ in range(3):
        model, memory = apply(optimiser, current, averaged, memory, frozenset({"w"}))
    assert model["standardise.mean"] == averaged["standardise.mean"]
    assert model["w"] != averaged["w"]
    assert not any("standardise" in key for key in memory)


@pytest.mark.parametrize("optimiser", [FedAvg(), FedAvgM(momentum=0.5), FedAdam(), FedYogi(tau=1)])
def test_terms_travel_as_json_with_their_optimiser(optimiser: ServerOptimiser) -> None:
    terms = Terms(optimiser=optimiser)
    assert from_json(Terms, to_json(terms), where="terms") == terms
    assert (
        FederationSettings(Plan(), Path("x"), terms).identity
        != FederationSettings(Plan(), Path("x"), Terms(optimiser=FedAdam(tau=2))).identity
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "fedmagic"}, "fedmagic"),
        ({"name": "fedavgm", "momentun": 0.1}, "terms.optimiser.momentun"),
        ({"name": "fedavgm", "momentum": 1.0}, "momentum"),
        ({"name": "fedadam", "tau": 0}, "tau"),
        ({"name": "fedyogi", "beta_2": -1}, "beta_2"),
    ],
)
def test_a_wrong_optimiser_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build(Terms, {"optimiser": values}, where="terms")
