"""One configuration on one cohort, judged inside: on internal validation, and on unseen patients.

The unseen are the patients of the same institutions in other cohorts: nobody trained on them and
no round was chosen on them, and there are ten times as many as in internal validation, so that a
difference of a few thousandths can be told from chance. Whatever is chosen by these figures is
chosen without the external site: it is not prepared, not predicted, and no figure of it exists.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from lifelines import KaplanMeierFitter
from omegaconf import OmegaConf

from client.cohort import PreparedSite
from client.evaluation import judge
from client.evidence.gather import curve_months
from client.site import Site
from server.checkpoint import Checkpoint
from server.federation import best_weights
from server.selection import selection_score
from shared.durable_file import write_durably
from shared.metrics.predictions import SurvivalPredictions, evaluate
from shared.results import Metric
from shared.tasks import SURVIVAL_TASKS
from simulation.cohort.folder import FederationFolder
from simulation.evaluation import as_sites_predict, load_model, network_predictions
from simulation.federate import remembering
from simulation.methods import FederationData, Patients, groups
from simulation.pipeline import federation_data, locate_cohort, prepare
from simulation.run import CONFIGS, identity
from simulation.settings import SimulationSettings, settings_from
from simulation.training import federation_settings, train_method
from tests.benchmarks.over_seeds import REPOSITORY

# A cohort by its generator's seed or its folder, and the seed of the run on it.
Seeds = Sequence[tuple[int | Path, int]]

METRICS: tuple[Metric, ...] = ("os_c_index", "rfs_c_index", "mvi_auc")
UNSEEN_PREFIX = "unseen_"
# Where predicted survival is held against what was observed; an edge of the default's time grid.
EXCESS_AT_MONTHS = 48.0

Method = Literal[
    "federated",
    "pooled",
    "local/site_1",
    "local/site_2",
    "local/site_3",
    "local/site_4",
    "local/site_5",
]


@dataclass(frozen=True)
class InternalRun:
    """A configuration, and where its figures are kept.

    Attributes
    ----------
    settings : SimulationSettings
    method : str
        ``"federated"``; or ``"pooled"``: the same with all patients in one place; or
        ``"local/<site>"``: the same at one site alone.
    path : Path
        The figures; named by all that decides them, so that what is there need not be run again.
    """

    settings: SimulationSettings
    method: Method
    path: Path

    @property
    def done(self) -> bool:
        """Whether the figures are there."""
        return self.path.is_file()

    def figures(self) -> Mapping[str, Any]:
        """Return metric -> value or None, ``loss`` of the best round, and ``cpu_seconds``.

        Beside the metrics stand ``os_excess`` and ``rfs_excess`` (`excess_survival`). All but the
        seconds stand once more behind `UNSEEN_PREFIX`.
        """
        read: Mapping[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        return read


def cohort_words(cohort: int | Path) -> list[str]:
    """Return the words that name a cohort: by the generator's seed, or the federation's folder."""
    if isinstance(cohort, Path):
        return ["cohort=folder", f"cohort.root={cohort}"]
    return [f"cohort.settings.seed={cohort}"]


def run_name(cohort: int | Path, seed: int) -> str:
    """Return what the files of a run on a cohort are called."""
    return f"cohort_{cohort.name if isinstance(cohort, Path) else cohort}_seed_{seed}"


def internal_run(
    folder: Path, name: str, cohort: int | Path, seed: int, words: Sequence[str], method: Method
) -> InternalRun:
    """Return the run of a cohort (`cohort_words`) and a run's seed, configured by Hydra's words.

    Raises
    ------
    ConfigurationError, hydra.errors.HydraException
        A word that the configuration does not know, or a value that it refuses.
    """
    here = [f"data_dir={REPOSITORY / 'data'}", f"cache_dir={REPOSITORY / 'cache'}"]
    own = [*cohort_words(cohort), f"seed={seed}"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("simulation", [*here, *own, *words])
    settings = settings_from(cast(dict[str, Any], OmegaConf.to_container(config, resolve=True)))
    decisive = f"{method} {identity(config)}"
    digest = hashlib.blake2b(decisive.encode(), digest_size=6).hexdigest()
    path = folder / name / f"{run_name(cohort, seed)}_{digest}.json"
    return InternalRun(settings, method, path)


class Cohorts:
    """Prepared cohorts, each made once for all variants that share it.

    On disk cohorts are kept by their settings, and regions by content and preprocessing; here
    what was found there, so that a variant does not look through all patients again.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[FederationFolder, dict[str, PreparedSite]]] = {}

    def data_of(self, run: InternalRun) -> FederationData:
        """Return the training sites of a run's cohort, written and prepared where need be."""
        settings = run.settings
        key = repr((settings.cohort, settings.preprocessing, settings.model.clinical_variables))
        if key not in self._kept:
            federation = replace(locate_cohort(settings), external=None)
            self._kept[key] = (federation, prepare(federation, settings, state_of(run)))
        federation, sites = self._kept[key]
        return federation_data(sites, federation, settings)


def everybody(sites: Sequence[Site]) -> Patients:
    """Return all patients of these sites."""
    return Patients(
        cases=tuple(case for site in sites for case in site.cases),
        sites=tuple(site.name for site in sites for _ in site.cases),
    )


def trained(run: InternalRun, data: FederationData) -> tuple[Checkpoint, FederationData]:
    """Train from wherever it was left; return the model, and the sites that remember their part."""
    settings = run.settings
    method = settings.strategy if run.method == "federated" else run.method
    sites = groups(settings.strategy, data.sites)[method]
    federated = len(data.sites)
    federation = federation_settings(method, sites, settings, federated, state_of(run) / "state")
    checkpoint = train_method(sites, federation, settings.runtime)
    return checkpoint, replace(data, sites=tuple(remembering(data.sites, federation.state_dir)))


def train_and_judge(run: InternalRun, data: FederationData, unseen: Patients) -> None:
    """Train, judge on internal validation and on unseen patients, and write the figures.

    A model with own parts has no loss on unseen patients: it is many models.
    """
    began = time.process_time()
    checkpoint, own = trained(run, data)
    told = judged(run, checkpoint, own, data.cohort("internal"))
    if (best := checkpoint.best_round) is not None:
        told["loss"] = -checkpoint.history[best]["score"]
    kept = judged(run, checkpoint, own, unseen)
    if run.settings.plan.algorithm.personal == "none":
        kept["loss"] = loss_of(run, checkpoint, unseen)
    told |= {UNSEEN_PREFIX + name: value for name, value in kept.items()}
    told["cpu_seconds"] = time.process_time() - began
    keep(run, told)


def judged(
    run: InternalRun, checkpoint: Checkpoint, own: FederationData, patients: Patients
) -> dict[str, float | None]:
    """Return metric -> value of the best model on patients; none where there are none."""
    if not patients.cases:
        return {}
    plan = run.settings.plan
    if run.method == "federated":
        rows = as_sites_predict(patients, checkpoint, own, plan)
    else:
        model = load_model(plan, best_weights(checkpoint))
        rows = network_predictions(model, plan, patients, own.sites[0].torch_device)
    # The interval that counts is the one over seeds: a single resample is drawn for form's sake.
    found = evaluate(rows, None, resamples=1)
    edges = curve_months(plan)
    excess = {
        f"{task}_excess": excess_survival(rows.survival(task), edges) for task in SURVIVAL_TASKS
    }
    return {metric: found[metric].value for metric in METRICS} | excess


def excess_survival(rows: SurvivalPredictions, edges_months: Sequence[float]) -> float | None:
    """Return by how much mean predicted survival at `EXCESS_AT_MONTHS` exceeds Kaplan-Meier's.

    None where nobody has the label, or no curve is given there.
    """
    known = ~np.isnan(rows.months)
    if EXCESS_AT_MONTHS not in edges_months or not known.any():
        return None
    observed = KaplanMeierFitter().fit(rows.months[known], rows.event[known])
    predicted = rows.survival[known, list(edges_months).index(EXCESS_AT_MONTHS)]
    return float(predicted.mean() - observed.predict(EXCESS_AT_MONTHS))


def loss_of(run: InternalRun, checkpoint: Checkpoint, patients: Patients) -> float | None:
    """Return the loss of the best model on patients, of all tasks."""
    plan = run.settings.plan
    model = load_model(plan, best_weights(checkpoint))
    device = torch.device(run.settings.runtime.device)
    judgement = judge(model, patients.cases, plan, device, minimum_count=1)
    score = selection_score(judgement.losses, plan)
    return None if score is None else -score


def keep(run: InternalRun, figures: Mapping[str, Any]) -> None:
    """Write a run's figures, and forget what it was trained with."""
    write_durably(run.path, (json.dumps(figures, indent=2) + "\n").encode())
    shutil.rmtree(state_of(run))


def state_of(run: InternalRun) -> Path:
    """Return where a run keeps what it needs until it is done."""
    return run.path.with_suffix("")
