"""Predictions on a site's patients, and the sums that judge a model by them."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from client.batches import collate, in_order, on_device
from client.cases import PreparedCase
from client.evidence.features import tellable, tellable_pairs
from shared.judgement import Judgement, LossSum
from shared.losses.logistic_hazard import survival_curve
from shared.losses.multitask import Targets, multitask_loss, targets_from_labels
from shared.map_sums import MapSums
from shared.metrics.classification import ScoreHistogram
from shared.metrics.concordance import PairCounts, concordance_pairs
from shared.metrics.labelled import FloatArray
from shared.metrics.predictions import Predictions, SurvivalPredictions
from shared.model import (
    IMAGE_STATISTICS,
    ModelSettings,
    MultiTaskNet,
    direct_features,
    pooled_maps,
    ranking_score,
)
from shared.plan import Plan
from shared.regions import region_weights
from shared.standardisation import FeatureSums
from shared.tasks import SURVIVAL_TASKS, TASKS, TUMOUR_LABEL, SurvivalTask

BATCH_SIZE = 8


@torch.no_grad()
def infer(
    model: MultiTaskNet, cases: Sequence[PreparedCase], device: torch.device
) -> dict[str, Tensor]:
    """Return the network's outputs for all cases, in their order, on the CPU."""
    model.eval()
    names = model.settings.clinical_variables
    batches = [model(batch) for batch, _ in on_device(in_order(cases, BATCH_SIZE, names), device)]
    return {
        task: torch.cat([outputs[task].cpu() for outputs in batches])[: len(cases)]
        for task in TASKS
    }


def predict_cases(
    model: MultiTaskNet,
    plan: Plan,
    cases: Sequence[PreparedCase],
    sites: Sequence[str],
    device: torch.device,
) -> Predictions:
    """Predict patients and put their labels beside it: rows that stay where they are made.

    Parameters
    ----------
    model : MultiTaskNet
    plan : Plan
    cases : sequence of PreparedCase
    sites : sequence of str
        The site of each case.
    device : torch.device
    """
    if not cases:
        return beside_labels((), (), np.empty(0), dict.fromkeys(SURVIVAL_TASKS, np.empty(0)))
    outputs = infer(model.to(device), cases, device)
    curves = (
        {task: survival_curve(outputs[task].double()).numpy() for task in SURVIVAL_TASKS}
        if plan.loss.survival == "logistic_hazard"
        else {}
    )
    return beside_labels(
        cases,
        sites,
        torch.sigmoid(outputs["mvi"].double()).numpy(),
        {task: ranking_score(outputs[task]).numpy() for task in SURVIVAL_TASKS},
        curves,
    )


def beside_labels(
    cases: Sequence[PreparedCase],
    sites: Sequence[str],
    mvi_probability: FloatArray,
    risk: Mapping[SurvivalTask, FloatArray],
    survival: Mapping[SurvivalTask, FloatArray] | None = None,
) -> Predictions:
    """Put predictions of any method beside the patients' labels."""

    def task(name: SurvivalTask) -> SurvivalPredictions:
        outcomes = [getattr(case.labels, name) for case in cases]
        return SurvivalPredictions(
            months=np.array([math.nan if x is None else x.months for x in outcomes], dtype=float),
            event=np.array([math.nan if x is None else x.event for x in outcomes], dtype=float),
            risk=risk[name],
            survival=(survival or {}).get(name, np.empty((len(outcomes), 0))),
        )

    mvi = [case.labels.mvi for case in cases]
    return Predictions(
        patient_id=tuple(case.patient_id for case in cases),
        site=tuple(sites),
        mvi_label=np.array([math.nan if label is None else label for label in mvi], dtype=float),
        mvi_probability=mvi_probability,
        rfs=task("rfs"),
        os=task("os"),
    )


def sum_features(
    cases: Sequence[PreparedCase], settings: ModelSettings, *, minimum_count: int
) -> FeatureSums:
    """Return the sums by which the federation standardises features, over training patients.

    None of them, and no difference of them, rests on fewer than `minimum_count` patients
    (`client.evidence.features`).
    """
    batches = []
    for start in range(0, len(cases), BATCH_SIZE):
        batch = collate(cases[start : start + BATCH_SIZE], settings.clinical_variables)
        batches.append(direct_features(batch, region_weights(batch.mask == TUMOUR_LABEL)))
    sums = FeatureSums.empty(len(settings.feature_names))
    if not batches:
        return sums
    values, known = (torch.cat(column).double().numpy() for column in zip(*batches, strict=True))
    known = tellable(values, known, minimum_count)
    for start in range(0, len(cases), BATCH_SIZE):
        some = slice(start, start + BATCH_SIZE)
        sums = sums + FeatureSums.over(values[some], known[some])
    read = (values[:, IMAGE_STATISTICS:], known[:, IMAGE_STATISTICS:])
    return sums.of_pairs(tellable_pairs(*read, minimum_count))


def sum_maps(
    model: MultiTaskNet, cases: Sequence[PreparedCase], device: torch.device, *, minimum_count: int
) -> MapSums:
    """Return the sums by which the federation standardises what the untrained trunk pools.

    Nothing of fewer than `minimum_count` training patients.
    """
    maps = pooled_maps(model.settings)
    if not maps or not cases:
        return MapSums.empty(maps)
    model.eval()
    pooled = []
    with torch.no_grad():
        for start in range(0, len(cases), BATCH_SIZE):
            batch = collate(cases[start : start + BATCH_SIZE], model.settings.clinical_variables)
            pooled.append(model.pool(batch.to(device)).double().cpu().numpy())
    return MapSums.over(np.concatenate(pooled)).at_least(minimum_count)


def judge(
    model: MultiTaskNet,
    cases: Sequence[PreparedCase],
    plan: Plan,
    device: torch.device,
    *,
    minimum_count: int,
) -> Judgement:
    """Return sums over a site's internal validation patients.

    A task with fewer than `minimum_count` labelled patients is left out of the sums: so few
    could be told apart. Likewise pairs and scores, where the patients with or without the event
    are fewer; and scores are told in cells of so many patients (`shared.evidence`).
    """
    if not cases:
        return Judgement.empty()
    outputs = infer(model, cases, device)
    targets = targets_from_labels([case.labels for case in cases])
    _, means = multitask_loss(outputs, targets, plan.loss, plan.time_grid)
    counts = {task: int(targets.known(task).sum()) for task in TASKS}
    shared = [task for task in TASKS if counts[task] >= minimum_count]
    losses = {task: LossSum(float(means[task]) * counts[task], counts[task]) for task in shared}
    empty = Judgement.empty()
    return Judgement(
        losses={**empty.losses, **losses},
        pairs={
            task: _pairs(outputs[task], targets, task, minimum_count)
            if task in shared
            else empty.pairs[task]
            for task in SURVIVAL_TASKS
        },
        mvi_scores=_histogram(outputs["mvi"], targets, minimum_count)
        if "mvi" in shared
        else empty.mvi_scores,
    )


def _pairs(output: Tensor, targets: Targets, task: SurvivalTask, minimum_count: int) -> PairCounts:
    labels = targets.survival(task)
    known = labels.known
    if _too_few(labels.event[known], minimum_count):
        return PairCounts()
    return concordance_pairs(
        labels.months[known].double().numpy(),
        labels.event[known].numpy(),
        ranking_score(output[known]).numpy(),
    )


def _histogram(logits: Tensor, targets: Targets, minimum_count: int) -> ScoreHistogram:
    known = targets.known("mvi")
    if _too_few(targets.mvi[known] == 1, minimum_count):
        return ScoreHistogram.empty()
    counted = ScoreHistogram.count(
        targets.mvi[known].double().numpy(), torch.sigmoid(logits[known].double()).numpy()
    )
    return counted.coarsened(minimum_count)


def _too_few(seen: Tensor, minimum_count: int) -> bool:
    """Return whether those who had the event, or those who had not, are too few to be told."""
    counts = (int(seen.sum()), int((~seen).sum()))
    return any(0 < count < minimum_count for count in counts)
