"""Answers to the coordinator's question how good a model is at this institution."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from client.activation import activation_map
from client.batches import collate
from client.cases import PreparedCase
from client.evaluation import BATCH_SIZE, predict_cases
from client.evidence.mvi import mvi_sums
from client.evidence.rule import Rule
from client.evidence.survival import survival_sums
from client.site import Site
from client.split import split_cases
from shared.activation_share import ActivationShares, activation_shares
from shared.evidence.request import EvidenceRequest
from shared.evidence.sums import CohortSums, Evidence
from shared.metrics.predictions import Predictions
from shared.model import MultiTaskNet
from shared.plan import Plan
from shared.results import Cohort
from shared.tasks import TUMOUR_LABEL

# Of patients that the model did not learn from.
MAPPED: tuple[Cohort, ...] = ("internal", "external")


def cohorts_of(site: Site, plan: Plan) -> dict[Cohort, tuple[PreparedCase, ...]]:
    """Return the site's cohorts: the external one alone where it never trains."""
    if site.role == "external":
        return {"external": site.cases}
    split = split_cases(site.cases, plan.seed, plan.training_fraction)
    return {"training": split.training, "internal": split.internal}


def rule_of(site: Site) -> Rule:
    """Return the rule by which a site answers."""
    return Rule(site.minimum_count, site.bootstrap_seed)


def gather_evidence(
    model: MultiTaskNet, plan: Plan, site: Site, request: EvidenceRequest
) -> Evidence:
    """Return the sums of the cohorts that are asked for and that the site has."""
    cohorts = {}
    for cohort, cases in cohorts_of(site, plan).items():
        if cohort in request.cohorts:
            predictions = predict_cases(
                model, plan, cases, (site.name,) * len(cases), site.torch_device
            )
            sums = cohort_sums(
                predictions, curve_months(plan), site.name, cohort, request, rule_of(site)
            )
            if request.thresholds is not None and cohort in MAPPED and sums.patients is not None:
                shares = activation_sums(model, cases, site.torch_device, rule_of(site))
                sums = replace(sums, activation=shares)
            cohorts[cohort] = sums
    return Evidence(site.name, site.minimum_count, cohorts)


def activation_sums(
    model: MultiTaskNet, cases: Sequence[PreparedCase], device: torch.device, rule: Rule
) -> ActivationShares | None:
    """Return the shares of the maps of death in tumour and margin, summed over patients.

    None where those with a map, or those without, are too few to be told. No map leaves.
    """
    total = ActivationShares()
    for start in range(0, len(cases), BATCH_SIZE):
        some = cases[start : start + BATCH_SIZE]
        batch = collate(some, model.settings.clinical_variables).to(device)
        maps = activation_map(model, batch, "os")
        total = total + activation_shares(maps, (batch.mask == TUMOUR_LABEL).cpu().numpy())
    return total if rule.told_part(total.patients, len(cases)) is not None else None


def curve_months(plan: Plan) -> tuple[float, ...]:
    """Return where the plan's networks predict survival."""
    return plan.time_grid.edges_months if plan.loss.survival == "logistic_hazard" else ()


def cohort_sums(
    predictions: Predictions,
    months: tuple[float, ...],
    site: str,
    cohort: Cohort,
    request: EvidenceRequest,
    rule: Rule,
) -> CohortSums:
    """Return the sums of one site's patients of one cohort.

    Parameters
    ----------
    predictions : Predictions
        Of patients of this site only.
    months : tuple of float
        Where the predicted curves are given.
    site, cohort : str
    request : EvidenceRequest
    rule : Rule
    """
    if not rule.allows(len(predictions)):
        return CohortSums(patients=None)
    threshold = None if request.thresholds is None else request.thresholds.mvi
    mvi = mvi_sums(
        predictions.mvi_label,
        predictions.mvi_probability,
        site=site,
        cohort=cohort,
        threshold=threshold,
        resamples=request.resamples,
        rule=rule,
    )
    rfs, os = (
        survival_sums(
            predictions.survival(task),
            months,
            site=site,
            cohort=cohort,
            task=task,
            request=request,
            rule=rule,
        )
        for task in ("rfs", "os")
    )
    return CohortSums(patients=len(predictions), mvi=mvi, rfs=rfs, os=os)
