"""The simulation's configuration as one frozen value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from server.optimiser import FedAvg, ServerOptimiser
from server.terms import Patience, Terms
from server.tracking import TrackingSettings
from shared.config import build
from shared.study import StudySettings
from simulation.cohort.settings import SyntheticCohortSettings


@dataclass(frozen=True)
class CohortSettings:
    """Where the federation's folder comes from.

    Attributes
    ----------
    kind : str
        ``"synthetic"`` writes a cohort below the data folder; ``"folder"`` reads `root`.
    root : Path or None
        A federation's folder of the data contract, made by anyone.
    settings : SyntheticCohortSettings or None
        For ``"synthetic"``.
    """

    kind: Literal["synthetic", "folder"]
    root: Path | None = None
    settings: SyntheticCohortSettings | None = None

    def __post_init__(self) -> None:
        if self.kind == "folder" and self.root is None:
            raise ValueError("cohort=folder needs cohort.root=DIR")
        if self.kind == "synthetic" and self.settings is None:
            raise ValueError("cohort=synthetic needs cohort.settings")


@dataclass(frozen=True)
class RuntimeSettings:
    """What carries the messages: an in-process grid, or Flower's own engine on Ray.

    Attributes
    ----------
    name : str
        ``"inprocess"`` or ``"ray"``; both give the same weights.
    threads : int
        CPU threads of training.
    device : str
        Where networks run, as torch names it.
    """

    name: Literal["inprocess", "ray"] = "inprocess"
    threads: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"threads must be at least 1, got {self.threads}")


@dataclass(frozen=True, kw_only=True)
class SimulationSettings(StudySettings):
    """Everything a run depends on; see ``configs/simulation.yaml`` for each field."""

    name: str
    minimum_sites: int
    minimum_count: int
    bootstrap_resamples: int
    data_dir: Path
    cache_dir: Path
    workers: int
    keep_state: bool
    cohort: CohortSettings
    sites_per_round: int | None = None
    output_dir: Path | None = None
    server_optimiser: ServerOptimiser = field(default_factory=FedAvg)
    runtime: RuntimeSettings = field(default_factory=RuntimeSettings)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)

    def __post_init__(self) -> None:
        if self.workers < 1 or self.bootstrap_resamples < 1:
            raise ValueError("workers and bootstrap_resamples must be at least 1")
        if self.sites_per_round is not None:
            # What a federation's terms refuse is refused here, before anything is prepared.
            Terms(patience=Patience(self.minimum_sites), sites_per_round=self.sites_per_round)
            if self.runtime.name == "ray":
                raise ValueError(
                    "sites_per_round needs runtime=inprocess: Ray's nodes have no names to draw by"
                )
        super().__post_init__()

    @property
    def strategy(self) -> str:
        """The federation's name in every table."""
        return self.algorithm.name_with(self.server_optimiser.name)


def settings_from(config: Mapping[str, Any]) -> SimulationSettings:
    """Make settings from a resolved configuration.

    Raises
    ------
    ConfigurationError
        Names every key that is unknown, missing or wrong.
    """
    return build(SimulationSettings, config, where="configuration")
