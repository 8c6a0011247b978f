"""Answers to the coordinator's question how good a model is at this institution."""

from client.cohort import PreparedCase
from client.evaluation import predict_cases
from client.evidence.mvi import mvi_sums
from client.evidence.rule import Rule
from client.evidence.survival import survival_sums
from client.site import Site
from client.split import split_cases
from shared.evidence.request import EvidenceRequest
from shared.evidence.sums import CohortSums, Evidence
from shared.metrics.predictions import Predictions
from shared.model import MultiTaskNet
from shared.plan import Plan
from shared.results import Cohort


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
            cohorts[cohort] = cohort_sums(
                predictions, curve_months(plan), site.name, cohort, request, rule_of(site)
            )
    return Evidence(site.name, site.minimum_count, cohorts)


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
