"""Every method on every cohort: predictions, thresholds frozen on internal validation, metrics.

The federation's numbers come from sites' sums, as across institutions. The rivals' come from
rows, which lie together here because a simulation is one machine.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from client.cases import PreparedCase
from client.evaluation import beside_labels, predict_cases
from client.evidence.gather import curve_months
from client.personal import take_own_part
from server.checkpoint import Checkpoint
from server.evidence import ModelEvidence
from server.federation import best_weights, counted_with_best
from shared.metrics.predictions import Predictions, concatenate
from shared.model import MultiTaskNet
from shared.plan import Plan, new_model
from shared.protocol import Instruction
from shared.results import Cohort, Estimate, Metric
from shared.tasks import SURVIVAL_TASKS, SurvivalTask, Task
from shared.weights import Weights
from simulation.cohort.folder import Truth
from simulation.methods import FederationData, Patients
from simulation.radiomics import fit_radiomics, lesion_features
from simulation.row_evidence import by_rows, row_metrics

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Evaluated:
    """One method on the cohorts.

    Attributes
    ----------
    predictions : dict of Cohort to Predictions
    threshold : float or None
        Calls a patient MVI-positive; fixed on internal validation.
    metrics : dict of Cohort to dict
    """

    predictions: dict[Cohort, Predictions]
    threshold: float | None
    metrics: dict[Cohort, dict[Metric, Estimate]]


def load_model(plan: Plan, weights: Weights) -> MultiTaskNet:
    """Return the plan's network with these weights."""
    model = new_model(plan)
    model.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
    return model


def network_predictions(
    model: MultiTaskNet, plan: Plan, patients: Patients, device: torch.device
) -> Predictions:
    """Predict a cohort with a network."""
    return predict_cases(model, plan, patients.cases, patients.sites, device)


def labelled(
    patients: Patients, mvi_probability: FloatArray, risk: Mapping[SurvivalTask, FloatArray]
) -> Predictions:
    """Put a method's predictions beside the patients' labels."""
    return beside_labels(patients.cases, patients.sites, mvi_probability, risk)


def evaluate_networks(
    trained: Mapping[str, Checkpoint],
    data: FederationData,
    plan: Plan,
    *,
    resamples: int,
    seed: int,
) -> dict[str, Evaluated]:
    """Evaluate trained networks from their patients' rows.

    A network of one site alone is judged on that site's own training patients, and on the same
    internal and external patients as all others; its threshold comes from its own internal
    validation, the only one it had.
    """
    evaluated = {}
    for method, checkpoint in trained.items():
        model = load_model(plan, best_weights(checkpoint))
        cohorts = data.cohorts()
        own = _own_site(method, data)
        if own is not None:
            cohorts["training"] = own["training"]
        device = data.sites[0].torch_device
        predictions = {
            cohort: network_predictions(model, plan, patients, device)
            for cohort, patients in cohorts.items()
        }
        choose_on = (
            predictions["internal"]
            if own is None
            else network_predictions(model, plan, own["internal"], device)
        )
        threshold, metrics = row_metrics(
            predictions,
            choose_on=choose_on,
            months=curve_months(plan),
            plan=plan,
            resamples=resamples,
            seed=seed,
        )
        evaluated[method] = Evaluated(predictions, threshold, metrics)
    return evaluated


def evaluate_federation(
    evidence: ModelEvidence,
    checkpoint: Checkpoint,
    data: FederationData,
    plan: Plan,
    *,
    resamples: int,
    seed: int,
) -> Evaluated:
    """Return the federation's row: its numbers are the sites' sums, as in a real one.

    Only one machine can show more: the predictions, for the page's activation maps, and
    ``<metric>_rows``, what patients' rows would have given. By these it compares with its
    rivals, whose figures are of rows too. (Where they train they are sites like any other: a
    rival of one site alone may keep from itself what rests on too few patients.)
    """
    predictions = {
        cohort: as_sites_predict(patients, checkpoint, data, plan)
        for cohort, patients in data.cohorts().items()
    }
    metrics = evidence.metrics()
    for cohort, values in by_rows(predictions, resamples=resamples, seed=seed).items():
        named = {cast(Metric, f"{name}_rows"): value for name, value in values.items()}
        metrics[cohort] = {**metrics[cohort], **named}
    return Evaluated(predictions, evidence.thresholds.mvi, metrics)


def as_sites_predict(
    patients: Patients, checkpoint: Checkpoint, data: FederationData, plan: Plan
) -> Predictions:
    """Predict with the best model and, where it is personal, each site's own part of it."""
    weights, device = best_weights(checkpoint), data.sites[0].torch_device
    if plan.algorithm.personal == "none" or not patients.cases:
        return network_predictions(load_model(plan, weights), plan, patients, device)
    counted = counted_with_best(checkpoint)
    instruction = Instruction(plan, plan.rounds + 1, counted, checkpoint.federation)
    parts = []
    for site in data.everyone:
        rows = zip(patients.cases, patients.sites, strict=True)
        own = tuple(case for case, name in rows if name == site.name)
        if own:
            model = load_model(plan, weights)
            take_own_part(model, site, instruction)
            parts.append(network_predictions(model, plan, _patients(own, site.name), device))
    return concatenate(parts)


def evaluate_radiomics(data: FederationData, plan: Plan, *, resamples: int, seed: int) -> Evaluated:
    """Fit the linear models on lesion features of all training patients, and evaluate them."""
    cohorts = data.cohorts()
    training = cohorts["training"].cases
    if not training:
        raise ValueError("radiomics needs training patients")
    models = fit_radiomics(training, lesion_features(training))
    predictions = {}
    for cohort, patients in cohorts.items():
        if not patients.cases:
            nobody = np.empty(0)
            predictions[cohort] = labelled(patients, nobody, dict.fromkeys(SURVIVAL_TASKS, nobody))
            continue
        features = lesion_features(patients.cases)
        predictions[cohort] = labelled(
            patients,
            np.nan_to_num(models.mvi_probability(features), nan=0.5),
            {task: np.nan_to_num(models.risk(task, features), nan=0.0) for task in SURVIVAL_TASKS},
        )
    evaluated = _from_rows(predictions, plan, resamples=resamples, seed=seed)
    unfitted: list[Task] = [task for task in SURVIVAL_TASKS if models.survival[task] is None]
    if models.mvi is None:
        unfitted.append("mvi")
    return replace(evaluated, metrics=_without(evaluated.metrics, unfitted))


def evaluate_oracle(
    data: FederationData,
    truth: Mapping[tuple[str, str], Truth],
    plan: Plan,
    *,
    resamples: int,
    seed: int,
) -> Evaluated:
    """Evaluate the true risks of a synthetic cohort: the best that is possible."""
    predictions = {}
    for cohort, patients in data.cohorts().items():
        rows = [
            truth[site, case.patient_id]
            for site, case in zip(patients.sites, patients.cases, strict=True)
        ]
        predictions[cohort] = labelled(
            patients,
            np.array([row.mvi_probability for row in rows], dtype=float),
            {
                "rfs": np.array([row.rfs_log_hazard for row in rows], dtype=float),
                "os": np.array([row.os_log_hazard for row in rows], dtype=float),
            },
        )
    return _from_rows(predictions, plan, resamples=resamples, seed=seed)


def _own_site(method: str, data: FederationData) -> dict[Cohort, Patients] | None:
    name = method.removeprefix("local/")
    if name == method:
        return None
    (site,) = (site for site in data.sites if site.name == name)
    split = data.split(site)
    return {
        "training": _patients(split.training, site.name),
        "internal": _patients(split.internal, site.name),
    }


def _patients(cases: tuple[PreparedCase, ...], site: str) -> Patients:
    return Patients(cases=cases, sites=(site,) * len(cases))


def _from_rows(
    predictions: dict[Cohort, Predictions], plan: Plan, *, resamples: int, seed: int
) -> Evaluated:
    """Evaluate a method that gives risks, and no curves."""
    threshold, metrics = row_metrics(
        predictions,
        choose_on=predictions["internal"],
        months=(),
        plan=plan,
        resamples=resamples,
        seed=seed,
    )
    return Evaluated(predictions, threshold, metrics)


def _without(
    metrics: dict[Cohort, dict[Metric, Estimate]], unfitted: Sequence[Task]
) -> dict[Cohort, dict[Metric, Estimate]]:
    return {
        cohort: {
            metric: Estimate(None, None, estimate.n)
            if metric.partition("_")[0] in unfitted
            else estimate
            for metric, estimate in values.items()
        }
        for cohort, values in metrics.items()
    }
