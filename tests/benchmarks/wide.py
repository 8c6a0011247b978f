"""The accuracy benchmark's models on more patients than one cohort has.

A cohort has 116 patients to validate on inside and 80 outside: two models that differ by 0.01
cannot be told apart on them. Every cohort's patients are drawn from the same institutions, so the
models of one cohort are judged on the others' as well: on all of their patients at the five sites
(unseen), and on all cohorts' patients at the held-out site (outside). Nobody trained on any of
them and nothing was chosen on them; the threshold of F1 is each model's own, from the internal
validation of its own cohort.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.checkpoint import Checkpoint
from shared.metrics.predictions import evaluate
from shared.results import Cohort
from simulation.cohort.folder import Truth, read_truth
from simulation.comparison import results_table
from simulation.evaluation import (
    Evaluated,
    evaluate_networks,
    evaluate_oracle,
    evaluate_radiomics,
)
from simulation.methods import FederationData, Patients, groups
from simulation.pipeline import federation_data, locate_cohort, prepare
from simulation.row_evidence import rows_at
from simulation.settings import SimulationSettings
from simulation.training import federation_settings, train_method
from tests.benchmarks.goals import METRICS, OUTSIDE, UNSEEN
from tests.benchmarks.internal import everybody

Truths = dict[tuple[str, str], Truth]

# The interval that counts is the one over seeds: a single resample is drawn for form's sake.
ONCE = {"resamples": 1, "seed": 0}


@dataclass(frozen=True)
class WholeCohort:
    """A cohort with its truth.

    Attributes
    ----------
    name : str
        What its patients' names begin with beside other cohorts': each has a first patient.
    """

    name: str
    settings: SimulationSettings
    data: FederationData
    truth: Truths

    def patients(self, part: str) -> Patients:
        """Return all patients at the sites, or at the held-out site."""
        held_out = () if self.data.external is None else (self.data.external,)
        sites = self.data.sites if part == UNSEEN else held_out
        found = everybody(sites)
        named = (replace(case, patient_id=self._named(case.patient_id)) for case in found.cases)
        return replace(found, cases=tuple(named))

    def truth_of_all(self) -> Truths:
        """Return the truth by the names that `patients` gives."""
        return {(site, self._named(name)): truth for (site, name), truth in self.truth.items()}

    def _named(self, patient_id: str) -> str:
        return f"{self.name}/{patient_id}"


@dataclass(frozen=True, kw_only=True)
class Widened(FederationData):
    """A cohort whose external patients are others."""

    wide: Patients

    def cohort(self, cohort: Cohort) -> Patients:
        """Return all patients of a cohort."""
        return self.wide if cohort == "external" else super().cohort(cohort)


def read_cohort(name: str, settings: SimulationSettings, scratch: Path) -> WholeCohort:
    """Find and prepare a synthetic cohort; what it sets aside is written below `scratch`."""
    federation = locate_cohort(settings)
    if federation.truth_csv is None:
        raise ValueError(f"{name}: no truth: not a synthetic cohort")
    data = federation_data(prepare(federation, settings, scratch), federation, settings)
    return WholeCohort(name, settings, data, read_truth(federation.truth_csv))


def judge_widely(own: WholeCohort, everyone: Sequence[WholeCohort], state: Path) -> dict[str, Any]:
    """Return method -> unseen or outside -> metric -> ``{"value"}``, as metrics.json has it.

    Parameters
    ----------
    own : WholeCohort
        Whose models are judged.
    everyone : sequence of WholeCohort
        With `own` among them.
    state : Path
        The checkpoints that its run kept.
    """
    others = [cohort for cohort in everyone if cohort.name != own.name]
    unseen = _joined([cohort.patients(UNSEEN) for cohort in others])
    outside = _joined([cohort.patients(OUTSIDE) for cohort in everyone])
    truth = dict(own.truth)
    for cohort in everyone:
        truth |= cohort.truth_of_all()
    data = Widened(**vars(own.data), wide=_joined([unseen, outside]))
    evaluated = _evaluated(_kept(own, state), data, truth, own.settings)
    position = np.arange(len(data.wide.cases))
    found: dict[str, Any] = {}
    for part, where in (
        (UNSEEN, position < len(unseen.cases)),
        (OUTSIDE, position >= len(unseen.cases)),
    ):
        judged = {method: _of_some(result, where) for method, result in evaluated.items()}
        for method, cohorts_of in results_table(judged).items():
            federated, metrics = method == own.settings.strategy, cohorts_of["external"]
            found.setdefault(method, {})[part] = {
                f"{metric}_rows" if federated else metric: {"value": metrics[metric].value}
                for metric in METRICS
            }
    return found


def _of_some(result: Evaluated, where: NDArray[np.bool_]) -> Evaluated:
    """Return a method as judged on some of the external patients; what it cannot do stays so."""
    rows = rows_at(result.predictions["external"], np.flatnonzero(where))
    whole = result.metrics["external"]
    metrics = {
        metric: estimate if whole[metric].value is not None else whole[metric]
        for metric, estimate in evaluate(rows, result.threshold, **ONCE).items()
    }
    return replace(result, predictions={"external": rows}, metrics={"external": metrics})


def _kept(own: WholeCohort, state: Path) -> dict[str, Checkpoint]:
    """Return every method's model as its run left it."""
    sites, settings = own.data.sites, own.settings
    trained = {}
    for method, members in groups(settings.strategy, sites).items():
        federation = federation_settings(method, members, settings, len(sites), state)
        trained[method] = train_method(members, federation, settings.runtime)
    return trained


def _evaluated(
    trained: Mapping[str, Checkpoint],
    data: FederationData,
    truth: Truths,
    settings: SimulationSettings,
) -> dict[str, Evaluated]:
    return {
        "oracle": evaluate_oracle(data, truth, settings.plan, **ONCE),
        "radiomics": evaluate_radiomics(data, settings.plan, **ONCE),
        **evaluate_networks(trained, data, settings.plan, **ONCE),
    }


def _joined(parts: Sequence[Patients]) -> Patients:
    return Patients(
        cases=tuple(case for part in parts for case in part.cases),
        sites=tuple(name for part in parts for name in part.sites),
    )
