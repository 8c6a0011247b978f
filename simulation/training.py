"""Trains all methods of a run, side by side where there are processes for it.

Each process trains with one thread: on the small batches of a hospital two methods side by side
on two cores finish sooner than one after the other on both, another program on the machine does
not stall them, and the weights do not depend on the number of cores.
"""

import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from client.processes import end_with_parent
from client.site import Site
from server import checkpoint as checkpoints
from server.checkpoint import Checkpoint
from server.federation import FederationSettings
from server.question import FederationFailedError
from server.terms import Patience, Terms
from server.tracking import TrackingSettings, open_tracker
from simulation.federate import federate
from simulation.methods import plan_of
from simulation.settings import RuntimeSettings, SimulationSettings

_REFRESH_S = 0.5


def train_methods(
    methods: Mapping[str, Sequence[Site]],
    settings: SimulationSettings,
    state_dir: Path,
    console: Console,
) -> dict[str, Checkpoint]:
    """Train every method, showing where each stands; resume those that were begun.

    A rival that cannot be trained (a site alone with nobody to train on) is told and left out.

    Raises
    ------
    FederationFailedError
        The federation itself could not be trained.
    """
    federations = {
        method: federation_settings(
            method, sites, settings, len(methods[settings.strategy]), state_dir
        )
        for method, sites in methods.items()
    }
    columns = (
        TextColumn("{task.description:<18}"),
        BarColumn(bar_width=24),
        TextColumn("round {task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[validation]}"),
    )
    trained: dict[str, Checkpoint] = {}
    with _pool(settings) as pool, Progress(*columns, console=console) as progress:
        rows = {m: progress.add_task(m, total=settings.rounds, validation="") for m in methods}
        futures = {
            pool.submit(
                train_method,
                sites,
                federations[method],
                settings.runtime,
                Watch(settings.tracking, state_dir.parent, method.replace("/", "-")),
            ): method
            for method, sites in methods.items()
        }
        waiting = set(futures)
        while waiting:
            done, waiting = wait(waiting, _REFRESH_S, FIRST_COMPLETED)
            for future in done:
                _collect(futures[future], future, settings.strategy, trained, console)
            for method, row in rows.items():
                history = checkpoints.read_history(federations[method].state_dir)
                _show(progress, row, trained[method].history if method in trained else history)
    return {method: trained[method] for method in methods if method in trained}


def state_of(method: str, state_dir: Path) -> Path:
    """Return where one method's checkpoints are, and what its sites remember."""
    return state_dir / method.replace("/", "-")


def federation_settings(
    method: str,
    sites: Sequence[Site],
    settings: SimulationSettings,
    federated: int,
    state_dir: Path,
) -> FederationSettings:
    """Return how a method's sites train together on one machine.

    Parameters
    ----------
    method : str
    sites : sequence of Site
    settings : SimulationSettings
    federated : int
        How many sites the federation has.
    state_dir : Path
        Of all methods of the run.
    """
    at_once = min(federated, settings.sites_per_round or federated)
    return FederationSettings(
        plan=plan_of(method, settings.plan, at_once),
        state_dir=state_of(method, state_dir),
        terms=Terms(
            patience=_at_once(min(settings.minimum_sites, len(sites))),
            optimiser=settings.server_optimiser,
            sites_per_round=settings.sites_per_round,
        ),
    )


@dataclass(frozen=True)
class Watch:
    """How one method's rounds are tracked: where to, in which run's folder, by what name."""

    settings: TrackingSettings
    folder: Path
    run: str


def train_method(
    sites: Sequence[Site],
    federation: FederationSettings,
    runtime: RuntimeSettings,
    watch: Watch | None = None,
) -> Checkpoint:
    """Train one method to its last round, from its newest checkpoint.

    The lock keeps apart two runs that were started for the same folder.
    """
    federation.state_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(federation.state_dir / "lock"):
        tracker = None if watch is None else open_tracker(watch.settings, watch.folder, watch.run)
        return federate(sites, federation, runtime, tracker)


def _pool(settings: SimulationSettings) -> ProcessPoolExecutor:
    # Ray starts processes of its own, and one federation at a time fills the machine.
    workers = settings.workers if settings.runtime.name == "inprocess" else 1
    context = multiprocessing.get_context("forkserver")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent)


def _at_once(minimum_sites: int) -> Patience:
    """Return the patience of a machine whose sites are all there, or never come."""
    return Patience(minimum_sites=minimum_sites, attempts=1, gathering_s=0.0)


def _collect(
    method: str,
    future: Future[Checkpoint],
    strategy: str,
    trained: dict[str, Checkpoint],
    console: Console,
) -> None:
    try:
        trained[method] = future.result()
    except FederationFailedError as error:
        if method == strategy:
            raise
        console.print(f"{method} could not be trained: {error}", highlight=False)


def _show(progress: Progress, row: TaskID, history: Sequence[Mapping[str, Any]]) -> None:
    if history:
        progress.update(row, completed=history[-1]["round"], validation=_validation(history))


def _validation(history: Sequence[Mapping[str, Any]]) -> str:
    """Return the newest judgement on internal validation in a few words."""
    judged = [record["metrics"] for record in history if record.get("metrics")]
    if not judged:
        return ""
    shown = {"OS": "os_c_index", "RFS": "rfs_c_index", "MVI": "mvi_auc"}
    values = ((name, judged[-1][key]) for name, key in shown.items())
    return " ".join(f"{name} {value:.2f}" for name, value in values if value is not None)
