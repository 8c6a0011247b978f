"""Rounds as they are streamed."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from flwr.app import Context, RecordDict
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from server.app import tracker_from_run_config
from server.checkpoint import Checkpoint
from server.tracking import Scalar, Tracker, TrackingSettings, open_tracker, record_scalars


def record(number: int, **more: Any) -> dict[str, Any]:
    if number == 0:
        return {"round": 0, **more}
    sites = {
        "north (old)": {"patients": 8, "loss": 2.0 / number, "seconds": 1.5, "labelled": {"os": 8}}
    }
    traffic = {"seconds": 3.0, "bytes_down": 10, "bytes_up": 5}
    return {"round": number, **traffic, "sites": sites, "refused": {"7": "NO_ANSWER"}, **more}


def judged(number: int) -> dict[str, Any]:
    metrics = {"os_c_index": 0.5 + number / 10, "mvi_auc": None}
    by = {"north (old)": {"os": {"total": 3.0, "patients": 5}}}
    return record(number, metrics=metrics, score=0.6, judged_by=by)


class Memory:
    def __init__(self) -> None:
        self.scalars: list[Scalar] = []
        self.closed = False

    def write(self, scalars: list[Scalar]) -> None:
        self.scalars += scalars

    def close(self) -> None:
        self.closed = True


class Broken(Memory):
    def write(self, scalars: list[Scalar]) -> None:
        raise OSError("the disk is full")


def federation() -> list[Checkpoint]:
    """Return the checkpoints of two rounds: a round's model is judged one round later."""
    histories = [
        [record(0)],
        [judged(0), record(1)],
        [judged(0), judged(1), record(2)],
        [judged(0), judged(1), judged(2)],
    ]
    checkpoints = [Checkpoint(len(h) - 1, {}, history=h) for h in histories]
    return [*checkpoints[:-1], replace(checkpoints[-1], finished=True)]


def test_every_number_is_told_once_and_in_its_round() -> None:
    memory = Memory()
    tracker = Tracker({"memory": memory})
    for checkpoint in federation():
        tracker(checkpoint)
    assert len(memory.scalars) == len({(name, number) for name, _, number in memory.scalars})
    told = {(name, number): value for name, value, number in memory.scalars}
    assert told["validation/os_c_index", 2] == pytest.approx(0.7)
    assert told["validation/sites", 2] == 1
    assert told["loss/north (old)", 2] == pytest.approx(1.0)
    assert told["round/refused", 1] == 1
    assert ("validation/mvi_auc", 1) not in told
    assert memory.closed


def test_a_round_is_told_as_soon_as_it_is_known() -> None:
    memory = Memory()
    tracker = Tracker({"memory": memory})
    tracker(federation()[0])
    tracker(federation()[1])
    assert {number for name, _, number in memory.scalars if name == "loss/north (old)"} == {1}


def test_a_sink_that_fails_ends_no_federation() -> None:
    memory = Memory()
    tracker = Tracker({"broken": Broken(), "memory": memory})
    for checkpoint in federation():
        tracker(checkpoint)
    assert memory.closed


def test_what_is_not_a_number_is_left_out() -> None:
    assert dict.fromkeys(name for name, _, _ in record_scalars({"round": 0})) == {}
    json.dumps(list(record_scalars(judged(1))), allow_nan=False)


def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    for _ in range(2):  # the second is a run that was killed and goes on
        tracker = open_tracker(TrackingSettings(), tmp_path, "fedavg")
        for checkpoint in federation():
            tracker(checkpoint)
    events = EventAccumulator(str(tmp_path / "tensorboard" / "fedavg"))
    events.Reload()
    values = [(e.step, e.value) for e in events.Scalars("validation/os_c_index")]
    assert values == [(0, 0.5), (1, pytest.approx(0.6)), (2, pytest.approx(0.7))]


@pytest.mark.parametrize(
    ("config", "written"),
    [({}, True), ({"tracking": ""}, True), ({"tracking": '{"tensorboard": false}'}, False)],
)
def test_a_real_run_is_tracked_beside_its_state(
    config: dict[str, str], written: bool, tmp_path: Path
) -> None:
    run_config: dict[str, str | float | int | bool] = {"state-dir": str(tmp_path / "state")}
    context = Context(1, 1, {}, RecordDict(), {**run_config, **config})
    tracker = tracker_from_run_config(context)
    for checkpoint in federation():
        tracker(checkpoint)
    assert (tmp_path / "tensorboard" / "federation").is_dir() == written


def test_nothing_is_written_where_nothing_is_wanted(tmp_path: Path) -> None:
    tracker = open_tracker(TrackingSettings(tensorboard=False), tmp_path, "fedavg")
    for checkpoint in federation():
        tracker(checkpoint)
    assert list(tmp_path.iterdir()) == []


def test_mlflow_that_is_not_installed_is_told_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.tracking.find_spec", lambda _: None)
    with pytest.raises(ValueError, match="pip install mlflow"):
        TrackingSettings(mlflow_uri="runs")


class FakeMlflow:
    """What `MlflowSink` asks of MLflow's client, in memory."""

    experiments: ClassVar[list[str]] = []
    runs: ClassVar[dict[str, str]] = {}
    metrics: ClassVar[list[tuple[str, str, float, int]]] = []
    ended: ClassVar[list[str]] = []

    def __init__(self, tracking_uri: str) -> None:
        assert tracking_uri == "somewhere"

    def get_experiment_by_name(self, name: str) -> SimpleNamespace | None:
        return SimpleNamespace(experiment_id=name) if name in self.experiments else None

    def create_experiment(self, name: str) -> str:
        self.experiments.append(name)
        return name

    def search_runs(self, experiments: list[str], query: str) -> list[SimpleNamespace]:
        found = [run for run, tag in self.runs.items() if f"= '{tag}'" in query]
        return [SimpleNamespace(info=SimpleNamespace(run_id=run)) for run in found]

    def create_run(self, experiment: str, tags: dict[str, str]) -> SimpleNamespace:
        run = f"run {len(self.runs)}"
        self.runs[run] = tags["hepafed.run"]
        return SimpleNamespace(info=SimpleNamespace(run_id=run))

    def log_metric(self, run: str, name: str, value: float, step: int) -> None:
        assert re.fullmatch(r"[/\w.\- :]*", name)  # as MLflow's own check
        self.metrics.append((run, name, value, step))

    def set_terminated(self, run: str) -> None:
        self.ended.append(run)


def test_mlflow_goes_on_with_the_run_of_the_same_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "mlflow.tracking", SimpleNamespace(MlflowClient=FakeMlflow))
    monkeypatch.setattr("server.tracking.find_spec", lambda _: object())
    settings = TrackingSettings(tensorboard=False, mlflow_uri="somewhere")
    for _ in range(2):
        tracker = open_tracker(settings, tmp_path, "fedavg")
        for checkpoint in federation():
            tracker(checkpoint)
    assert FakeMlflow.experiments == ["hepafed"]
    assert list(FakeMlflow.runs.values()) == [f"{tmp_path.name}/fedavg"]
    assert ("run 0", "validation/os_c_index", 0.7, 2) in FakeMlflow.metrics
    assert FakeMlflow.ended == ["run 0"] * 2


def test_an_mlflow_that_refuses_says_why_and_keeps_the_address_to_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(tracking_uri: str) -> None:
        raise OSError(f"{tracking_uri} is in maintenance mode\nuse a database")

    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "mlflow.tracking", SimpleNamespace(MlflowClient=refuse))
    monkeypatch.setattr("server.tracking.find_spec", lambda _: object())
    settings = TrackingSettings(tensorboard=False, mlflow_uri="http://me:secret@here")
    tracker = open_tracker(settings, tmp_path, "fedavg")
    for checkpoint in federation():
        tracker(checkpoint)
    assert "OSError: the address given is in maintenance mode" in caplog.text
    assert "secret" not in caplog.text
