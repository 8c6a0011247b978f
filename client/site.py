"""One institution as its own ClientApp sees it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from client.cases import PreparedCase, SetAside
from client.policy import Policy


@dataclass(frozen=True)
class Site:
    """Prepared patients and the institution's own rules; never leaves the institution.

    Attributes
    ----------
    name : str
    cases : tuple of PreparedCase
    preprocessing : str
        Fingerprint of the settings that prepared the cases.
    minimum_count : int
        A statistic that rests on fewer labelled patients is not shared.
    threads : int
        CPU threads of training; sums over threads round differently for another number.
    device : str
        Where the network runs, as torch names it.
    role : str
        ``"training"``, or ``"external"``: its patients judge models and never train one.
    set_aside : tuple of SetAside
        The site's own list; the coordinator gets numbers by reason.
    bootstrap_seed : int
        From which the site draws resamples; its own secret, but in a simulation.
    policy : Policy or None
        What the site allows; None, in a simulation, allows everything.
    state_dir : Path or None
        Where the site keeps what an algorithm has it remember between rounds; None: nowhere,
        so that it refuses such an algorithm.
    """

    name: str
    cases: tuple[PreparedCase, ...]
    preprocessing: str
    minimum_count: int = 5
    threads: int = 1
    device: str = "cpu"
    role: Literal["training", "external"] = "training"
    set_aside: tuple[SetAside, ...] = ()
    bootstrap_seed: int = 0
    policy: Policy | None = None
    state_dir: Path | None = None

    @property
    def torch_device(self) -> torch.device:
        """The device as torch's own type."""
        return torch.device(self.device)
