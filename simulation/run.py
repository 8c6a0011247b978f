"""The main job: ``python simulation/run.py``, from CT files to a report."""

import sys
import time
from pathlib import Path
from typing import Any, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

CONFIGS = Path(__file__).resolve().parents[1] / "configs"

# What may differ between two starts of the same run.
CIRCUMSTANCES = ("name", "output_dir", "data_dir", "cache_dir", "workers", "keep_state", "tracking")


def identity(config: DictConfig) -> str:
    """Return the part of a configuration that decides a run's results, as YAML."""
    decisive = OmegaConf.masked_copy(
        config, [str(key) for key in config if key not in CIRCUMSTANCES]
    )
    return OmegaConf.to_yaml(decisive, resolve=True, sort_keys=True)


@hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="simulation")
def main(config: DictConfig) -> None:
    """Compose the configuration and run the simulation."""
    # Imported here because every worker process imports this file: it must stay light.
    from rich.console import Console

    from simulation.pipeline import USER_ERRORS, Command, run
    from simulation.settings import settings_from

    # A log file or a pipe has no width of its own: the table needs 100 columns.
    console = Console(width=None if sys.stdout.isatty() else 100)
    start = time.perf_counter()
    try:
        settings = settings_from(cast(dict[str, Any], OmegaConf.to_container(config, resolve=True)))
        command = Command(
            overrides=tuple(HydraConfig.get().overrides.task),
            config_yaml=OmegaConf.to_yaml(config, resolve=True),
            identity=identity(config),
        )
        folder = run(settings, command, console)
    except USER_ERRORS as error:
        console.print(f"[bold red]Cannot run:[/] {error}", highlight=False)
        sys.exit(2)
    minutes, seconds = divmod(round(time.perf_counter() - start), 60)
    console.print(f"Report: {folder / 'report.html'}  ({minutes} min {seconds} s)", highlight=False)


if __name__ == "__main__":
    main()
