"""The command that follows a run, with a link that does whatever a test wants."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from rich.console import Console

from server import checkpoint as checkpoints
from server.checkpoint import Checkpoint
from server.follow import attach, follow, stop
from server.link import Link, LinkError, LinkUnreachableError
from server.live import live_view, status_line
from server.progress import Progress, write_progress
from server.settings import ServerSettings, settings_from
from server.terms import Terms
from shared.config import ConfigurationError, from_json
from shared.plan import Plan
from shared.run_folder import OutputFolderError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def configured(*words: str) -> ServerSettings:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("server", ["sites=[a,b]", *words])
    values: Any = OmegaConf.to_container(config, resolve=True)
    return settings_from(values)


@dataclass
class FakeLink:
    """Runs end as `script` says: one entry a submission, its statuses in turn."""

    script: list[list[str]]
    state_dir: Path
    ends: Mapping[int, Progress] = field(default_factory=dict)
    submitted: list[dict[str, str]] = field(default_factory=list)
    stopped: list[int] = field(default_factory=list)

    def submit(self, config: Mapping[str, str]) -> int:
        self.submitted.append({**config})
        return len(self.submitted)

    def status(self, run_id: int) -> str:
        statuses = self.script[run_id - 1]
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        if status == "silent":
            raise LinkUnreachableError("the superlink does not answer")
        if status.startswith("finished") and run_id in self.ends:
            write_progress(self.ends[run_id], self.state_dir)
        return status

    def stop(self, run_id: int) -> None:
        self.stopped.append(run_id)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.follow._LOOK_EVERY_S", 0.0)
    monkeypatch.setattr("server.follow._ASK_EVERY_S", 0.0)


def linked(
    monkeypatch: pytest.MonkeyPatch, link: FakeLink, *words: str
) -> tuple[ServerSettings, Console]:
    monkeypatch.setattr(ServerSettings, "link", property(lambda _: link))
    return configured(*words), Console(file=io.StringIO(), width=100)


DONE = Progress(end="completed")


def test_a_run_is_submitted_with_its_plan_and_followed_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = FakeLink([["pending", "running", "finished:completed"]], tmp_path,
                    {1: replace(DONE, run_id=1)})  # fmt: skip
    settings, console = linked(monkeypatch, link, "rounds=7", "server_optimiser=fedadam")
    assert follow(settings, tmp_path, console).end == "completed"
    (config,) = link.submitted
    assert from_json(Plan, config["plan"], where="plan") == settings.plan
    assert from_json(Terms, config["terms"], where="terms") == settings.terms
    assert settings.terms.optimiser.name == "fedadam"
    assert Path(config["state-dir"]).is_absolute()


def test_flowers_completed_is_not_believed_without_the_apps_own_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    too_few = Progress(run_id=1, end="too-few-sites", reason="round 1: 0 of at least 2 sites")
    link = FakeLink([["finished:completed"]], tmp_path, {1: too_few})
    outcome = follow(*_with_state(linked(monkeypatch, link), tmp_path))
    assert (outcome.end, outcome.reason) == ("too-few-sites", too_few.reason)


def test_a_dead_app_is_started_again_a_stated_number_of_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = ["running", "finished:failed"]
    link = FakeLink([[*dead] for _ in range(4)], tmp_path)
    outcome = follow(*_with_state(linked(monkeypatch, link, "resubmissions=2"), tmp_path))
    assert outcome.end == "failed"
    assert "died 3 times" in outcome.reason
    assert f"It wrote nothing into {tmp_path}: the account that runs the executor" in outcome.reason
    assert len(link.submitted) == 3
    ends = {2: replace(DONE, run_id=2)}
    again = FakeLink([[*dead], ["running", "finished:completed"]], tmp_path / "2", ends)
    (tmp_path / "2").mkdir()
    assert follow(*_with_state(linked(monkeypatch, again), tmp_path / "2")).end == "completed"


def test_an_app_that_could_write_died_of_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_progress(Progress(run_id=1, round=3), tmp_path)
    link = FakeLink([["finished:failed"]], tmp_path)
    outcome = follow(*_with_state(linked(monkeypatch, link, "resubmissions=0"), tmp_path))
    assert outcome.reason.endswith("see the executor's log")


def test_a_word_of_the_run_before_is_not_taken_for_this_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_progress(Progress(run_id=1, end="too-few-sites"), tmp_path)
    (tmp_path / "runs.json").write_text("[1]")
    link = FakeLink([["finished:failed"], ["running", "finished:completed"]], tmp_path,
                    {2: replace(DONE, run_id=2)})  # fmt: skip
    link.submitted.append({})
    assert follow(*_with_state(linked(monkeypatch, link), tmp_path)).end == "completed"


def test_a_run_at_work_is_attached_to_and_not_submitted_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = FakeLink([["running"]], tmp_path)
    settings, console = linked(monkeypatch, link)
    assert attach(settings, tmp_path, console) == 1
    assert attach(settings, tmp_path, console) == 1
    assert len(link.submitted) == 1
    assert "stopped run 1" in stop(settings, tmp_path)
    assert link.stopped == [1]


@pytest.mark.parametrize("content", ["", "[1", "7", '{"run": 1}', '["1"]'])
def test_a_damaged_list_of_runs_is_told_by_name_and_nothing_is_submitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    (tmp_path / "runs.json").write_text(content)
    link = FakeLink([["running"]], tmp_path)
    settings, console = linked(monkeypatch, link)
    for do in (lambda: attach(settings, tmp_path, console), lambda: stop(settings, tmp_path)):
        with pytest.raises(OutputFolderError, match=r"runs\.json is damaged.*remove the file"):
            do()
    assert (link.submitted, link.stopped) == ([], [])


def test_a_submission_is_on_the_disk_before_it_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []
    monkeypatch.setattr("server.follow.write_durably", lambda path, _: written.append(path))
    settings, console = linked(monkeypatch, FakeLink([["running"]], tmp_path))
    attach(settings, tmp_path, console)
    assert written == [tmp_path / "runs.json"]


def test_a_silent_link_is_waited_for_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = {1: replace(DONE, run_id=1)}
    back = FakeLink([["running", "silent", "silent", "finished:completed"]], tmp_path, ends)
    assert follow(*_with_state(linked(monkeypatch, back), tmp_path)).end == "completed"
    (tmp_path / "2").mkdir()
    gone = FakeLink([["running", "silent"]], tmp_path / "2")
    parts = _with_state(linked(monkeypatch, gone, "unreachable_s=0.05"), tmp_path / "2")
    assert follow(*parts).end == "unreachable"


def test_somebody_elses_stop_ends_the_watch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = FakeLink([["running", "finished:stopped"]], tmp_path)
    assert follow(*_with_state(linked(monkeypatch, link), tmp_path)).end == "stopped"
    assert len(link.submitted) == 1


def test_the_table_tells_rounds_and_what_is_going_on(tmp_path: Path) -> None:
    site = {"patients": 30, "labelled": {}, "loss": 0.5, "seconds": 2.0}
    record = {
        "round": 1, "seconds": 12.34, "bytes_down": 2e6, "bytes_up": 1e6,
        "sites": {"a": site, "b": {**site, "patients": 10, "loss": 1.5}},
        "refused": {"c": "NON_FINITE_UPDATE"}, "absent": ["d"], "failed_attempts": [],
        "metrics": {"os_c_index": 0.71234, "rfs_c_index": None, "mvi_auc": 0.6},
    }  # fmt: skip
    checkpoint = Checkpoint(1, {"w": np.zeros(1, np.float32)}, history=[{"round": 0}, record])
    checkpoints.save(checkpoint, "x", tmp_path)
    progress = Progress(1, 2, 3, asked=("a", "b", "c"), answered=("a",), refused={"c": "X"})
    console = Console(file=io.StringIO(), width=120)
    console.print(live_view(checkpoints.read_history(tmp_path), progress, 30))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    for word in ("1 of 30", "0.750", "0.712", "–", "12.3", "3.0", "c NON_FINITE_UPDATE",
                 "d not online", "round 2, attempt 3: 1 of 3", "waiting for b"):  # fmt: skip
        assert word in text, word
    assert "come online" in status_line(Progress(), 30)
    assert "judging the last model" in status_line(replace(progress, round=31), 30)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("sites=[]", "name the training sites"),
        ("sites=[a,a]", "named once"),
        ("external_sites=[a]", "named once"),
        ("accept_missing=[c]", "accept_missing names nobody of the study: c"),
        ("minimum_sites=3", "only 2 sites are to train"),
        ("attempts=0", "attempts"),
        ("link_address=localhost", "host:port"),
        ("rounds=0", "rounds"),
    ],
)
def test_a_wrong_value_is_named(word: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        configured(word)


def test_no_plain_link_beyond_this_machine() -> None:
    with pytest.raises(ValueError, match="link_authority"):
        Link("10.0.0.7:8000", None)
    Link("localhost:8000", None)
    with pytest.raises(LinkError, match="no such file"):
        Link("127.0.0.1:8000", Path("/nowhere/ca.pem")).status(1)


def test_both_commands_give_the_same_plan() -> None:
    from simulation.settings import settings_from as simulation_settings

    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        values: Any = OmegaConf.to_container(compose("simulation"), resolve=True)
    assert simulation_settings(values).plan == configured().plan
    assert json.loads(configured().run_config(Path("x"))["plan"])["rounds"] == 30


def _with_state(
    parts: tuple[ServerSettings, Console], state_dir: Path
) -> tuple[ServerSettings, Path, Console]:
    settings, console = parts
    return settings, state_dir, console
