"""Which round's model is kept, whoever happens to be away when one is judged."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message, MetricRecord

from server.checkpoint import Checkpoint
from server.federation import FederationSettings, run_federation
from server.terms import Patience, Terms
from shared.judgement import Judgement, LossSum
from shared.protocol import read_instruction
from shared.tasks import TASKS, Task
from tests.server.fake_grid import PLAN, FakeGrid, FakeSite

# The mean loss of every patient of a site: round -> task -> loss of that round's model.
Losses = Sequence[Mapping[Task, float]]
FALLING: Losses = [{"os": 4.0}, {"os": 3.0}, {"os": 2.0}, {"os": 1.0}]
RISING: Losses = [{"os": 1.0}, {"os": 2.0}, {"os": 3.0}, {"os": 4.0}]


def site(
    name: str,
    losses: Losses,
    away: Sequence[int] = (),
    patients: Sequence[int] = (10, 10, 10, 10),
) -> FakeSite:
    """Return a site that judges the model of round r by `losses[r]` for each of `patients[r]`.

    It does not answer when the models of the rounds `away` are to be judged.
    """

    def behave(message: Message, answer: Message) -> Sequence[Message]:
        judged = read_instruction(message)[1].round - 1
        if judged in away:
            return []
        if judged >= 0:
            count = patients[judged]
            told = {task: LossSum(loss * count, count) for task, loss in losses[judged].items()}
            nobody = Judgement.empty()
            judgement = replace(nobody, losses={**nobody.losses, **told})
            answer.content["judgement"] = MetricRecord({**judgement.as_sums()})
        return [answer]

    return FakeSite(name, otherwise=behave)


def federate(
    folder: Path,
    *sites: FakeSite,
    minimum_sites: int = 1,
    on_checkpoint: Callable[[Checkpoint], None] | None = None,
) -> Checkpoint:
    """Run the federation to its end, asking once a round and waiting for nobody."""
    patience = Patience(minimum_sites, deadline_s=0.2, attempts=1, gathering_s=0.0)
    settings = FederationSettings(PLAN, folder, Terms(patience=patience))
    return run_federation(FakeGrid(*sites), settings, on_checkpoint)


def test_a_site_that_is_hard_to_predict_and_away_once_does_not_decide(tmp_path: Path) -> None:
    """Without the hard site round 1 scores best of all, and it is no better than round 2."""
    hard: Losses = [{"os": loss} for loss in (9.0, 8.0, 7.0, 6.5)]
    found = federate(tmp_path, site("easy", FALLING), site("hard", hard, away=[1]))
    assert [record["score"] for record in found.history] == [-6.5, -3.0, -4.5, -3.75]
    assert found.best_round == 3


def test_a_task_that_nobody_tells_once_does_not_decide(tmp_path: Path) -> None:
    both: Losses = [{**FALLING[r], "mvi": 8.0 - r} for r in range(4)]
    found = federate(tmp_path, site("a", FALLING), site("b", both, away=[1]))
    assert [record["score"] for record in found.history] == [-12.0, -3.0, -8.0, -6.0]
    assert found.best_round == 3


def test_a_round_that_is_worse_where_both_were_judged_is_not_kept(tmp_path: Path) -> None:
    hard: Losses = [{"os": 9.0}] * 4
    found = federate(tmp_path, site("easy", RISING), site("hard", hard, away=[1, 2, 3]))
    assert [record["score"] for record in found.history] == [-5.0, -2.0, -3.0, -4.0]
    assert found.best_round == 0


def test_who_left_for_good_or_came_late_freezes_nothing(tmp_path: Path) -> None:
    leaver, late = site("leaver", FALLING, away=[2, 3]), site("late", FALLING, away=[0, 1])
    assert federate(tmp_path, site("stays", FALLING), leaver, late).best_round == 3


def test_a_model_that_no_judge_compared_with_the_best_one_is_not_kept(tmp_path: Path) -> None:
    first, then = site("first", FALLING, away=[2, 3]), site("then", FALLING, away=[0, 1])
    assert federate(tmp_path, first, then).best_round == 1


def test_a_site_whose_patients_changed_judged_by_others(tmp_path: Path) -> None:
    """Its patients with a bad outcome are gone from round 2 on: its loss falls for no merit."""
    falls: Losses = [{"os": 9.0}, {"os": 9.0}, {"os": 1.0}, {"os": 1.0}]
    fewer = site("fewer", falls, patients=[10, 10, 5, 5])
    assert federate(tmp_path, site("same", RISING), fewer).best_round == 0


def test_the_last_model_is_not_kept_on_the_word_of_too_few(tmp_path: Path) -> None:
    sites = site("a", FALLING), site("b", RISING, away=[3]), site("c", RISING, away=[3])
    found = federate(tmp_path, *sites, minimum_sites=2)
    assert found.finished
    assert found.history[3]["score"] == -1.0
    assert found.best_round == 0


@pytest.mark.parametrize("seed", range(5))
def test_where_all_always_answer_the_best_score_is_kept(tmp_path: Path, seed: int) -> None:
    """The first of equal ones: losses are drawn from a few values, and ties are many."""
    generator = np.random.default_rng(seed)
    sites = []
    for name, patients in (("a", 17), ("b", 9), ("c", 5)):
        losses = [{task: generator.integers(1, 4) / 7 for task in TASKS} for _ in range(4)]
        sites.append(site(name, losses, patients=[patients] * 4))
    found = federate(tmp_path, *sites, minimum_sites=3)
    assert found.best_round == int(np.argmax([record["score"] for record in found.history]))


def test_a_round_says_by_whom_it_was_judged(tmp_path: Path) -> None:
    """Site b answers, but has nobody to tell of."""
    found = federate(tmp_path, site("a", FALLING, away=[1]), site("b", [{}] * 4))
    totals = [record["judged_by"].get("a", {}).get("os") for record in found.history]
    assert totals == [
        {"total": 40.0, "patients": 10},
        None,
        {"total": 20.0, "patients": 10},
        {"total": 10.0, "patients": 10},
    ]
    assert [list(record["judged_by"]) for record in found.history] == [["a"], [], ["a"], ["a"]]


def test_a_resumed_run_keeps_the_same_round(tmp_path: Path) -> None:
    """The process dies after every checkpoint in turn; the best round was judged by a alone."""

    def sites() -> list[FakeSite]:
        hard: Losses = [{"os": loss} for loss in (9.0, 8.0, 9.0, 9.0)]
        return [site("a", [*FALLING[:2], *FALLING[:2]]), site("b", hard, away=[1])]

    def die(checkpoint: Checkpoint) -> None:
        if not checkpoint.finished:
            raise KeyboardInterrupt

    whole = federate(tmp_path / "whole", *sites())
    found = None
    while found is None:
        try:
            found = federate(tmp_path / "dying", *sites(), on_checkpoint=die)
        except KeyboardInterrupt:
            continue
    assert found.best_round == whole.best_round == 1
    told = [(record["score"], record["judged_by"]) for record in found.history]
    assert told == [(record["score"], record["judged_by"]) for record in whole.history]
