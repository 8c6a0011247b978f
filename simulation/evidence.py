"""Asks the federation's sites through the very messages that a real coordinator sends."""

from dataclasses import replace

from flwr.app import Context

from client.answers import build_client_app
from client.site import Site
from server.checkpoint import Checkpoint
from server.evidence import ModelEvidence, ask_for_descriptions, ask_for_evidence
from server.federation import best_weights, counted_with_best
from server.judges import Judges
from shared.evidence.description import Description
from simulation.grid import InProcessGrid
from simulation.methods import FederationData
from simulation.settings import SimulationSettings


def ask_sites(
    data: FederationData, checkpoint: Checkpoint, settings: SimulationSettings
) -> tuple[tuple[Description, ...], ModelEvidence]:
    """Return who the patients are, and how good the federated model is.

    Parameters
    ----------
    data : FederationData
    checkpoint : Checkpoint
        Of the federation.
    settings : SimulationSettings
    """
    sites = [replace(site, threads=settings.runtime.threads) for site in data.everyone]

    def site_of(context: Context) -> Site:
        return sites[int(context.node_config["partition-id"])]

    grid = InProcessGrid(build_client_app(site_of), [site.name for site in sites])
    judges = Judges(grid)
    descriptions, _ = ask_for_descriptions(judges, settings.plan)
    evidence = ask_for_evidence(
        judges,
        settings.plan,
        best_weights(checkpoint),
        descriptions,
        resamples=settings.bootstrap_resamples,
        counted=counted_with_best(checkpoint),
        federation=checkpoint.federation,
    )
    return descriptions, evidence
