"""What a simulation leaves: what a federation does, with its rivals beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from server.checkpoint import Checkpoint
from server.evidence import ModelEvidence
from server.outputs import PACKAGES as TRAINING_PACKAGES
from server.outputs import FinishedFederation, model_summary, versions, write_federation
from shared.code_version import code_version
from shared.reporting.content import RunSummary
from shared.reporting.table import terminal_table
from simulation.cohort.folder import FederationFolder, read_truth
from simulation.comparison import compared, results_table
from simulation.evaluation import (
    Evaluated,
    evaluate_federation,
    evaluate_networks,
    evaluate_oracle,
    evaluate_radiomics,
)
from simulation.evidence import ask_sites
from simulation.methods import FederationData
from simulation.report import activation_samples
from simulation.settings import SimulationSettings

PACKAGES = (*TRAINING_PACKAGES, "SimpleITK", "lifelines", "scikit-learn", "hydra-core")


def evaluate_all(
    data: FederationData,
    federation: FederationFolder,
    trained: Mapping[str, Checkpoint],
    evidence: ModelEvidence,
    settings: SimulationSettings,
) -> dict[str, Evaluated]:
    """Evaluate every method, in the order in which the table shows them."""
    plan, strategy = settings.plan, settings.strategy
    bootstrap = {"resamples": settings.bootstrap_resamples, "seed": settings.seed}
    rivals = {method: own for method, own in trained.items() if method != strategy}
    networks = evaluate_networks(rivals, data, plan, **bootstrap)
    evaluated: dict[str, Evaluated] = {}
    if federation.truth_csv is not None:
        truth = read_truth(federation.truth_csv)
        evaluated["oracle"] = evaluate_oracle(data, truth, plan, **bootstrap)
    evaluated["pooled"] = networks.pop("pooled")
    evaluated["radiomics"] = evaluate_radiomics(data, plan, **bootstrap)
    evaluated[strategy] = evaluate_federation(evidence, trained[strategy], data, plan, **bootstrap)
    return compared({**evaluated, **networks}, strategy)


def write_outputs(
    folder: Path,
    settings: SimulationSettings,
    federation: FederationFolder,
    data: FederationData,
    trained: Mapping[str, Checkpoint],
    overrides: Sequence[str],
    console: Console,
) -> None:
    """Evaluate and write every file of the contract that a run has not written before."""
    checkpoint = trained[settings.strategy]
    with console.status("Evaluating"):
        descriptions, evidence = ask_sites(data, checkpoint, settings)
        evaluated = evaluate_all(data, federation, trained, evidence, settings)
    run = RunSummary(
        name=folder.name,
        strategy=settings.strategy,
        synthetic=federation.truth_csv is not None,
        seed=settings.seed,
        rounds=settings.rounds,
        best_round=checkpoint.best_round,
        command=" ".join(["python", "simulation/run.py", *overrides]),
        versions=versions(PACKAGES),
        model=model_summary(settings.plan, settings.preprocessing),
        code_version=code_version(),
    )
    finished = FinishedFederation(
        run, settings.plan, settings.preprocessing, checkpoint, descriptions, evidence
    )
    results = results_table(evaluated)
    shown = activation_samples(settings, data, checkpoint, evaluated[settings.strategy])
    write_federation(folder, finished, results, shown)
    console.print(terminal_table(results, synthetic=run.synthetic))
