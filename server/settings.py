"""The coordinator's configuration of a run as one frozen value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from server.link import Link
from server.optimiser import FedAvg, ServerOptimiser
from server.roll import Roll
from server.terms import Patience, Terms
from server.tracking import TrackingSettings
from shared.config import build, to_json
from shared.study import StudySettings

Action = Literal["run", "stop"]


@dataclass(frozen=True, kw_only=True)
class ServerSettings(StudySettings):
    """Everything a federation depends on; see ``configs/server.yaml`` for each field."""

    action: Action
    name: str
    link_address: str
    link_authority: Path | None
    sites: tuple[str, ...]
    external_sites: tuple[str, ...]
    minimum_sites: int
    deadline_s: float
    attempts: int
    gathering_s: float
    resubmissions: int
    unreachable_s: float
    bootstrap_resamples: int
    synthetic: bool
    sites_per_round: int | None = None
    accept_missing: tuple[str, ...] = ()
    output_dir: Path | None = None
    server_optimiser: ServerOptimiser = field(default_factory=FedAvg)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)

    def __post_init__(self) -> None:
        if not self.sites:
            raise ValueError("sites: name the training sites as their keys are registered")
        if self.resubmissions < 0 or self.bootstrap_resamples < 1 or self.unreachable_s < 0:
            raise ValueError(
                "resubmissions and unreachable_s must be >= 0, bootstrap_resamples at least 1"
            )
        super().__post_init__()
        # What a federation's parts refuse is refused here, before anything is submitted.
        self.terms, self.link  # noqa: B018

    @property
    def strategy(self) -> str:
        """The federation's name in every table."""
        return self.algorithm.name_with(self.server_optimiser.name)

    @property
    def terms(self) -> Terms:
        """With whom, how patiently, and what is made of the average."""
        return Terms(
            Roll(self.sites, self.external_sites),
            Patience(self.minimum_sites, self.deadline_s, self.attempts, self.gathering_s),
            self.server_optimiser,
            self.sites_per_round,
            self.accept_missing,
        )

    @property
    def link(self) -> Link:
        """The superlink."""
        return Link(self.link_address, self.link_authority)

    def run_config(self, state_dir: Path) -> dict[str, str]:
        """Return what the ServerApp reads from its run's configuration.

        Parameters
        ----------
        state_dir : Path
            Made absolute: the app runs in a folder of Flower's.
        """
        return {
            "plan": to_json(self.plan),
            "terms": to_json(self.terms),
            "resamples": str(self.bootstrap_resamples),
            "tracking": to_json(self.tracking),
            "state-dir": str(state_dir.resolve()),
        }


def settings_from(config: Mapping[str, Any]) -> ServerSettings:
    """Make settings from a resolved configuration.

    Raises
    ------
    ConfigurationError
        Names every key that is unknown, missing or wrong.
    """
    return build(ServerSettings, config, where="configuration")
