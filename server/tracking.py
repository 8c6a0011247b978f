"""Rounds as they come, in TensorBoard and, where it is named, in MLflow.

``rounds.jsonl`` holds everything in any case: what is tracked is for those who want to watch.
Nothing leaves the machine unless `TrackingSettings.mlflow_uri` names a server.
"""

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from server.checkpoint import Checkpoint

logger = logging.getLogger("hepafed.server")

Scalar = tuple[str, float, int]
EXPERIMENT = "hepafed"
RUN_TAG = "hepafed.run"
# What the name of an MLflow metric cannot hold; a site may be called anything.
_NOT_MLFLOW = re.compile(r"[^\w./: -]")


@dataclass(frozen=True)
class TrackingSettings:
    """Where rounds are streamed to besides ``rounds.jsonl``.

    Attributes
    ----------
    tensorboard : bool
        Event files in ``tensorboard/`` of the run's folder.
    mlflow_uri : str or None
        A tracking server (``http://...``) or a database (``sqlite:///runs.db``), as MLflow names
        it; needs MLflow installed. Of late MLflow refuses a folder.
    """

    tensorboard: bool = True
    mlflow_uri: str | None = None

    def __post_init__(self) -> None:
        if self.mlflow_uri is not None and find_spec("mlflow") is None:
            raise ValueError("mlflow_uri is given, but MLflow is not installed: pip install mlflow")


class Sink(Protocol):
    """Whoever keeps scalars."""

    def write(self, scalars: list[Scalar]) -> None:
        """Keep scalars: name, value, round."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class Tracker:
    """Tells its sinks of every round once, when its training and its judgement are known.

    Called with every checkpoint. A sink that fails is dropped with a word in the log: no
    federation ends because somebody's disk is full.
    """

    def __init__(self, sinks: Mapping[str, Sink]) -> None:
        self._sinks = dict(sinks)
        self._told: set[tuple[str, int]] = set()

    def __call__(self, checkpoint: Checkpoint) -> None:
        """Write what is new in a checkpoint's history."""
        scalars = [
            scalar
            for record in checkpoint.history
            for scalar in record_scalars(record)
            if (scalar[0], scalar[2]) not in self._told
        ]
        self._told.update((name, number) for name, _, number in scalars)
        for name, sink in list(self._sinks.items()):
            try:
                sink.write(scalars)
                if checkpoint.finished:
                    sink.close()
            except Exception as error:
                # Whatever a tracking library raises: the rounds themselves are safe.
                logger.warning("%s is given up: %s", name, type(error).__name__)
                del self._sinks[name]


def open_tracker(settings: TrackingSettings, folder: Path, run: str) -> Tracker:
    """Return a tracker.

    Parameters
    ----------
    settings : TrackingSettings
    folder : Path
        The run's folder; event files go to ``tensorboard/`` below it.
    run : str
        What is trained, such as a method's name.
    """
    openers: dict[str, Callable[[], Sink]] = {}
    if settings.tensorboard:
        openers["TensorBoard"] = lambda: TensorBoardSink(folder / "tensorboard" / run)
    if (uri := settings.mlflow_uri) is not None:
        openers["MLflow"] = lambda: MlflowSink(uri, f"{folder.resolve().name}/{run}")
    sinks = {}
    for name, opener in openers.items():
        try:
            sinks[name] = opener()
        except Exception as error:
            logger.warning("%s cannot be used: %s", name, _in_short(error, settings.mlflow_uri))
    return Tracker(sinks)


def _in_short(error: Exception, uri: str | None) -> str:
    # The address may hold a password.
    said = next(iter(str(error).splitlines()), "").replace(uri or "\0", "the address given")
    return f"{type(error).__name__}: {said}"


def record_scalars(record: Mapping[str, Any]) -> Iterator[Scalar]:
    """Yield the numbers of one line of ``rounds.jsonl``; what is unknown is left out."""
    number = int(record["round"])
    named = {f"validation/{key}": value for key, value in (record.get("metrics") or {}).items()}
    named["validation/score"] = record.get("score")
    if "judged_by" in record:
        # A curve's points are not of the same patients where this one is not level.
        named["validation/sites"] = len(record["judged_by"])
    for key in ("seconds", "bytes_down", "bytes_up"):
        named[f"round/{key}"] = record.get(key)
    if record.get("sites"):
        named["round/sites"] = len(record["sites"])
        named["round/refused"] = len(record.get("refused") or {})
    for site, values in (record.get("sites") or {}).items():
        for key in ("loss", "seconds", "patients"):
            named[f"{key}/{site}"] = values.get(key)
    for name, value in named.items():
        if isinstance(value, int | float):
            yield name, float(value), number


class TensorBoardSink:
    """Event files, which ``tensorboard --logdir`` shows."""

    def __init__(self, folder: Path) -> None:
        # Costs a second to import, and only who trains needs it.
        from torch.utils.tensorboard import SummaryWriter

        # A run that goes on writes its rounds anew: what a killed process wrote is superseded.
        self._writer = SummaryWriter(str(folder), purge_step=0)

    def write(self, scalars: list[Scalar]) -> None:
        """Write and flush."""
        for name, value, number in scalars:
            self._writer.add_scalar(name, value, number)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()


class MlflowSink:
    """One MLflow run; a run that goes on is found again by its name."""

    def __init__(self, uri: str, run: str) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient(tracking_uri=uri)
        found = self._client.get_experiment_by_name(EXPERIMENT)
        experiment = found.experiment_id if found else self._client.create_experiment(EXPERIMENT)
        known = self._client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{run}'")
        self._run = (
            known[0] if known else self._client.create_run(experiment, tags={RUN_TAG: run})
        ).info.run_id

    def write(self, scalars: list[Scalar]) -> None:
        """Log the metrics with their rounds as steps."""
        for name, value, number in scalars:
            self._client.log_metric(self._run, _NOT_MLFLOW.sub("_", name), value, step=number)

    def close(self) -> None:
        """Mark the run as finished."""
        self._client.set_terminated(self._run)
