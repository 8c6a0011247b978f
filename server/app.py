"""The ServerApp: thin; `server.federation` does the work in a simulation and for real alike."""

from collections.abc import Callable
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from server.checkpoint import Checkpoint
from server.federation import FederationSettings, run_federation
from shared.config import build, from_json
from shared.plan import Plan


def build_server_app(
    settings_of: Callable[[Context], FederationSettings],
    on_checkpoint: Callable[[Checkpoint], None] | None = None,
) -> ServerApp:
    """Return the ServerApp that runs the federation `settings_of` finds for a run's context."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        run_federation(grid, settings_of(context), on_checkpoint)

    return app


def settings_from_run_config(context: Context) -> FederationSettings:
    """Read the run's configuration, as ``flwr run -c`` gives it.

    ``plan`` is a Plan as JSON, the default plan where it is empty.
    """
    run = context.run_config
    plan_json = str(run.get("plan", ""))
    plan = from_json(Plan, plan_json, where="plan") if plan_json else build(Plan, {}, where="plan")
    return FederationSettings(
        plan=plan,
        state_dir=Path(str(run.get("state-dir", "state"))),
        strategy=str(run.get("strategy", "fedavg")),
        minimum_sites=int(run.get("minimum-sites", 2)),
        timeout_s=float(run.get("timeout-s", 3600.0)),
    )


app = build_server_app(settings_from_run_config)
