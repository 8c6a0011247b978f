"""What a federation leaves on the coordinator's disk: all of it from sums."""

import csv
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from server.checkpoint import Checkpoint
from server.evidence import ModelEvidence
from server.federation import best_weights, counted_with_best
from server.report import Told, federation_content
from shared.evidence.description import Description
from shared.evidence.follow_up import supported_months
from shared.evidence.request import follow_up_grid
from shared.evidence.table_one import REASON_WORDS
from shared.model_card import model_card
from shared.model_folder import ModelFolder, Provenance, write_model_folder
from shared.plan import Plan
from shared.preprocessing import PreprocessingSettings
from shared.reporting.content import ActivationSample, ModelSummary, RunSummary
from shared.reporting.page import write_report
from shared.results import Results, write_metrics_json
from shared.tasks import SURVIVAL_TASKS, SurvivalTask
from shared.time_grid import TimeGrid
from shared.training_inputs import described_ranges, training_inputs

SET_ASIDE_FILE = "set_aside_counts.csv"

# What a run's numbers depend on; SimpleITK reads at the sites, and a coordinator has no need of it.
PACKAGES = ("hepafed", "flwr", "torch", "monai", "numpy")


@dataclass(frozen=True, eq=False)
class TrainedFederation:
    """What a federation has come to, be it to its end or not.

    Attributes
    ----------
    run : RunSummary
    plan : Plan
    preprocessing : PreprocessingSettings
        As the study prescribes.
    checkpoint : Checkpoint
        The last one.
    """

    run: RunSummary
    plan: Plan
    preprocessing: PreprocessingSettings
    checkpoint: Checkpoint


@dataclass(frozen=True, eq=False)
class FinishedFederation(TrainedFederation):
    """What a federation ends with: its model has been judged by all sites.

    Attributes
    ----------
    descriptions : tuple of Description
        From `server.evidence.ask_for_descriptions`.
    evidence : ModelEvidence
        From `server.evidence.ask_for_evidence`, of the best weights.
    """

    descriptions: tuple[Description, ...]
    evidence: ModelEvidence

    @property
    def results(self) -> Results:
        """The federated model's row of the results table."""
        return {self.run.strategy: self.evidence.metrics()}


def write_federation(
    folder: Path,
    finished: FinishedFederation,
    results: Results | None = None,
    activation: tuple[ActivationSample, ...] = (),
) -> None:
    """Write ``metrics.json``, ``rounds.jsonl``, ``model/``, ``report.html`` and the counts.

    Parameters
    ----------
    folder : Path
        The run's; ``config.yaml`` is in it already.
    finished : FinishedFederation
    results : Results, optional
        Of all methods, the federated one among them; by default of that one alone.
    activation : tuple of ActivationSample
        Of patients, where their images lie on this machine: in a simulation only.
    """
    results = finished.results if results is None else results
    history = finished.checkpoint.history
    write_metrics_json(results, folder / "metrics.json")
    write_rounds(folder, finished.checkpoint)
    write_set_aside_counts(folder, finished.descriptions)
    write_model(folder / "model", finished, finished.evidence, finished.descriptions)
    told = Told(finished.descriptions, finished.evidence, tuple(history))
    content = federation_content(finished.run, results, told)
    write_report(replace(content, activation=activation), folder / "report.html")


def write_rounds(folder: Path, checkpoint: Checkpoint) -> None:
    """Write ``rounds.jsonl``: one line a round, from the untrained model's round 0."""
    lines = [json.dumps(record, allow_nan=False) for record in checkpoint.history]
    (folder / "rounds.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_set_aside_counts(folder: Path, descriptions: Sequence[Description]) -> None:
    """Write ``sites/<site>/set_aside_counts.csv``: reason, meaning, entries.

    The coordinator's part of ``set_aside.csv``, which stays at the site: no patient, no file,
    no free text. A number too small for the site to tell is ``fewer than`` its minimum.
    """
    for description in descriptions:
        target = folder / "sites" / folder_name(description.site)
        target.mkdir(parents=True, exist_ok=True)
        few = f"fewer than {description.minimum_count}"
        with (target / SET_ASIDE_FILE).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["reason", "meaning", "entries"])
            for reason, count in description.set_aside.items():
                writer.writerow([reason, REASON_WORDS[reason], few if count is None else count])
            excluded = description.excluded
            writer.writerow(
                ["all", "patients not used at all", few if excluded is None else excluded]
            )


def folder_name(site: str) -> str:
    """Return a site's name as the name of a folder: it came in a message, and may hold a path."""
    name = re.sub(r"[^\w. -]", "_", site).strip(". ")
    return name or "_"


def training_patients(checkpoint: Checkpoint) -> dict[str, int]:
    """Return the training patients of each site that trained, as told with its last update."""
    told = {
        site: int(about["patients"])
        for record in checkpoint.history
        for site, about in record.get("sites", {}).items()
    }
    return dict(sorted(told.items()))


def write_model(
    folder: Path,
    trained: TrainedFederation,
    evidence: ModelEvidence | None = None,
    descriptions: Sequence[Description] = (),
) -> None:
    """Write the federation's best model with its card and, where judged, its frozen thresholds.

    What the sites describe of their patients goes in as what the model has seen, and how far it
    was followed.
    """
    weights, plan = best_weights(trained.checkpoint), trained.plan
    personal = plan.algorithm.personal != "none"
    thresholds = None if evidence is None else evidence.thresholds
    about = ModelFolder(
        plan=plan,
        preprocessing=trained.preprocessing,
        mvi_threshold=None if thresholds is None else thresholds.mvi,
        best_round=trained.checkpoint.best_round,
        synthetic=trained.run.synthetic,
        provenance=Provenance(
            sites=training_patients(trained.checkpoint),
            code_version=trained.run.code_version or "unknown",
            versions=trained.run.versions,
        ),
        risk_cuts={} if thresholds is None else {t: thresholds.cuts(t) for t in SURVIVAL_TASKS},
        inputs=training_inputs(
            weights, described_ranges(descriptions), plan.model.clinical_variables
        ),
        followed_months=followed_months(descriptions, follow_up_grid(plan)),
        own_rounds=counted_with_best(trained.checkpoint) if personal else {},
        federation=trained.checkpoint.federation if personal else "",
    )
    metrics = {} if evidence is None else evidence.metrics()
    write_model_folder(folder, weights, about, model_card(about, metrics))


def followed_months(
    descriptions: Iterable[Description], grid: TimeGrid
) -> dict[SurvivalTask, float]:
    """Return to which month training patients are certain to have been followed, task by task.

    Of the sites that tell; a task of which none does is absent.
    """
    cohorts = [d.cohorts["training"] for d in descriptions if "training" in d.cohorts]
    found: dict[SurvivalTask, float] = {}
    for task in SURVIVAL_TASKS:
        told = [cells for cohort in cohorts if (cells := cohort.follow_up[task]) is not None]
        if told:
            found[task] = supported_months(told, grid)
    return found


def model_summary(plan: Plan, preprocessing: PreprocessingSettings) -> ModelSummary:
    """Return what a plan's model reads and tells, for the page."""
    return ModelSummary(
        clinical_variables=plan.model.clinical_variables,
        normalisation=preprocessing.normalisation,
        measurements=plan.model.measurements,
        curves=plan.loss.survival == "logistic_hazard",
    )


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Return the versions of installed packages."""
    return {name: version(name) for name in packages}
