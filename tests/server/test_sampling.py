"""Of the sites that are online some train in a round, drawn; the others judge the model."""

from dataclasses import replace
from pathlib import Path

import pytest
from flwr.app import Message

from server.checkpoint import Checkpoint
from server.federation import FederationSettings, run_federation
from server.outputs import training_patients
from server.question import FederationFailedError
from server.roll import Roll, draw_sites
from server.terms import Patience, Terms
from tests.server.fake_grid import PLAN, FakeGrid, FakeSite, silent

QUICK = Patience(minimum_sites=2, deadline_s=0.2, attempts=2, gathering_s=0.0)
NAMES = ("a", "b", "c", "d", "e")


def run(
    grid: FakeGrid, state_dir: Path, sites_per_round: int | None = 3, seed: int = 0
) -> Checkpoint:
    terms = Terms(Roll(tuple(grid.sites)), QUICK, sites_per_round=sites_per_round)
    settings = FederationSettings(replace(PLAN, seed=seed), state_dir, terms)
    return run_federation(grid, settings)


def five(**changed: FakeSite) -> FakeGrid:
    return FakeGrid(*(changed.get(name, FakeSite(name)) for name in NAMES))


def trained(checkpoint: Checkpoint) -> list[list[str]]:
    """Return, round by round, whose updates counted."""
    return [sorted(record["sites"]) for record in checkpoint.history if record["round"]]


def an_update(message: Message, answer: Message) -> list[Message]:
    """Send an update, whatever was asked."""
    order = Message(
        message.content, message.metadata.dst_node_id, "train", group_id=message.metadata.group_id
    )
    reply = FakeSite("spare").receive(order)[0]
    sent = Message(reply.content, reply_to=message)
    sent.metadata.message_type = "train"
    return [sent]


def test_so_many_train_and_everybody_else_judges_the_same_model(tmp_path: Path) -> None:
    grid = five()
    found = run(grid, tmp_path)
    assert all(len(sites) == 3 for sites in trained(found))
    for number, drawn in enumerate(trained(found), start=1):
        asked = {name: kind for name in NAMES for kind, n in grid.sites[name].asked if n == number}
        assert asked == {name: "train" if name in drawn else "evaluate" for name in NAMES}


def test_only_those_who_trained_are_in_the_average(tmp_path: Path) -> None:
    """Every site adds its own step to all weights: the mean step of a round tells who is in it."""
    steps = dict(zip(NAMES, (0.5, 1.0, 2.0, 4.0, 8.0), strict=True))
    grid = FakeGrid(*(FakeSite(name, step=step) for name, step in steps.items()))
    found = run(grid, tmp_path)
    expected = sum(sum(steps[name] for name in sites) / 3 for sites in trained(found))
    start = run(FakeGrid(*(FakeSite(n, step=0.0) for n in NAMES)), tmp_path / "start")
    key = min(found.weights)
    assert found.weights[key] - start.weights[key] == pytest.approx(expected, abs=1e-5)


def test_the_draw_is_of_seed_and_round_alone(tmp_path: Path) -> None:
    first = trained(run(five(), tmp_path / "first"))
    assert trained(run(five(), tmp_path / "again")) == first
    assert trained(run(FakeGrid(*map(FakeSite, reversed(NAMES))), tmp_path / "order")) == first
    rounds = first + [s for n in (1, 2) for s in trained(run(five(), tmp_path / f"{n}", seed=n))]
    assert len({tuple(sites) for sites in rounds}) > 1
    assert {name for sites in rounds for name in sites} == set(NAMES)


def test_where_a_drawn_site_is_silent_the_next_attempt_asks_all_who_are_left(
    tmp_path: Path,
) -> None:
    """Also those who have judged already: else two silent sites would end the run."""
    drawn = trained(run(five(), tmp_path / "calm"))[0]
    silent_ones = {name: FakeSite(name, otherwise=silent) for name in drawn[:2]}
    grid = five(**silent_ones)
    found = run(grid, tmp_path / "silent")
    first = found.history[1]
    assert sorted(first["sites"]) == sorted(set(NAMES) - set(silent_ones))
    assert len(first["failed_attempts"]) == 1
    judged_first = next(name for name in NAMES if name not in drawn)
    assert grid.sites[judged_first].asked[1:3] == [("evaluate", 1), ("train", 1)]


def test_who_was_asked_to_judge_cannot_slip_in_an_update(tmp_path: Path) -> None:
    drawn = trained(run(five(), tmp_path / "calm"))[0]
    intruder = next(name for name in NAMES if name not in drawn)
    grid = five(**{intruder: FakeSite(intruder, behaviours={1: an_update})})
    found = run(grid, tmp_path / "intruder")
    assert sorted(found.history[1]["sites"]) == drawn
    assert found.history[1]["refused"] == {intruder: "MALFORMED_MESSAGE"}


def test_judgements_alone_make_no_round(tmp_path: Path) -> None:
    """Of two that are drawn one is silent; the three who judge are not enough."""
    drawn = trained(run(five(), tmp_path / "calm", sites_per_round=2))[0]
    grid = five(**{drawn[0]: FakeSite(drawn[0], otherwise=silent)})
    once = Terms(Roll(NAMES), replace(QUICK, attempts=1), sites_per_round=2)
    with pytest.raises(FederationFailedError, match="1 of at least 2 sites answered"):
        run_federation(grid, FederationSettings(PLAN, tmp_path / "once", once))


def test_fewer_than_are_to_be_drawn_all_train(tmp_path: Path) -> None:
    found = run(FakeGrid(FakeSite("a"), FakeSite("b")), tmp_path)
    assert trained(found) == [["a", "b"]] * PLAN.rounds


def test_the_card_tells_of_everybody_who_trained_in_any_round(tmp_path: Path) -> None:
    grid = FakeGrid(*(FakeSite(name, patients=10 + i) for i, name in enumerate(NAMES)))
    found = run(grid, tmp_path)
    told = training_patients(found)
    assert set(told) == {name for sites in trained(found) for name in sites}
    assert len(told) > 3
    assert all(told[name] == grid.sites[name].patients for name in told)


def test_a_run_that_draws_does_not_go_on_from_one_that_does_not() -> None:
    drawing = FederationSettings(PLAN, Path("x"), Terms(sites_per_round=3))
    assert drawing.identity != FederationSettings(PLAN, Path("x"), Terms()).identity


def test_fewer_than_a_round_needs_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match="sites_per_round must be null or at least minimum_sites"):
        Terms(patience=Patience(minimum_sites=3), sites_per_round=2)


def test_one_site_more_takes_one_place_at_most() -> None:
    present = dict(enumerate(NAMES))
    for seed in range(20):
        few = set(draw_sites(present, 3, seed).values())
        more = set(draw_sites({**present, 9: "f"}, 3, seed).values())
        assert len(few) == len(more) == 3
        assert len(more - few) <= 1
    often = [name for seed in range(500) for name in draw_sites(present, 3, seed).values()]
    assert all(abs(often.count(name) - 300) < 50 for name in NAMES)
