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

from server.checkpoint import Checkpoint
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
from simulation.settings import SimulationSettings
from simulation.training import federation_settings, train_method
from tests.benchmarks.goals import METRICS, OUTSIDE, UNSEEN
from tests.benchmarks.internal import everybody

Truths = dict[tuple[str, str], Truth]


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
    trained = _kept(own, state)
    found: dict[str, Any] = {}
    for part, cohorts in ((UNSEEN, others), (OUTSIDE, everyone)):
        wide = _joined([cohort.patients(part) for cohort in cohorts])
        data = Widened(**vars(own.data), wide=wide)
        truth = dict(own.truth)
        for cohort in cohorts:
            truth |= cohort.truth_of_all()
        evaluated = _evaluated(trained, data, truth, own.settings)
        for method, cohorts_of in results_table(evaluated).items():
            federated, metrics = method == own.settings.strategy, cohorts_of["external"]
            found.setdefault(method, {})[part] = {
                f"{metric}_rows" if federated else metric: {"value": metrics[metric].value}
                for metric in METRICS
            }
    return found


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
    # The interval that counts is the one over seeds: a single resample is drawn for form's sake.
    once = {"resamples": 1, "seed": 0}
    return {
        "oracle": evaluate_oracle(data, truth, settings.plan, **once),
        "radiomics": evaluate_radiomics(data, settings.plan, **once),
        **evaluate_networks(trained, data, settings.plan, **once),
    }


def _joined(parts: Sequence[Patients]) -> Patients:
    return Patients(
        cases=tuple(case for part in parts for case in part.cases),
        sites=tuple(name for part in parts for name in part.sites),
    )
