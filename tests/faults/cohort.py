"""A tiny cohort and plan for federations of processes, and what a simulation makes of them."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from flwr.app import ConfigRecord, Context, Error, Message, MessageType
from flwr.clientapp import ClientApp

from client.answers import build_client_app
from client.cohort import prepare_site
from client.site import Site
from server.checkpoint import Checkpoint
from server.federation import FederationSettings, run_federation
from shared.model import ModelSettings
from shared.plan import Plan
from shared.protocol import ErrorCode
from simulation.federate import remembering
from simulation.grid import InProcessGrid
from tests.client.patients import SMALL, write_clinical, write_patient

PATIENTS = 5
# What the sites' files say besides their folder.
SITE_SETTINGS: Mapping[str, object] = {
    "preprocessing": {
        "shape": list(SMALL.shape),
        "spacing_mm": SMALL.spacing_mm,
        "margin_mm": SMALL.margin_mm,
    },
    "minimum_count": 1,
}


def plan_of(rounds: int, seed: int = 0) -> Plan:
    """Return a plan whose network trains in a moment."""
    return Plan(
        seed=seed,
        rounds=rounds,
        preprocessing=SMALL.fingerprint,
        training_fraction=0.6,
        model=ModelSettings(init_features=8, growth_rate=4, block_config=(2, 2), embedding=8),
    )


def write_site(folder: Path, seed: int) -> None:
    """Write a site's folder with labels drawn from a seed."""
    generator = np.random.default_rng(seed)
    rows = {}
    for index in range(PATIENTS):
        patient = f"{folder.name}-{index}"
        write_patient(folder / patient, seed=PATIENTS * seed + index)
        rows[patient] = (
            f"{generator.integers(2)},{generator.uniform(2, 30):.1f},{generator.integers(2)},"
            f"{generator.uniform(5, 60):.1f},{generator.integers(2)}"
        )
    write_clinical(folder, rows)


def simulate(
    root: Path,
    names: Sequence[str],
    plan: Plan,
    state_dir: Path,
    missing: Mapping[int, Collection[str]] = MappingProxyType({}),
) -> Checkpoint:
    """Train the same plan over the same folders in this process.

    Parameters
    ----------
    root : Path
        Holds a folder a site.
    names : sequence of str
    plan : Plan
    state_dir : Path
    missing : mapping of int to collection of str
        Round -> sites that do not answer in it.
    """
    sites = []
    for name in names:
        prepared = prepare_site(root / name, SMALL, root / "cache", workers=1, progress=False)
        sites.append(Site(name, prepared.cases, SMALL.fingerprint, minimum_count=1, threads=1))
    own = remembering(sites, state_dir)
    app = build_client_app(lambda context: own[int(context.node_config["partition-id"])])
    settings = FederationSettings(plan, state_dir)
    return run_federation(InProcessGrid(_Absent(app, names, missing), names), settings)


class _Absent(ClientApp):
    """An app that gives no answer in the rounds in which a site is missing."""

    def __init__(
        self, app: ClientApp, names: Sequence[str], missing: Mapping[int, Collection[str]]
    ) -> None:
        super().__init__()
        self._app, self._names, self._missing = app, names, missing

    def __call__(self, message: Message, context: Context) -> Message:
        order = message.content["instruction"]
        assert isinstance(order, ConfigRecord)
        absent = self._missing.get(int(str(order["round"])), ())
        site = self._names[int(context.node_config["partition-id"])]
        if site in absent and message.metadata.message_type == MessageType.TRAIN:
            return Message(Error(code=int(ErrorCode.NO_ANSWER)), reply_to=message)
        return self._app(message, context)
