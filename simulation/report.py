"""Fills the report from a simulation's rows, which lie on this one machine."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from client.activation import activation_map
from client.batches import collate
from client.cohort import PreparedCase, PreparedSite
from server.checkpoint import Checkpoint
from server.federation import best_weights
from shared.metrics.kaplan_meier import SurvivalCounts, log_rank, survival_counts
from shared.metrics.predictions import Predictions
from shared.reporting.content import (
    ActivationSample,
    ReportContent,
    RiskGroup,
    RiskGroups,
    RocCurve,
    RunSummary,
    SiteSummary,
)
from shared.results import COHORTS, Cohort, Results
from shared.tasks import PHASES, SURVIVAL_TASKS, TUMOUR_LABEL, SurvivalTask
from simulation.evaluation import Evaluated, load_model
from simulation.methods import FederationData
from simulation.settings import SimulationSettings

SAMPLES = 4
AT_RISK_STEP_MONTHS = 12
GREY_RANGE = (-2.0, 2.5)  # normalised intensities shown from black to white
HORIZON_MONTHS = 36.0


def report_content(
    run: RunSummary,
    settings: SimulationSettings,
    prepared: Mapping[str, PreparedSite],
    data: FederationData,
    checkpoint: Checkpoint,
    result: Evaluated,
    results: Results,
) -> ReportContent:
    """Gather what the page shows about the federated model and its rivals."""
    return ReportContent(
        run=run,
        sites=site_summaries(prepared, data),
        results=results,
        rounds=tuple(checkpoint.history),
        risk_groups=risk_groups(result.predictions),
        roc=roc_curves(result),
        activation=activation_samples(settings, data, checkpoint, result),
    )


def site_summaries(
    prepared: Mapping[str, PreparedSite], data: FederationData
) -> tuple[SiteSummary, ...]:
    """Describe every institution, also one that has no usable patient."""
    external = data.external.name if data.external else None
    divided = {site.name: data.split(site) for site in data.sites}
    return tuple(
        _summary(
            site,
            role="external" if name == external else "training",
            training=len(divided[name].training) if name in divided else 0,
            internal=len(divided[name].internal) if name in divided else 0,
        )
        for name, site in prepared.items()
    )


def _summary(site: PreparedSite, *, role: str, training: int, internal: int) -> SiteSummary:
    labels = [case.labels for case in site.cases]
    mvi = [label.mvi for label in labels if label.mvi is not None]
    rfs = [label.rfs for label in labels if label.rfs is not None]
    os = [label.os for label in labels if label.os is not None]
    return SiteSummary(
        name=site.name,
        role=role,
        patients=len(site.cases),
        training=training,
        internal=internal,
        mvi_known=len(mvi),
        mvi_positive=sum(mvi),
        rfs_known=len(rfs),
        rfs_events=sum(outcome.event for outcome in rfs),
        os_known=len(os),
        os_events=sum(outcome.event for outcome in os),
        phases={
            phase: sum(case.present[index] for case in site.cases)
            for index, phase in enumerate(PHASES)
        },
        tumour_diameter_mm=_median([tumour_diameter_mm(case) for case in site.cases]),
        follow_up_months=_median([outcome.months for outcome in os]),
        set_aside=dict(Counter(row.reason for row in site.set_aside)),
    )


def tumour_diameter_mm(case: PreparedCase) -> float:
    """Return the diameter of a sphere of the volume of all tumour in the region."""
    roi = collate([case])
    voxels = int((roi.mask == TUMOUR_LABEL).sum())
    return float(float(roi.spacing_mm[0]) * (6 * voxels / np.pi) ** (1 / 3))


def risk_cuts(
    predictions: Mapping[Cohort, Predictions],
) -> dict[SurvivalTask, tuple[float, ...]]:
    """Return the median predicted risk of internal validation by task, where there is one."""
    references = {task: predictions["internal"].survival(task).risk for task in SURVIVAL_TASKS}
    return {task: (float(np.median(risk)),) for task, risk in references.items() if len(risk)}


def risk_groups(predictions: Mapping[Cohort, Predictions]) -> tuple[RiskGroups, ...]:
    """Split patients at the median predicted risk of internal validation, in both cohorts."""
    drawn = []
    cuts = risk_cuts(predictions)
    for task in SURVIVAL_TASKS[::-1]:
        if task not in cuts:
            continue
        (cut,) = cuts[task]
        for cohort in COHORTS[1:]:
            if len(predictions[cohort]):
                drawn.append(_risk_groups(task, cohort, predictions[cohort], cut))
    return tuple(drawn)


def _risk_groups(
    task: SurvivalTask, cohort: Cohort, predictions: Predictions, cut: float
) -> RiskGroups:
    rows = predictions.survival(task)
    high = rows.risk > cut
    counts = {
        "Low predicted risk": survival_counts(rows.months[~high], rows.event[~high]),
        "High predicted risk": survival_counts(rows.months[high], rows.event[high]),
    }
    last = float(np.nanmax(rows.months, initial=AT_RISK_STEP_MONTHS))
    ticks = list(range(0, int(last) + 1, AT_RISK_STEP_MONTHS * (1 if last <= 72 else 2)))
    return RiskGroups(
        task=task,
        cohort=cohort,
        groups=tuple(_curve(label, group, ticks) for label, group in counts.items()),
        log_rank_p=log_rank(list(counts.values())),
    )


def _curve(label: str, counts: SurvivalCounts, ticks: Sequence[int]) -> RiskGroup:
    lower, upper = counts.confidence_band()
    start = np.ones(1)
    return RiskGroup(
        label=f"{label} (n = {counts.patients})",
        patients=counts.patients,
        months=np.concatenate([np.zeros(1), counts.times_months]),
        survival=np.concatenate([start, counts.survival]),
        lower=np.concatenate([start, lower]),
        upper=np.concatenate([start, upper]),
        at_risk={month: int(counts.at_risk_at([month])[0]) for month in ticks},
    )


def roc_curves(result: Evaluated) -> tuple[RocCurve, ...]:
    """Return MVI's curves where both classes are there."""
    curves = []
    for cohort in COHORTS[1:]:
        rows = result.predictions[cohort]
        known = ~np.isnan(rows.mvi_label)
        label, score = rows.mvi_label[known], rows.mvi_probability[known]
        if len(np.unique(label)) < 2:
            continue
        false_positive_rate, true_positive_rate, _ = roc_curve(label, score)
        curves.append(
            RocCurve(
                cohort=cohort,
                false_positive_rate=false_positive_rate,
                true_positive_rate=true_positive_rate,
                auc=result.metrics[cohort]["mvi_auc"],
                chosen=_rates_at(label, score, result.threshold),
            )
        )
    return tuple(curves)


def _rates_at(
    label: NDArray[np.float64], score: NDArray[np.float64], threshold: float | None
) -> tuple[float, float] | None:
    if threshold is None:
        return None
    called = score >= threshold
    return float(called[label == 0].mean()), float(called[label == 1].mean())


def activation_samples(
    settings: SimulationSettings,
    data: FederationData,
    checkpoint: Checkpoint,
    result: Evaluated,
) -> tuple[ActivationSample, ...]:
    """Show patients of the external site, or of internal validation where there is none.

    Those with the highest and the lowest predicted risk of death, by turns.
    """
    cohort: Cohort = "external" if data.external else "internal"
    cases, rows = data.cohort(cohort).cases, result.predictions[cohort]
    if not cases:
        return ()
    order = np.argsort(-rows.os.risk, kind="stable").tolist()
    chosen = [order.pop(0 if turn % 2 == 0 else -1) for turn in range(min(SAMPLES, len(order)))]
    batch = collate([cases[index] for index in chosen])
    model = load_model(settings.plan, best_weights(checkpoint))
    maps = activation_map(model, batch, "os")
    images = _grey(batch.phases.numpy(), batch.present.numpy())
    tumours = batch.mask.numpy() == TUMOUR_LABEL
    return tuple(
        _sample(images[k], maps[k], tumours[k], _caption(rows, index, settings))
        for k, index in enumerate(chosen)
    )


def _grey(phases: NDArray[np.float32], present: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return one phase a patient, the portal venous one where it is there, in [0, 1]."""
    preferred = [PHASES.index(phase) for phase in ("portal_venous", "arterial", "delayed")]
    shown = [next(i for i in preferred if flags[i] > 0) for flags in present]
    low, high = GREY_RANGE
    return np.clip(
        (np.stack([p[i] for p, i in zip(phases, shown, strict=True)]) - low) / (high - low), 0, 1
    )


def _sample(
    image: NDArray[np.float64],
    activation: NDArray[np.float32],
    tumour: NDArray[np.bool_],
    caption: str,
) -> ActivationSample:
    """Return the axial slice with the most tumour."""
    level = int(tumour.sum(axis=(1, 2)).argmax())
    return ActivationSample(
        image=image[level],
        activation=activation[level].astype(np.float64),
        tumour=tumour[level],
        caption=caption,
    )


def _caption(rows: Predictions, index: int, settings: SimulationSettings) -> str:
    parts = [f"MVI {rows.mvi_probability[index]:.0%}"]
    edges = settings.time_grid_months
    if rows.os.survival.shape[1] and HORIZON_MONTHS in edges:
        survival = rows.os.survival[index, edges.index(HORIZON_MONTHS)]
        parts.append(f"alive at 3 years {survival:.0%}")
    return "Predicted: " + ", ".join(parts)


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None
