"""One configuration on one cohort, judged on internal validation alone.

Whatever is chosen by these figures is chosen without the external site: it is not prepared, not
predicted, and no figure of it exists.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from client.cohort import PreparedSite
from server.checkpoint import Checkpoint
from server.federation import best_weights
from shared.durable_file import write_durably
from shared.metrics.predictions import evaluate
from shared.results import Metric
from simulation.cohort.folder import FederationFolder
from simulation.evaluation import as_sites_predict, load_model, network_predictions
from simulation.federate import remembering
from simulation.methods import FederationData, groups
from simulation.pipeline import federation_data, locate_cohort, prepare
from simulation.run import CONFIGS, identity
from simulation.settings import SimulationSettings, settings_from
from simulation.training import federation_settings, train_method
from tests.benchmarks.over_seeds import REPOSITORY

METRICS: tuple[Metric, ...] = ("os_c_index", "rfs_c_index", "mvi_auc")

Method = Literal["federated", "pooled"]


@dataclass(frozen=True)
class InternalRun:
    """A configuration, and where its figures are kept.

    Attributes
    ----------
    settings : SimulationSettings
    method : str
        ``"federated"``, or ``"pooled"``: the same with all patients in one place.
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
        """Return metric -> value or None, ``loss`` of the best round, and ``cpu_seconds``."""
        read: Mapping[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        return read


def internal_run(
    folder: Path, name: str, cohort: int, seed: int, words: Sequence[str], method: Method
) -> InternalRun:
    """Return the run of a cohort's seed and a run's seed, configured by Hydra's words.

    Raises
    ------
    ConfigurationError, hydra.errors.HydraException
        A word that the configuration does not know, or a value that it refuses.
    """
    here = [f"data_dir={REPOSITORY / 'data'}", f"cache_dir={REPOSITORY / 'cache'}"]
    own = [f"cohort.settings.seed={cohort}", f"seed={seed}"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("simulation", [*here, *own, *words])
    settings = settings_from(cast(dict[str, Any], OmegaConf.to_container(config, resolve=True)))
    decisive = f"{method} {identity(config)}"
    digest = hashlib.blake2b(decisive.encode(), digest_size=6).hexdigest()
    return InternalRun(
        settings, method, folder / name / f"cohort_{cohort}_seed_{seed}_{digest}.json"
    )


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


def trained(run: InternalRun, data: FederationData) -> tuple[Checkpoint, FederationData]:
    """Train from wherever it was left; return the model, and the sites that remember their part."""
    settings = run.settings
    method = settings.strategy if run.method == "federated" else "pooled"
    sites = groups(settings.strategy, data.sites)[method]
    federated = len(data.sites)
    federation = federation_settings(method, sites, settings, federated, state_of(run) / "state")
    checkpoint = train_method(sites, federation, settings.runtime)
    return checkpoint, replace(data, sites=tuple(remembering(data.sites, federation.state_dir)))


def train_and_judge(run: InternalRun, data: FederationData) -> None:
    """Train, judge on internal validation, and write the figures."""
    began = time.process_time()
    plan = run.settings.plan
    checkpoint, own = trained(run, data)
    patients = data.cohort("internal")
    if run.method == "pooled":
        model = load_model(plan, best_weights(checkpoint))
        rows = network_predictions(model, plan, patients, data.sites[0].torch_device)
    else:
        rows = as_sites_predict(patients, checkpoint, own, plan)
    # The interval that counts is the one over seeds: a single resample is drawn for form's sake.
    found = evaluate(rows, None, resamples=1)
    told: dict[str, float | None] = {metric: found[metric].value for metric in METRICS}
    told["loss"] = -checkpoint.best_score
    told["cpu_seconds"] = time.process_time() - began
    keep(run, told)


def keep(run: InternalRun, figures: Mapping[str, Any]) -> None:
    """Write a run's figures, and forget what it was trained with."""
    write_durably(run.path, (json.dumps(figures, indent=2) + "\n").encode())
    shutil.rmtree(state_of(run))


def state_of(run: InternalRun) -> Path:
    """Return where a run keeps what it needs until it is done."""
    return run.path.with_suffix("")
