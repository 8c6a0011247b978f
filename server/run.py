"""The coordinator's command: ``python server/run.py`` starts, follows and collects a run."""

import sys
from pathlib import Path
from typing import Any, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.markup import escape

from server.certificates import expiring
from server.collect import collect
from server.follow import Outcome, follow, stop
from server.link import LinkError
from server.settings import ServerSettings, settings_from
from shared.config import ConfigurationError
from shared.proxies import keep_loopback_direct
from shared.run_folder import OutputFolderError, RunFolder, open_run_folder

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
USER_ERRORS = (ConfigurationError, LinkError, OutputFolderError)

# What may differ between two starts of the same run.
CIRCUMSTANCES = (
    *("action", "name", "output_dir", "link_address", "link_authority", "minimum_sites"),
    *("deadline_s", "attempts", "gathering_s", "resubmissions", "unreachable_s"),
    "accept_missing",
)
CANNOT_RUN, NOT_COMPLETED, INTERRUPTED = 2, 3, 130


def identity(config: DictConfig) -> str:
    """Return the part of a configuration that decides a run's results, as YAML."""
    decisive = OmegaConf.masked_copy(config, [str(k) for k in config if k not in CIRCUMSTANCES])
    return OmegaConf.to_yaml(decisive, resolve=True, sort_keys=True)


@hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="server")
def main(config: DictConfig) -> None:
    """Compose the configuration and do what `action` says."""
    keep_loopback_direct()
    console = Console(width=None if sys.stdout.isatty() else 100)
    try:
        settings = settings_from(cast(dict[str, Any], OmegaConf.to_container(config, resolve=True)))
        folder = open_run_folder(settings.name, settings.output_dir, identity(config))
        if settings.action == "stop":
            console.print(stop(settings, folder.state), highlight=False)
            return
        yaml = OmegaConf.to_yaml(config, resolve=True)
        (folder.path / "config.yaml").write_text(yaml, encoding="utf-8")
        for warning in expiring(certificates(settings)):
            console.print(warning, highlight=False, markup=False)
        outcome = run(settings, folder, tuple(HydraConfig.get().overrides.task), console)
    except USER_ERRORS as error:
        console.print(f"[bold red]Cannot run:[/] {escape(str(error))}", highlight=False)
        sys.exit(CANNOT_RUN)
    except KeyboardInterrupt:
        console.print(
            "Not followed any more, but the run goes on: the same command follows it again,"
            " action=stop ends it.",
            highlight=False,
        )
        sys.exit(INTERRUPTED)
    if outcome.end != "completed":
        reason = escape(outcome.reason)
        console.print(f"[bold red]Ended {outcome.end}:[/] {reason}", highlight=False)
        sys.exit(NOT_COMPLETED)
    console.print(f"Report: {folder.path / 'report.html'}", highlight=False)


def certificates(settings: ServerSettings) -> list[Path]:
    """Return the server certificates, which lie beside the authority's on the coordinator."""
    if settings.link_authority is None:
        return []
    return [settings.link_authority.with_name(f"{name}.pem") for name in ("proxy", "link")]


def run(
    settings: ServerSettings, folder: RunFolder, overrides: tuple[str, ...], console: Console
) -> Outcome:
    """Follow a run to its end and write its files; state is kept unless it is complete."""
    outcome = follow(settings, folder.state, console)
    if outcome.end != "unreachable":
        collect(settings, folder.path, folder.state, overrides, console)
    if outcome.end == "completed":
        folder.finish()
    return outcome


if __name__ == "__main__":
    main()
