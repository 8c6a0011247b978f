"""Fills the report from what sites told: sums of a federation, no patient's row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from server.evidence import ModelEvidence
from shared.activation_share import ActivationShares
from shared.evidence import mvi, risk_groups, survival
from shared.evidence.cells import FloatArray
from shared.evidence.description import Description
from shared.evidence.follow_up import FollowUpCells, supported_months, survival_bounds
from shared.evidence.hidden import hidden, unsummed
from shared.evidence.metrics import hazard_ratio, horizon_estimates
from shared.evidence.sums import MviSums, SurvivalSums
from shared.evidence.table_one import characteristics, is_external, site_summary
from shared.metrics.kaplan_meier import SurvivalCounts, log_rank
from shared.reporting.content import (
    CalibrationCurve,
    ConfusionTable,
    DecisionCurve,
    HorizonScore,
    ReportContent,
    RiskGroup,
    RiskGroups,
    RocCurve,
    RunSummary,
)
from shared.results import Cohort, Estimate, Metric, Results
from shared.tasks import SURVIVAL_TASKS, SurvivalTask
from shared.time_grid import TimeGrid

# (follow-up of at most so many months, months between the numbers at risk)
_STEPS = ((12, 3), (72, 12))
_LONGEST_STEP = 24
JUDGED: tuple[Cohort, ...] = ("internal", "external")
_NAMES = ("Low predicted risk", "High predicted risk")
_THREE_NAMES = ("Low predicted risk", "Medium predicted risk", "High predicted risk")


@dataclass(frozen=True, eq=False)
class Told:
    """What sites told of their patients and of the federated model.

    Attributes
    ----------
    descriptions : tuple of Description
    evidence : ModelEvidence
    rounds : tuple of mapping
        Records of ``rounds.jsonl``.
    """

    descriptions: tuple[Description, ...]
    evidence: ModelEvidence
    rounds: tuple[Mapping[str, Any], ...]


def federation_content(run: RunSummary, results: Results, told: Told) -> ReportContent:
    """Return the page's values.

    Parameters
    ----------
    run : RunSummary
    results : Results
        Of the federated model, and of whatever it is compared with.
    told : Told
    """
    evidence = told.evidence
    metrics = results[run.strategy]
    ordered = sorted(told.descriptions, key=lambda d: (is_external(d), d.site))
    return ReportContent(
        run=run,
        sites=tuple(site_summary(description) for description in ordered),
        results=results,
        rounds=told.rounds,
        risk_groups=risk_group_curves(evidence),
        roc=roc_curves(evidence, metrics),
        activation=(),
        by_site=evidence.metrics_by_site(),
        confusion=confusion_tables(evidence, metrics),
        calibration=calibration_curves(evidence),
        decision=decision_curves(evidence),
        horizons=horizon_scores(evidence),
        characteristics=characteristics(ordered),
        activation_shares=activation_shares(evidence),
        hidden=(
            *hidden(evidence.answers, evidence.request),
            *unsummed(told.rounds, evidence.answers),
        ),
        unjudged=evidence.refused,
    )


def activation_shares(evidence: ModelEvidence) -> dict[Cohort, ActivationShares]:
    """Return the sums over the sites that tell theirs, external patients first."""
    found = {}
    for cohort in JUDGED[::-1]:
        told = [part.activation for part in evidence.parts(cohort)]
        known = [shares for shares in told if shares is not None]
        if known:
            found[cohort] = sum(known, start=ActivationShares())
    return found


def _mvi(evidence: ModelEvidence, cohort: Cohort) -> list[MviSums]:
    return [part.mvi for part in evidence.parts(cohort)]


def _survival(evidence: ModelEvidence, cohort: Cohort, task: SurvivalTask) -> list[SurvivalSums]:
    return [part.survival(task) for part in evidence.parts(cohort)]


def risk_group_curves(evidence: ModelEvidence) -> tuple[RiskGroups, ...]:
    """Return Kaplan-Meier curves of the frozen risk groups, task by task and cohort by cohort."""
    found = []
    grid = evidence.request.follow_up
    for task in SURVIVAL_TASKS[::-1]:
        for cohort in JUDGED:
            parts = _survival(evidence, cohort, task)
            counts = risk_groups.group_counts(parts, grid.intervals + 1)
            if counts is None:
                continue
            curves = [risk_groups.survival_counts(own[0], grid) for own in counts]
            told = list(zip(*(part.groups for part in parts if part.groups), strict=True))
            found.append(
                RiskGroups(
                    task=task,
                    cohort=cohort,
                    groups=_curves(curves, told, grid),
                    log_rank_p=log_rank(curves),
                    hazard_ratio=hazard_ratio(parts, evidence.request),
                )
            )
    return tuple(found)


def _curves(
    counts: Sequence[SurvivalCounts], told: Sequence[Sequence[FollowUpCells]], grid: TimeGrid
) -> tuple[RiskGroup, ...]:
    """Return each group's curve as far as sites are certain to have followed it."""
    names = _NAMES if len(counts) == len(_NAMES) else _THREE_NAMES
    last = [supported_months(cells, grid) for cells in told]
    step = next((step for most, step in _STEPS if max(last) <= most), _LONGEST_STEP)
    return tuple(
        _curve(name, own, range(0, int(end) + 1, step), end, survival_bounds(cells, grid))
        for name, own, end, cells in zip(names, counts, last, told, strict=True)
    )


def _curve(
    label: str,
    counts: SurvivalCounts,
    ticks: Sequence[int],
    last: float,
    bounds: tuple[FloatArray, FloatArray],
) -> RiskGroup:
    lower, upper = counts.confidence_band()
    shown = counts.times_months <= last
    return RiskGroup(
        label=f"{label} (n = {counts.patients})",
        patients=counts.patients,
        months=counts.times_months[shown],
        survival=counts.survival[shown],
        lower=lower[shown],
        upper=upper[shown],
        at_risk={month: round(float(counts.remaining_at([month])[0])) for month in ticks},
        bounds=(bounds[0][shown], bounds[1][shown]),
    )


def roc_curves(
    evidence: ModelEvidence, metrics: Mapping[Cohort, Mapping[Metric, Estimate]]
) -> tuple[RocCurve, ...]:
    """Return MVI's curves where both classes are there."""
    found = []
    for cohort in JUDGED:
        parts = _mvi(evidence, cohort)
        rates, area = mvi.roc(parts), mvi.auc(parts)
        if rates is None or area is None:
            continue
        chosen = (metrics[cohort]["mvi_specificity"], metrics[cohort]["mvi_sensitivity"])
        specificity, sensitivity = (estimate.value for estimate in chosen)
        told = specificity is not None and sensitivity is not None
        found.append(
            RocCurve(
                cohort=cohort,
                false_positive_rate=rates[0],
                true_positive_rate=rates[1],
                auc=metrics[cohort]["mvi_auc"],
                chosen=(1 - (specificity or 0), sensitivity or 0) if told else None,
                auc_error=area.error,
            )
        )
    return tuple(found)


def confusion_tables(
    evidence: ModelEvidence, metrics: Mapping[Cohort, Mapping[Metric, Estimate]]
) -> tuple[ConfusionTable, ...]:
    """Return MVI calls at the frozen threshold."""
    found = []
    for cohort in JUDGED:
        table = mvi.confusion(_mvi(evidence, cohort))
        if table is None or evidence.thresholds.mvi is None:
            continue
        hit, false_alarm, missed, spared = (round(float(n)) for n in table.counts[0])
        rates = {
            name.removeprefix("mvi_"): estimate
            for name, estimate in metrics[cohort].items()
            if name.removeprefix("mvi_") in table.rates()
        }
        found.append(
            ConfusionTable(
                cohort=cohort,
                threshold=evidence.thresholds.mvi,
                true_positive=hit,
                false_positive=false_alarm,
                false_negative=missed,
                true_negative=spared,
                rates=rates,
            )
        )
    return tuple(found)


def calibration_curves(evidence: ModelEvidence) -> tuple[CalibrationCurve, ...]:
    """Return predicted against observed, of MVI and of survival at every horizon."""
    found = []
    for cohort in JUDGED:
        groups = mvi.calibration(_mvi(evidence, cohort))
        if groups is not None:
            found.append(CalibrationCurve("mvi", cohort, None, *groups))
        for task in SURVIVAL_TASKS:
            parts = _survival(evidence, cohort, task)
            for index, months in enumerate(evidence.request.horizons_months):
                groups = survival.calibration_at(parts, index)
                if groups is not None:
                    found.append(CalibrationCurve(task, cohort, months, *groups))
    return tuple(found)


def decision_curves(evidence: ModelEvidence) -> tuple[DecisionCurve, ...]:
    """Return net benefit over threshold probabilities."""
    found = []
    for cohort in JUDGED:
        benefit = mvi.net_benefit(_mvi(evidence, cohort))
        if benefit is not None:
            found.append(DecisionCurve(cohort, *benefit))
    return tuple(found)


def horizon_scores(evidence: ModelEvidence) -> tuple[HorizonScore, ...]:
    """Return AUC and Brier scores at every horizon."""
    return tuple(
        HorizonScore(task, cohort, months, scores.auc, scores.brier, scores.null_brier)
        for task in SURVIVAL_TASKS[::-1]
        for cohort in JUDGED
        for months, scores in horizon_estimates(
            _survival(evidence, cohort, task),
            evidence.request,
            evidence.follow_up[cohort].get(task),
        ).items()
    )
