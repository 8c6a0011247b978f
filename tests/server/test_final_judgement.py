"""The best model is judged by every site that is named, or the run says by whom it is not."""

import io
import logging
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Error, Message
from rich.console import Console

from server import checkpoint as checkpoints
from server.federation import FederationSettings, run_federation
from server.judges import JudgesMissingError
from server.progress import Progress, read_progress
from server.roll import Roll
from server.run import run as run_command
from server.terms import Patience, Terms
from server.told import SitesWord, load_word
from shared.evidence.description import REASONS, Description
from shared.evidence.messages import write_description
from shared.protocol import ErrorCode
from shared.run_folder import RunFolder
from tests.server.fake_grid import PLAN, Behaviour, FakeGrid, FakeSite, silent
from tests.server.test_follow import configured

QUICK = Patience(minimum_sites=2, deadline_s=0.2, attempts=3, gathering_s=0.0)
# Messages of a training site before the final questions.
DESCRIPTION = 2 + PLAN.rounds
ALL = ["query.describe", "evaluate.evidence", "evaluate.evidence"]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("flwr").setLevel(logging.ERROR)


def fails(code: ErrorCode) -> Behaviour:
    """Answer with an error code alone."""
    return lambda message, _: [Message(Error(int(code)), reply_to=message)]


def federation(*more: FakeSite) -> FakeGrid:
    """Return two training sites and whoever comes with them."""
    return FakeGrid(FakeSite("a"), FakeSite("b"), *more)


def settings(grid: FakeGrid, state_dir: Path, accept: tuple[str, ...] = ()) -> FederationSettings:
    training = tuple(name for name in grid.sites if name != "external")
    roll = Roll(training, ("external",) if "external" in grid.sites else ())
    terms = Terms(roll, QUICK, accept_missing=accept)
    return FederationSettings(PLAN, state_dir, terms, resamples=3)


def run(grid: FakeGrid, state_dir: Path, accept: tuple[str, ...] = ()) -> SitesWord:
    run_federation(grid, settings(grid, state_dir, accept))
    word = load_word(PLAN, state_dir)
    assert word is not None
    return word


def final(site: FakeSite) -> list[str]:
    """Return the final questions that a site was asked."""
    return [kind for kind, _ in site.asked if "." in kind]


def judges(word: SitesWord) -> list[str]:
    return [answer.site for answer in word.evidence.answers]


def ended(state_dir: Path) -> Progress:
    progress = read_progress(state_dir)
    assert progress is not None
    return progress


def test_where_all_are_there_each_is_asked_once(tmp_path: Path) -> None:
    grid = federation(FakeSite("external"))
    word = run(grid, tmp_path)
    assert judges(word) == ["a", "b", "external"]
    assert word.evidence.refused == {}
    assert all(final(site) == ALL for site in grid.sites.values())


@pytest.mark.parametrize("site", ["b", "external"])
@pytest.mark.parametrize("question", range(3))
@pytest.mark.parametrize("fault", [silent, fails(ErrorCode.NO_ANSWER), fails(ErrorCode.INTERNAL)])
def test_who_gives_no_answer_is_asked_again_and_nobody_else(
    tmp_path: Path, site: str, question: int, fault: Behaviour
) -> None:
    first = 0 if site == "external" else DESCRIPTION
    grid = federation(FakeSite("external"))
    grid.sites[site].behaviours = {first + question: fault, first + question + 1: fault}
    word = run(grid, tmp_path)
    assert [description.site for description in word.descriptions] == ["a", "b", "external"]
    assert judges(word) == ["a", "b", "external"]
    assert word.evidence.refused == {}
    assert len(final(grid.sites[site])) == 5
    assert final(grid.sites["a"]) == ALL


def test_a_site_that_restarts_in_these_minutes_is_waited_for(tmp_path: Path) -> None:
    grid = federation(FakeSite("external"))
    at_the_end = {"asked": 0}

    def online(_: int) -> bool:
        done = len(grid.sites["a"].asked) > DESCRIPTION
        at_the_end["asked"] += done
        return not done or at_the_end["asked"] > 4

    grid.sites["external"].online = online
    word = run(grid, tmp_path)
    assert judges(word) == ["a", "b", "external"]
    assert at_the_end["asked"] > 4


@pytest.mark.parametrize("site", ["b", "external"])
def test_a_site_that_stays_away_ends_the_run_by_name_and_a_new_start_asks_again(
    tmp_path: Path, site: str
) -> None:
    grid = federation(FakeSite("c"), FakeSite("external"))
    gone = grid.sites[site]
    gone.online = lambda _: len(grid.sites["a"].asked) < DESCRIPTION
    with pytest.raises(JudgesMissingError, match=f"{site} NOT_ONLINE"):
        run(grid, tmp_path)
    progress = ended(tmp_path)
    assert progress.end == "judged-by-too-few"
    assert f"accept_missing=[{site}]" in progress.reason
    assert "The same command asks all of them again" in progress.reason
    word = load_word(PLAN, tmp_path)
    assert word is not None
    assert judges(word) == [name for name in ("a", "b", "c", "external") if name != site]
    trained = len(checkpoints.read_history(tmp_path))
    gone.online = lambda _: True
    word = run(grid, tmp_path)
    assert judges(word) == ["a", "b", "c", "external"]
    assert ended(tmp_path).end == "completed"
    assert len(checkpoints.read_history(tmp_path)) == trained


def test_a_site_that_never_answers_is_asked_as_often_as_is_said(tmp_path: Path) -> None:
    grid = federation(FakeSite("external", otherwise=silent))
    with pytest.raises(JudgesMissingError, match="external NO_ANSWER"):
        run(grid, tmp_path)
    assert final(grid.sites["external"]) == ["query.describe"] * QUICK.attempts + ALL[1:]
    assert final(grid.sites["a"]) == ALL


def test_a_gap_that_is_accepted_is_told_and_not_waited_for(tmp_path: Path) -> None:
    grid = federation(FakeSite("external", online=lambda _: False))
    word = run(grid, tmp_path, accept=("external",))
    assert judges(word) == ["a", "b"]
    assert word.evidence.refused == {"external": "NOT_ONLINE"}
    assert ended(tmp_path).end == "completed"
    silenced = federation(FakeSite("external", otherwise=silent))
    word = run(silenced, tmp_path / "2", accept=("external",))
    assert word.evidence.refused == {"external": "NO_ANSWER"}
    assert final(silenced.sites["external"]) == ALL


def test_to_accept_one_gap_is_not_to_accept_another(tmp_path: Path) -> None:
    gone = FakeSite("external", online=lambda _: False)
    grid = FakeGrid(FakeSite("a"), FakeSite("b"), FakeSite("c", otherwise=silent), gone)
    with pytest.raises(JudgesMissingError, match=r"c NO_ANSWER.*accept_missing=\[c,external\]"):
        run(grid, tmp_path, accept=("external",))


@pytest.mark.parametrize(
    "code", [ErrorCode.POLICY_REFUSED, ErrorCode.NO_PATIENTS, ErrorCode.DATA_UNREADABLE]
)
def test_a_refusal_is_an_answer_and_no_gap(tmp_path: Path, code: ErrorCode) -> None:
    grid = federation(FakeSite("external", otherwise=fails(code)))
    word = run(grid, tmp_path)
    assert word.evidence.refused == {"external": code.name}
    assert final(grid.sites["external"]) == ALL
    assert ended(tmp_path).end == "completed"


def test_sites_without_names_are_asked_once_and_none_is_missed(tmp_path: Path) -> None:
    grid = federation(FakeSite("c", behaviours={DESCRIPTION: silent}))
    terms = Terms(patience=replace(QUICK, attempts=3))
    run_federation(grid, FederationSettings(PLAN, tmp_path, terms, resamples=3))
    word = load_word(PLAN, tmp_path)
    assert word is not None
    assert list(word.evidence.refused.values()) == ["NO_ANSWER"]
    assert all(final(site) == ALL for site in grid.sites.values())


def test_only_a_site_of_the_study_may_be_missing() -> None:
    with pytest.raises(ValueError, match="accept_missing names nobody of the study: d"):
        Terms(Roll(("a", "b"), ("c",)), accept_missing=("c", "d"))


def collected(
    monkeypatch: pytest.MonkeyPatch, folder: Path, grid: FakeGrid, *words: str
) -> tuple[str, str, Path]:
    """Run the command with a link that runs the app at once; return end, output and folder."""
    server = configured("external_sites=[external]", *words)
    server = replace(
        server, rounds=PLAN.rounds, bootstrap_resamples=3, deadline_s=0.2, gathering_s=0.0
    )
    monkeypatch.setattr(type(server), "plan", property(lambda _: PLAN))
    link = _AppAtOnce(grid, server, folder / "state")
    monkeypatch.setattr(type(server), "link", property(lambda _: link))
    (folder / "state").mkdir(parents=True, exist_ok=True)
    console = Console(file=io.StringIO(), width=1000)
    outcome = run_command(server, RunFolder(folder, resumed=False), (), console)
    assert isinstance(console.file, io.StringIO)
    return outcome.end, console.file.getvalue(), folder


class _AppAtOnce:
    def __init__(self, grid: FakeGrid, server: Any, state_dir: Path) -> None:
        self._grid, self._server, self._state_dir = grid, server, state_dir

    def submit(self, config: object) -> int:
        terms = self._server.terms
        with suppress(JudgesMissingError):
            run_federation(
                self._grid, FederationSettings(PLAN, self._state_dir, terms, resamples=3)
            )
        return self._grid.run.run_id

    def status(self, run_id: int) -> str:
        return "finished:completed"


def test_the_command_keeps_the_state_until_the_gap_is_closed_or_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    grid = federation(FakeSite("external", online=lambda _: False))
    end, _, folder = collected(monkeypatch, tmp_path / "run", grid)
    assert end == "judged-by-too-few"
    assert (folder / "state").is_dir()
    assert (folder / "model").is_dir()
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<bdi>external</bdi>: not online, final judgement" in page
    asked = len(grid.sites["a"].asked)
    end, printed, folder = collected(
        monkeypatch, tmp_path / "run", grid, "accept_missing=[external]"
    )
    assert end == "completed"
    assert "external is in no metric: NOT_ONLINE" in printed
    assert len(grid.sites["a"].asked) == asked
    assert not (folder / "state").exists()
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<bdi>external</bdi>: not online, final judgement" in page


def test_a_site_that_told_only_how_good_the_model_is_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = fails(ErrorCode.DATA_UNREADABLE)
    grid = federation(FakeSite("external", behaviours={0: refused}))
    end, printed, _ = collected(monkeypatch, tmp_path / "run", grid)
    assert end == "completed"
    assert "external did not describe its patients: DATA_UNREADABLE" in printed


def test_a_description_of_no_cohort_is_its_sites_refusal(tmp_path: Path) -> None:
    """No institution has none: a table of it could not be made."""
    nobody = Description("b", 5, {}, dict.fromkeys(REASONS, 0), 0)

    def tell_of_nobody(message: Message, answer: Message) -> list[Message]:
        return [Message(write_description(nobody), reply_to=message)]

    grid = federation()
    grid.sites["b"].behaviours = {DESCRIPTION: tell_of_nobody}
    word = run(grid, tmp_path)
    assert [description.site for description in word.descriptions] == ["a"]
    assert word.evidence.refused == {"b": "MALFORMED_MESSAGE"}
