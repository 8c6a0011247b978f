"""A report's content from seeded numbers, at the published size."""

from collections.abc import Mapping
from typing import cast

import numpy as np

from shared.activation_share import ActivationShares
from shared.metrics.kaplan_meier import survival_counts
from shared.reporting.content import (
    ActivationSample,
    CalibrationCurve,
    Characteristic,
    ConfusionTable,
    DecisionCurve,
    Hidden,
    HorizonScore,
    ModelSummary,
    ReportContent,
    RiskGroup,
    RiskGroups,
    RocCurve,
    RunSummary,
    SiteSummary,
    Summary,
)
from shared.results import COHORTS, METRICS, Cohort, Estimate, Metric, Results
from shared.tasks import SURVIVAL_TASKS, SurvivalTask, Task

SITES = {"site_1": 110, "site_2": 78, "site_3": 56, "site_4": 40, "site_5": 24}
SIZES: dict[Cohort, int] = {"training": 192, "internal": 116, "external": 80}
LEVELS = {"oracle": 0.82, "pooled": 0.74, "radiomics": 0.68, "fedavg": 0.73, "local": 0.64}
HORIZONS = (12.0, 24.0, 36.0, 60.0)
MONTHS = (0, 12, 24, 36, 48, 60)


def estimates(level: float | None) -> dict[Cohort, dict[Metric, Estimate]]:
    """Return one method's row around a level; None is a row that cannot be had."""
    return {
        cohort: {
            metric: Estimate(None, None, SIZES[cohort])
            if level is None
            else Estimate(
                level + 0.01 * i, (level - 0.08 + 0.01 * i, level + 0.07 + 0.01 * i), SIZES[cohort]
            )
            for i, metric in enumerate(METRICS)
        }
        for cohort in COHORTS
    }


def with_rows(results: Results, level: float) -> Results:
    """Return results whose federation is also judged from rows, inside alone: one level for all."""
    inside = results["fedavg"]["internal"]
    found = Estimate(level, (level - 0.08, level + 0.07), SIZES["internal"])
    rows = {cast(Metric, f"{metric}_rows"): found for metric in METRICS}
    told = {**results["fedavg"], "internal": {**inside, **rows}}
    return {**results, "fedavg": told}


def site(name: str, patients: int, role: str = "training") -> SiteSummary:
    """Return a site of which a third has no MVI label."""
    held_out = role == "external"
    return SiteSummary(
        name=name,
        role=role,
        patients=patients,
        training=0 if held_out else round(0.62 * patients),
        internal=0 if held_out else patients - round(0.62 * patients),
        mvi_known=patients * 2 // 3,
        mvi_positive=patients // 4,
        rfs_known=patients - 3,
        rfs_events=patients // 2,
        os_known=patients,
        os_events=patients // 3,
        phases={"arterial": patients, "portal_venous": patients - 2, "delayed": patients // 2},
        tumour_diameter_mm=41.6,
        follow_up_months=27.3,
        set_aside={"no tumour in the mask": 2, "used without this phase: cut short": 1},
        excluded=2,
    )


def risk_group(label: str, scale_months: float, seed: int) -> RiskGroup:
    """Return a Kaplan-Meier curve of 40 drawn patients."""
    generator = np.random.default_rng(seed)
    time = generator.exponential(scale_months, 40)
    counts = survival_counts(np.minimum(time, 62.0), time < 62)
    lower, upper = counts.confidence_band()
    one = np.ones(1)
    return RiskGroup(
        label=label,
        patients=40,
        months=np.concatenate([np.zeros(1), counts.times_months]),
        survival=np.concatenate([one, counts.survival]),
        lower=np.concatenate([one, lower]),
        upper=np.concatenate([one, upper]),
        at_risk={month: int(counts.remaining_at([month])[0]) for month in MONTHS},
    )


def risk_groups(task: SurvivalTask, cohort: Cohort) -> RiskGroups:
    """Return two groups that differ."""
    groups = (
        risk_group("Low predicted risk (n = 40)", 90, seed=len(task)),
        risk_group("High predicted risk (n = 40)", 30, seed=len(cohort)),
    )
    return RiskGroups(
        task, cohort, groups, log_rank_p=0.0123, hazard_ratio=Estimate(2.41, (1.2, 4.9), 80)
    )


def rounds(number: int) -> tuple[Mapping[str, object], ...]:
    """Return records as in ``rounds.jsonl``, round 0 first."""
    records: list[Mapping[str, object]] = []
    for r in range(number + 1):
        gain = 1 - np.exp(-r / (number / 4))
        metrics = {
            "mvi_loss": 0.7 - 0.12 * gain,
            "rfs_loss": 1.6 - 0.4 * gain,
            "os_loss": 1.1 - 0.4 * gain,
            "os_c_index": 0.5 + 0.24 * gain,
            "rfs_c_index": 0.5 + 0.2 * gain,
            "mvi_auc": 0.5 + 0.25 * gain,
        }
        record: dict[str, object] = {"round": r, "metrics": metrics, "score": 0.5 + 0.2 * gain}
        if r:
            sites = {name: {"loss": 3.4 - gain + 0.2 * k} for k, name in enumerate(SITES)}
            record |= {"seconds": 3.1, "bytes_down": 1_443_000, "bytes_up": 1_443_000}
            record |= {"sites": sites, "refused": {"site_4": "not finite"} if r == 3 else {}}
        records.append(record)
    return tuple(records)


def calibration_curves() -> tuple[CalibrationCurve, ...]:
    """Return ten groups a curve, of MVI and of survival at four horizons."""
    found = []
    predicted = np.linspace(0.05, 0.9, 8)
    kinds: list[tuple[Task, float | None]] = [("mvi", None)]
    kinds += [(task, months) for task in SURVIVAL_TASKS[::-1] for months in HORIZONS]
    for k, (task, months) in enumerate(kinds):
        for cohort in COHORTS[1:]:
            observed = np.clip(predicted + 0.05 * np.sin(np.arange(8) + k), 0, 1)
            patients = np.arange(5, 21, 2)
            found.append(CalibrationCurve(task, cohort, months, predicted, observed, patients))
    return tuple(found)


def decision_curve(cohort: Cohort) -> DecisionCurve:
    """Return net benefit at a prevalence of 35%."""
    threshold = np.linspace(0.01, 0.8, 60)
    everybody = 0.35 - 0.65 * threshold / (1 - threshold)
    model = np.maximum(0.3 * (1 - threshold / 0.7), 0) + np.maximum(everybody - 0.3, 0)
    return DecisionCurve(cohort, threshold, np.maximum(model, everybody), everybody)


def horizon_scores() -> tuple[HorizonScore, ...]:
    """Return scores at one, two, three and five years."""
    return tuple(
        HorizonScore(
            task,
            cohort,
            months,
            Estimate(0.7, (0.6, 0.8), 80),
            Estimate(0.15, (0.12, 0.19), 80),
            Estimate(0.2, (0.17, 0.23), 80),
        )
        for task in SURVIVAL_TASKS[::-1]
        for cohort in COHORTS[1:]
        for months in HORIZONS
    )


def characteristics() -> tuple[Characteristic, ...]:
    """Return a share, a measure, and a share that one site is too small to tell."""
    names = (*SITES, "external")
    shares = {name: Summary(60, 20 + k, difference=0.1 * k - 0.2) for k, name in enumerate(names)}
    measures = {
        name: Summary(60, mean=41.3 + k, deviation=17.2, median=38.0, difference=0.31)
        for k, name in enumerate(names)
    }
    return (
        Characteristic("MVI present, of known", "", shares, Summary(300, 110)),
        Characteristic("Tumour diameter", "mm", measures, Summary(300, mean=42.0, deviation=18.0)),
        Characteristic("Delayed phase", "", {**shares, "site_5": Summary(None)}, Summary(300, 260)),
    )


def confusion(cohort: Cohort) -> ConfusionTable:
    """Return 53 calls."""
    rate = Estimate(0.7, (0.55, 0.83), 53)
    names = ("sensitivity", "specificity", "ppv", "npv", "f1", "accuracy")
    return ConfusionTable(cohort, 0.42, 14, 9, 6, 24, dict.fromkeys(names, rate))


def activation_sample(seed: int) -> ActivationSample:
    """Return a slice with a round tumour and a map a little beside it."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:48, :48]
    radius = np.hypot(y - 24, x - 24)
    grey = 0.45 + 0.1 * generator.standard_normal((48, 48)) + 0.2 * (radius < 12)
    heat = np.exp(-(np.hypot(y - 20, x - 28) ** 2) / 90)
    caption = f"Predicted: MVI {30 + seed}%, alive at 3 years 72%"
    return ActivationSample(np.clip(grey, 0, 1), heat, radius < 12, caption)


def report_content() -> ReportContent:
    """Return a whole content, nothing missing."""
    false_positive_rate = np.linspace(0, 1, 30)
    cohorts: tuple[Cohort, Cohort] = ("internal", "external")
    results = {method: estimates(level) for method, level in LEVELS.items()}
    results |= {f"local/{name}": estimates(0.6 + 0.02 * k) for k, name in enumerate(SITES)}
    return ReportContent(
        run=RunSummary(
            name="default",
            strategy="fedavg",
            synthetic=True,
            seed=0,
            rounds=40,
            best_round=31,
            command="python simulation/run.py",
            versions={"flwr": "1.41.0", "torch": "2.9.0"},
            model=ModelSummary((), "liver", measurements=True, curves=True),
        ),
        sites=(*(site(*item) for item in SITES.items()), site("external", 80, "external")),
        results=results,
        rounds=rounds(40),
        risk_groups=tuple(risk_groups(t, c) for t in SURVIVAL_TASKS[::-1] for c in cohorts),
        roc=tuple(
            RocCurve(
                cohort,
                false_positive_rate,
                false_positive_rate ** (0.4 + 0.1 * k),
                Estimate(0.71 - 0.03 * k, (0.6, 0.8), SIZES[cohort]),
                (0.3, 0.3 ** (0.4 + 0.1 * k)),
            )
            for k, cohort in enumerate(cohorts)
        ),
        activation=tuple(activation_sample(seed) for seed in range(4)),
        by_site={name: estimates(0.65)["internal"] for name in (*SITES, "external")},
        confusion=tuple(confusion(cohort) for cohort in cohorts),
        calibration=calibration_curves(),
        decision=tuple(decision_curve(cohort) for cohort in cohorts),
        horizons=horizon_scores(),
        characteristics=characteristics(),
        hidden=(
            Hidden("OS, risk groups", "internal", ("site_5",), patients=9, untold=0),
            Hidden("MVI, all statistics", "internal", ("site_4", "site_5"), patients=4, untold=1),
        ),
        activation_shares={"external": ActivationShares(80, 20.0, 40.0, 4.0, 16.0)},
    )
