"""Every method on every cohort: predictions, thresholds frozen on internal validation, metrics.

Rows of all sites lie together here because a simulation is one machine; nothing of this file
exists across institutions.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from client.cohort import PreparedCase
from client.evaluation import infer
from server.checkpoint import Checkpoint
from server.federation import best_weights
from shared.losses.logistic_hazard import survival_curve
from shared.metrics.classification import best_f1_threshold
from shared.metrics.predictions import Predictions, SurvivalPredictions, evaluate
from shared.model import MultiTaskNet, ranking_score
from shared.plan import Plan, new_model
from shared.results import Cohort, Estimate, Metric
from shared.tasks import SURVIVAL_TASKS, SurvivalTask
from shared.weights import Weights
from simulation.cohort.folder import Truth
from simulation.methods import FederationData, Patients
from simulation.radiomics import fit_radiomics, lesion_features

FloatArray = NDArray[np.float64]
Table = dict[str, dict[Cohort, dict[Metric, Estimate]]]


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
    if not patients.cases:
        empty = np.empty(0)
        return labelled(patients, empty, dict.fromkeys(SURVIVAL_TASKS, empty))
    outputs = infer(model.to(device), patients.cases, device)
    curves = (
        {task: survival_curve(outputs[task].double()).numpy() for task in SURVIVAL_TASKS}
        if plan.loss.survival == "logistic_hazard"
        else {}
    )
    return labelled(
        patients,
        torch.sigmoid(outputs["mvi"].double()).numpy(),
        {task: ranking_score(outputs[task]).numpy() for task in SURVIVAL_TASKS},
        curves,
    )


def labelled(
    patients: Patients,
    mvi_probability: FloatArray,
    risk: Mapping[SurvivalTask, FloatArray],
    survival: Mapping[SurvivalTask, FloatArray] | None = None,
) -> Predictions:
    """Put a method's predictions beside the patients' labels."""

    def task(name: SurvivalTask) -> SurvivalPredictions:
        outcomes = [getattr(case.labels, name) for case in patients.cases]
        return SurvivalPredictions(
            months=np.array([math.nan if x is None else x.months for x in outcomes], dtype=float),
            event=np.array([math.nan if x is None else x.event for x in outcomes], dtype=float),
            risk=risk[name],
            survival=(survival or {}).get(name, np.empty((len(outcomes), 0))),
        )

    mvi = [case.labels.mvi for case in patients.cases]
    return Predictions(
        patient_id=tuple(case.patient_id for case in patients.cases),
        site=patients.sites,
        mvi_label=np.array([math.nan if label is None else label for label in mvi], dtype=float),
        mvi_probability=mvi_probability,
        rfs=task("rfs"),
        os=task("os"),
    )


def evaluate_method(
    predictions: dict[Cohort, Predictions],
    *,
    choose_on: Predictions,
    resamples: int,
    seed: int,
) -> Evaluated:
    """Fix the MVI threshold on some patients' predictions, freeze it, and judge all cohorts.

    Parameters
    ----------
    predictions : dict of Cohort to Predictions
    choose_on : Predictions
        Internal validation patients that the method had; never the external site.
    resamples, seed : int
        Of the bootstrap.
    """
    threshold = best_f1_threshold(choose_on.mvi_label, choose_on.mvi_probability)
    metrics = {
        cohort: evaluate(rows, threshold, resamples=resamples, seed=seed)
        for cohort, rows in predictions.items()
    }
    return Evaluated(predictions, threshold, metrics)


def evaluate_networks(
    trained: Mapping[str, Checkpoint],
    data: FederationData,
    plan: Plan,
    *,
    resamples: int,
    seed: int,
) -> dict[str, Evaluated]:
    """Evaluate every trained network.

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
        evaluated[method] = evaluate_method(
            predictions, choose_on=choose_on, resamples=resamples, seed=seed
        )
    return evaluated


def evaluate_radiomics(data: FederationData, *, resamples: int, seed: int) -> Evaluated:
    """Fit the linear models on lesion features of all training patients, and evaluate them."""
    cohorts = data.cohorts()
    training = cohorts["training"].cases
    if not training:
        raise ValueError("radiomics needs training patients")
    models = fit_radiomics(training, lesion_features(training))
    predictions = {}
    for cohort, patients in cohorts.items():
        features = lesion_features(patients.cases)
        predictions[cohort] = labelled(
            patients,
            np.nan_to_num(models.mvi_probability(features), nan=0.5),
            {task: np.nan_to_num(models.risk(task, features), nan=0.0) for task in SURVIVAL_TASKS},
        )
    evaluated = evaluate_method(
        predictions, choose_on=predictions["internal"], resamples=resamples, seed=seed
    )
    unfitted: list[Metric] = [] if models.mvi is not None else ["mvi_f1", "mvi_auc"]
    if models.survival["os"] is None:
        unfitted.append("os_c_index")
    if models.survival["rfs"] is None:
        unfitted.append("rfs_c_index")
    return replace(evaluated, metrics=_without(evaluated.metrics, unfitted))


def evaluate_oracle(
    data: FederationData,
    truth: Mapping[tuple[str, str], Truth],
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
    return evaluate_method(
        predictions, choose_on=predictions["internal"], resamples=resamples, seed=seed
    )


def results_table(evaluated: Mapping[str, Evaluated]) -> Table:
    """Return the results of all methods, with ``local`` as the mean over sites."""
    table: Table = {method: result.metrics for method, result in evaluated.items()}
    local = [result.metrics for method, result in evaluated.items() if method.startswith("local/")]
    if local:
        table["local"] = {
            cohort: {
                metric: mean_estimate([result[cohort][metric] for result in local])
                for metric in local[0][cohort]
            }
            for cohort in local[0]
        }
    return table


def mean_estimate(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean of those estimates that can be had.

    Its interval is the mean of theirs: never narrower than the interval of the mean, since a
    standard deviation of a mean is at most the mean of the standard deviations.
    """
    n = max(estimate.n for estimate in estimates)
    values = [estimate.value for estimate in estimates if estimate.value is not None]
    if not values:
        return Estimate(value=None, ci95=None, n=n)
    intervals = [estimate.ci95 for estimate in estimates if estimate.ci95 is not None]
    low, high = np.mean(intervals, axis=0) if intervals else (None, None)
    ci95 = None if low is None or high is None else (float(low), float(high))
    return Estimate(value=float(np.mean(values)), ci95=ci95, n=n)


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


def _without(
    metrics: dict[Cohort, dict[Metric, Estimate]], unfitted: Sequence[Metric]
) -> dict[Cohort, dict[Metric, Estimate]]:
    return {
        cohort: {
            metric: Estimate(None, None, estimate.n) if metric in unfitted else estimate
            for metric, estimate in values.items()
        }
        for cohort, values in metrics.items()
    }
