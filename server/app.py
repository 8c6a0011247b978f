"""The ServerApp: thin; `server.federation` does the work in a simulation and for real alike."""

from collections.abc import Callable
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from server.checkpoint import Checkpoint
from server.federation import FederationSettings, run_federation
from server.terms import Terms
from server.tracking import Tracker, TrackingSettings, open_tracker
from shared.config import ConfigurationError, from_json
from shared.plan import Plan


def build_server_app(
    settings_of: Callable[[Context], FederationSettings],
    on_checkpoint: Callable[[Checkpoint], None] | None = None,
    tracker_of: Callable[[Context], Tracker] | None = None,
) -> ServerApp:
    """Return the ServerApp that runs the federation `settings_of` finds for a run's context.

    Every checkpoint is told to `on_checkpoint`, or to the tracker that `tracker_of` opens.
    """
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        settings = settings_of(context)
        told = on_checkpoint if tracker_of is None else tracker_of(context)
        run_federation(grid, settings, told)

    return app


def settings_from_run_config(context: Context) -> FederationSettings:
    """Read the run's configuration; `server.settings.ServerSettings.run_config` writes it.

    ``plan`` and ``terms`` are JSON, the defaults where they are empty; ``state-dir`` must be
    absolute, for the app runs in a folder that Flower chooses.

    Raises
    ------
    ConfigurationError
        What is wrong with it.
    """
    run = context.run_config
    plan, terms = str(run["plan"]) or "{}", str(run["terms"]) or "{}"
    state_dir = Path(str(run["state-dir"]))
    if not state_dir.is_absolute():
        raise ConfigurationError(f"state-dir must be an absolute path, got '{state_dir}'")
    return FederationSettings(
        plan=from_json(Plan, plan, where="plan"),
        state_dir=state_dir,
        terms=from_json(Terms, terms, where="terms"),
        resamples=int(str(run["resamples"])),
    )


def tracker_from_run_config(context: Context) -> Tracker:
    """Return the run's tracker; event files go beside the folder of its state."""
    run = context.run_config
    settings = from_json(TrackingSettings, str(run.get("tracking", "")) or "{}", where="tracking")
    return open_tracker(settings, Path(str(run["state-dir"])).parent, "federation")


app = build_server_app(settings_from_run_config, tracker_of=tracker_from_run_config)
