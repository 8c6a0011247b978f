"""SCAFFOLD by hand: both halves together, on a problem small enough for paper."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from flwr.app import Message, MessageType
from torch import nn

from client.control import ControlVariate
from client.steps import PlainSteps, StepGroup
from server.averaging import RunningAverage
from server.control import ControlChange, variate, without
from server.federation import FederationSettings, run_federation
from server.optimiser import Memory
from server.terms import Patience, Terms
from shared.algorithm import AlgorithmSettings
from shared.judgement import Judgement
from shared.plan import OptimisationSettings, new_model
from shared.protocol import Update
from shared.tasks import Task
from shared.weights import Weights, from_record, to_record, weights_of
from tests.server.fake_grid import PLAN, Behaviour, FakeGrid, FakeSite

RATE, STEPS = 0.25, 2


@dataclass
class Site:
    """An institution whose loss is ``slope w^2 / 2 + offset w``: its gradient is a line."""

    name: str
    slope: float
    offset: float
    patients: int
    own: Weights | None = None

    @property
    def c(self) -> float:
        """Its control variate."""
        return float((self.own or {})["weight"][0, 0])

    def answer(self, weights: Weights, control: Weights | None) -> Update:
        """Take the round's steps; without a control variate as in FedAvg."""
        model = nn.Linear(1, 1, bias=False)
        model.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
        corrected = None if control is None else ControlVariate(model, self.own, control)
        plain = PlainSteps(StepGroup(tuple(model.parameters()), RATE))
        for _ in range(STEPS):
            model.zero_grad()
            w = model.weight
            torch.autograd.backward((self.slope * w**2 / 2 + self.offset * w).sum())
            if corrected is not None:
                corrected.correct(plain.groups)
            plain.step()
        change = None if corrected is None else corrected.change()
        self.own = None if corrected is None else corrected.after()
        labelled: dict[Task, int] = {"mvi": 0, "rfs": 0, "os": self.patients}
        judgement = Judgement.empty()
        return Update(
            self.name,
            weights_of(model),
            self.patients,
            labelled,
            0.0,
            0.0,
            judgement,
            change,
        )


@dataclass
class Federation:
    """The server's rounds over such sites."""

    sites: Sequence[Site]
    weights: Weights = field(default_factory=lambda: {"weight": np.zeros((1, 1), np.float32)})
    memory: Memory = field(default_factory=dict)
    history: list[dict[str, object]] = field(default_factory=list)

    @property
    def control(self) -> Weights:
        return variate(self.memory, self.history, self.weights)

    def round(self, *present: Site, scaffold: bool = True) -> None:
        """Let these sites, or all, train from the model."""
        control = self.control if scaffold else None
        average, change = RunningAverage(self.weights), ControlChange(self.control)
        sites: dict[str, object] = {}
        for site in present or self.sites:
            update = site.answer(self.weights, control)
            average.add(update)
            if scaffold:
                change.add(update)
            sites[site.name] = {"patients": update.patients, "labelled": update.labelled}
        self.weights = average.average()
        self.memory = change.added_to(self.memory)
        self.history.append({"round": len(self.history) + 1, "sites": sites})

    @property
    def w(self) -> float:
        return float(self.weights["weight"][0, 0])

    @property
    def c(self) -> float:
        return float(self.control["weight"][0, 0])


def two_sites() -> Federation:
    """Gradients w - 4 at a, one patient, and 2 w + 2 at b, three: in all (7 w + 2) / 4."""
    return Federation([Site("a", 1.0, -4.0, 1), Site("b", 2.0, 2.0, 3)])


def test_two_rounds_by_hand() -> None:
    """Steps of 1/4, two a round, from w = 0; every number is exact in binary.

    Round 1, no correction yet. a: g = -4, then at 1: -3; y = 1.75, c_a = -3.5. b: g = 2, then
    at -0.5: 1; y = -0.75, c_b = 1.5. w = (1.75 - 3 * 0.75) / 4 = -0.125;
    c = (-3.5 + 3 * 1.5) / 4 = 0.25.

    Round 2. a is corrected by 0.25 + 3.5 = 3.75: g = -4.125, then at -0.03125: -4.03125;
    y = 0.0390625, c_a = -4.078125. b by 0.25 - 1.5 = -1.25: g = 1.75, then at -0.25: 1.5;
    y = -0.3125, c_b = 1.625. w = (0.0390625 - 3 * 0.3125) / 4 = -0.224609375;
    c = (-4.078125 + 3 * 1.625) / 4 = 0.19921875.
    """
    federation = two_sites()
    assert federation.c == 0.0
    federation.round()
    assert (federation.w, federation.c) == (-0.125, 0.25)
    federation.round()
    assert (federation.w, federation.c) == (-0.224609375, 0.19921875)


def test_it_finds_the_common_minimum_where_averaging_drifts() -> None:
    """The minimum is -2/7; FedAvg rests where w = (1.3125 w - 0.5) / 4, at -0.5 / 2.6875."""
    federation, averaging = two_sites(), two_sites()
    for _ in range(60):
        federation.round()
        averaging.round(scaffold=False)
    assert federation.w == pytest.approx(-2 / 7, abs=1e-6)
    assert federation.c == pytest.approx(0.0, abs=1e-5)
    assert averaging.w == pytest.approx(-0.5 / 2.6875, abs=1e-6)


def test_an_absent_site_keeps_its_share() -> None:
    """Site b misses round 2: c moves by a's change over all four, and -2/7 is still found."""
    federation = two_sites()
    a = federation.sites[0]
    federation.round()
    before, own = federation.c, a.c
    federation.round(a)
    moved = a.c - own
    assert federation.c == pytest.approx(before + moved / 4)
    for _ in range(60):
        federation.round()
    assert federation.w == pytest.approx(-2 / 7, abs=1e-6)


def test_a_server_optimiser_does_not_see_the_control_variates() -> None:
    federation = two_sites()
    federation.round()
    assert without({**federation.memory, "steps": np.ones(1)}).keys() == {"steps"}


def telling(change: float, spoil: Callable[[Weights], Weights | None] = lambda w: w) -> Behaviour:
    """Answer a training message with a change of the control variate, spoilt or not."""

    def behave(message: Message, answer: Message) -> Sequence[Message]:
        if message.metadata.message_type == MessageType.TRAIN:
            down = from_record(message.content.array_records["control"])
            told = spoil({key: np.full_like(value, change) for key, value in down.items()})
            if told is not None:
                answer.content["control"] = to_record(told)
        return [answer]

    return behave


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda _: None, "MALFORMED_MESSAGE"),
        (lambda told: {**told, "standardise.mean": np.zeros(3, np.float32)}, "WRONG_MODEL"),
        (lambda told: {k: v.astype(np.float64) for k, v in told.items()}, "WRONG_MODEL"),
        (lambda told: {k: v * np.float32(np.nan) for k, v in told.items()}, "NON_FINITE_UPDATE"),
        (lambda told: {k: v * np.float32(1e9) for k, v in told.items()}, "OUT_OF_RANGE_UPDATE"),
    ],
)
def test_what_is_told_wrongly_is_refused_and_the_rest_sums_up(
    tmp_path: Path, spoil: Callable[[Weights], Weights | None], code: str
) -> None:
    """Site a tells 1 for 10 patients, b 2 for 30, in each of 3 rounds: the sum is 3 * 70."""
    grid = FakeGrid(
        FakeSite("a", patients=10, otherwise=telling(1.0)),
        FakeSite("b", patients=30, otherwise=telling(2.0)),
        FakeSite("c", patients=50, otherwise=telling(4.0, spoil)),
    )
    plan = replace(
        PLAN,
        optimisation=OptimisationSettings(optimiser="sgd"),
        algorithm=AlgorithmSettings(control_variates=True),
    )
    terms = Terms(patience=Patience(minimum_sites=2, attempts=1, gathering_s=0.0))
    found = run_federation(grid, FederationSettings(plan, tmp_path, terms))
    assert [record["refused"] for record in found.history[1:]] == [{"c": code}] * 3
    assert len(found.memory) == len(list(new_model(plan).parameters()))
    assert all((total == 210.0).all() for total in found.memory.values())
