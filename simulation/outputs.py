"""What a run leaves: the table, the model, the rounds, the report."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from server.checkpoint import Checkpoint
from server.evidence import ModelEvidence
from server.federation import best_weights
from server.outputs import frozen_risk_cuts, write_results, write_set_aside_counts
from server.report import Told, federation_content
from shared.code_version import code_version
from shared.model_card import model_card
from shared.model_folder import ModelFolder, Provenance, write_model_folder
from shared.reporting.content import RunSummary
from shared.reporting.page import write_report
from shared.reporting.table import terminal_table
from shared.training_inputs import training_inputs
from simulation.cohort.folder import FederationFolder, read_truth
from simulation.evaluation import (
    Evaluated,
    evaluate_federation,
    evaluate_networks,
    evaluate_oracle,
    evaluate_radiomics,
    results_table,
)
from simulation.evidence import ask_sites
from simulation.methods import FederationData
from simulation.report import activation_samples
from simulation.settings import SimulationSettings

PACKAGES = (
    "hepafed",
    "flwr",
    "torch",
    "monai",
    "numpy",
    "SimpleITK",
    "lifelines",
    "scikit-learn",
    "hydra-core",
)


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
    evaluated[strategy] = evaluate_federation(evidence, trained[strategy], data, plan)
    return {**evaluated, **networks}


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
    results = results_table(evaluated)
    write_results(folder, results, checkpoint)
    write_set_aside_counts(folder, descriptions)
    write_model(folder / "model", settings, federation, data, checkpoint, evidence)
    run = RunSummary(
        name=folder.name,
        strategy=settings.strategy,
        synthetic=federation.truth_csv is not None,
        seed=settings.seed,
        rounds=settings.rounds,
        best_round=checkpoint.best_round,
        command=" ".join(["python", "simulation/run.py", *overrides]),
        versions=versions(),
        code_version=code_version(),
    )
    content = federation_content(
        run, results, Told(descriptions, evidence, tuple(checkpoint.history))
    )
    shown = activation_samples(settings, data, checkpoint, evaluated[settings.strategy])
    write_report(replace(content, activation=shown), folder / "report.html")
    console.print(terminal_table(results, synthetic=run.synthetic))


def write_model(
    folder: Path,
    settings: SimulationSettings,
    federation: FederationFolder,
    data: FederationData,
    checkpoint: Checkpoint,
    evidence: ModelEvidence,
) -> None:
    """Write the federation's best model with its card."""
    weights = best_weights(checkpoint)
    about = ModelFolder(
        plan=settings.plan,
        preprocessing=settings.preprocessing,
        mvi_threshold=evidence.thresholds.mvi,
        best_round=checkpoint.best_round,
        synthetic=federation.truth_csv is not None,
        provenance=Provenance(
            sites={site.name: len(data.split(site).training) for site in data.sites},
            code_version=code_version(),
            versions=versions(),
        ),
        risk_cuts=frozen_risk_cuts(evidence),
        inputs=training_inputs(weights),
    )
    write_model_folder(folder, weights, about, model_card(about, evidence.metrics()))


def versions() -> dict[str, str]:
    """Return the versions that a run's numbers depend on."""
    return {name: version(name) for name in PACKAGES}
