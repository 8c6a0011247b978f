"""On what terms a federation is run, whatever it learns."""

from dataclasses import dataclass, field

from server.optimiser import FedAvg, ServerOptimiser
from server.roll import Roll


@dataclass(frozen=True)
class Patience:
    """How many sites a question needs, and how long and how often it waits for them.

    Attributes
    ----------
    minimum_sites : int
        With fewer answers that count a round has failed.
    deadline_s : float
        From the first message of an attempt; what comes later does not count.
    attempts : int
        How often a round is tried before the run ends. An attempt asks only those who have
        not answered yet.
    gathering_s : float
        How long the run waits, before its first message, for all sites of the roll, and every
        attempt for `minimum_sites` of them.
    """

    minimum_sites: int = 1
    deadline_s: float = 3600.0
    attempts: int = 3
    gathering_s: float = 300.0

    def __post_init__(self) -> None:
        if self.minimum_sites < 1 or self.attempts < 1:
            raise ValueError("minimum_sites and attempts must be at least 1")
        if not (self.deadline_s > 0 and self.gathering_s >= 0):
            raise ValueError("deadline_s must be > 0 and gathering_s >= 0")


@dataclass(frozen=True)
class Terms:
    """Who takes part, how long they are waited for, and what is made of their average.

    Attributes
    ----------
    roll : Roll
    patience : Patience
    optimiser : ServerOptimiser
    sites_per_round : int or None
        So many of the sites that are online train in a round, drawn anew for each; the others
        judge the model and send no update. None: all train.
    accept_missing : tuple of str
        Sites without whose judgement of the best model the run may end.
    """

    roll: Roll = field(default_factory=Roll)
    patience: Patience = field(default_factory=Patience)
    optimiser: ServerOptimiser = field(default_factory=FedAvg)
    sites_per_round: int | None = None
    accept_missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        named, needed = len(self.roll.training), self.patience.minimum_sites
        if 0 < named < needed:
            raise ValueError(f"minimum_sites is {needed}, but only {named} sites are to train")
        if self.sites_per_round is not None and self.sites_per_round < needed:
            raise ValueError(
                f"sites_per_round must be null or at least minimum_sites, which is {needed}; got"
                f" {self.sites_per_round}"
            )
        strangers = {*self.accept_missing} - {*self.roll.training, *self.roll.external}
        if strangers:
            raise ValueError(
                f"accept_missing names nobody of the study: {', '.join(sorted(strangers))}"
            )
