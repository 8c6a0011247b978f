"""What a run leaves: the table, the model, the rounds, the report."""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from client.cohort import PreparedSite
from server.checkpoint import Checkpoint
from server.federation import best_weights
from shared.code_version import code_version
from shared.model_card import model_card
from shared.model_folder import ModelFolder, Provenance, write_model_folder
from shared.reporting.content import RunSummary
from shared.reporting.page import write_report
from shared.reporting.table import terminal_table
from shared.results import write_metrics_json
from shared.training_inputs import training_inputs
from simulation.cohort.folder import FederationFolder, read_truth
from simulation.evaluation import (
    Evaluated,
    evaluate_networks,
    evaluate_oracle,
    evaluate_radiomics,
    results_table,
)
from simulation.methods import FederationData
from simulation.report import report_content, risk_cuts
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
    settings: SimulationSettings,
) -> dict[str, Evaluated]:
    """Evaluate every method, in the order in which the table shows them."""
    bootstrap = {"resamples": settings.bootstrap_resamples, "seed": settings.seed}
    networks = evaluate_networks(trained, data, settings.plan, **bootstrap)
    evaluated: dict[str, Evaluated] = {}
    if federation.truth_csv is not None:
        evaluated["oracle"] = evaluate_oracle(data, read_truth(federation.truth_csv), **bootstrap)
    evaluated["pooled"] = networks.pop("pooled")
    evaluated["radiomics"] = evaluate_radiomics(data, **bootstrap)
    return {**evaluated, **networks}


def write_outputs(
    folder: Path,
    settings: SimulationSettings,
    federation: FederationFolder,
    prepared: Mapping[str, PreparedSite],
    data: FederationData,
    trained: Mapping[str, Checkpoint],
    overrides: Sequence[str],
    console: Console,
) -> None:
    """Evaluate and write every file of the contract that a run has not written before."""
    with console.status("Evaluating"):
        evaluated = evaluate_all(data, federation, trained, settings)
    results = results_table(evaluated)
    write_metrics_json(results, folder / "metrics.json")
    checkpoint = trained[settings.strategy]
    write_rounds(checkpoint, folder / "rounds.jsonl")
    write_model(folder / "model", settings, federation, data, checkpoint, evaluated)
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
    content = report_content(
        run, settings, prepared, data, checkpoint, evaluated[settings.strategy], results
    )
    write_report(content, folder / "report.html")
    console.print(terminal_table(results, synthetic=run.synthetic))


def write_rounds(checkpoint: Checkpoint, path: Path) -> None:
    """Write ``rounds.jsonl``: one line a round, from the untrained model's round 0."""
    lines = [json.dumps(record, allow_nan=False) for record in checkpoint.history]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_model(
    folder: Path,
    settings: SimulationSettings,
    federation: FederationFolder,
    data: FederationData,
    checkpoint: Checkpoint,
    evaluated: Mapping[str, Evaluated],
) -> None:
    """Write the federation's best model with its card."""
    result = evaluated[settings.strategy]
    weights = best_weights(checkpoint)
    about = ModelFolder(
        plan=settings.plan,
        preprocessing=settings.preprocessing,
        mvi_threshold=result.threshold,
        best_round=checkpoint.best_round,
        synthetic=federation.truth_csv is not None,
        provenance=Provenance(
            sites={site.name: len(data.split(site).training) for site in data.sites},
            code_version=code_version(),
            versions=versions(),
        ),
        risk_cuts=risk_cuts(result.predictions),
        inputs=training_inputs(weights),
    )
    write_model_folder(folder, weights, about, model_card(about, result.metrics))


def versions() -> dict[str, str]:
    """Return the versions that a run's numbers depend on."""
    return {name: version(name) for name in PACKAGES}
