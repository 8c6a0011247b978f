"""A federation of prepared sites, over either runtime."""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from flwr.app import Context

from client.answers import build_client_app
from client.site import Site
from server import checkpoint as checkpoints
from server.app import build_server_app
from server.checkpoint import Checkpoint
from server.federation import FederationSettings, run_federation
from server.progress import read_progress
from server.question import FederationFailedError
from simulation.grid import InProcessGrid
from simulation.settings import RuntimeSettings


def remembering(sites: Sequence[Site], state_dir: Path) -> list[Site]:
    """Return the sites, each with a place of its own for what it remembers between rounds."""
    return [replace(site, state_dir=state_dir / "sites" / site.name) for site in sites]


def federate(
    sites: Sequence[Site],
    settings: FederationSettings,
    runtime: RuntimeSettings,
    on_checkpoint: Callable[[Checkpoint], None] | None = None,
) -> Checkpoint:
    """Train over the sites until the last round is judged, from wherever it was left.

    The ClientApp and the ServerApp are those of a real federation; only what carries their
    messages differs. Both runtimes give the same weights.
    """
    own = remembering(sites, settings.state_dir)

    def site_of(context: Context) -> Site:
        return own[int(context.node_config["partition-id"])]

    client_app = build_client_app(site_of)
    logging.getLogger("flwr").setLevel(logging.WARNING)
    if runtime.name == "inprocess":
        grid = InProcessGrid(client_app, [site.name for site in sites])
        return run_federation(grid, settings, on_checkpoint)
    # Ray and Flower read these when they are first imported.
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", FLWR_TELEMETRY_ENABLED="0")
    from flwr.simulation import run_simulation

    run_simulation(
        server_app=build_server_app(lambda _: settings, on_checkpoint),
        client_app=client_app,
        num_supernodes=len(sites),
        backend_config={"client_resources": {"num_cpus": float(runtime.threads)}},
    )
    progress = read_progress(settings.state_dir)
    if progress is not None and progress.end == "too-few-sites":
        raise FederationFailedError(progress.reason)
    checkpoint = checkpoints.load(settings.identity, settings.state_dir)
    if checkpoint is None or not checkpoint.finished:
        raise RuntimeError("the Ray runtime ended before the last round: see its log above")
    return checkpoint
