"""Tables of the federated model's further measures, of the cohorts, and of what is withheld."""

from collections.abc import Mapping, Sequence

from shared.activation_share import ActivationShares
from shared.reporting.content import (
    Characteristic,
    ConfusionTable,
    Hidden,
    HorizonScore,
    ReportContent,
    RiskGroups,
    Summary,
)
from shared.reporting.estimates import (
    find,
    interval_text,
    judged,
    p_value_text,
    percent_text,
    value_text,
)
from shared.reporting.names import COHORT_NAMES, TASK_NAMES, TASK_SHORT_NAMES, printable
from shared.reporting.tables import Cell, Group, Row, Table
from shared.results import Cohort, Estimate, Metric

FEW = "few"
_DASH = "–"
_LARGE = 20  # means from here on are shown without decimals
_RATES = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "f1": "F1",
    "accuracy": "Accuracy",
}
_MORE: dict[Metric, str] = {
    "os_uno_c": "OS, Uno's C-index",
    "rfs_uno_c": "RFS, Uno's C-index",
    "os_ibs": "OS, integrated Brier score",
    "os_ibs_null": "OS, the same of the Kaplan-Meier curve",
    "rfs_ibs": "RFS, integrated Brier score",
    "rfs_ibs_null": "RFS, the same of the Kaplan-Meier curve",
    "mvi_brier": "MVI, Brier score",
}
_JUDGED: tuple[Cohort, ...] = ("external", "internal")


def more_measures_table(content: ReportContent) -> Table:
    """Return measures that the main table does not hold, where the run has them."""
    method = content.run.strategy
    cohorts = judged(content.results, _JUDGED)
    rows = []
    for metric, name in _MORE.items():
        found = [find(content.results, method, cohort, metric) for cohort in cohorts]
        if any(estimate is not None for estimate in found):
            rows.append(Row(name, tuple(_estimate(estimate) for estimate in found)))
    return Table(
        name="more",
        caption=(
            "Further measures of the federated model. Value and 95% interval. A Brier score is a"
            " squared error: lower is better, and below that of the Kaplan-Meier curve, which"
            " gives every patient the same prediction, the model adds something."
        ),
        columns=("Measure", *(COHORT_NAMES[cohort] for cohort in cohorts)),
        groups=(Group(tuple(rows)),) if rows else (),
    )


def horizon_table(scores: Sequence[HorizonScore]) -> Table:
    """Return how well survival at each horizon is predicted, cohort by cohort."""
    groups = []
    for cohort in _JUDGED:
        rows = tuple(
            Row(
                f"{TASK_SHORT_NAMES[score.task]} at {_years(score.months)}",
                (_estimate(score.auc), _estimate(score.brier), _estimate(score.null_brier)),
            )
            for score in scores
            if score.cohort == cohort
        )
        if rows:
            groups.append(Group(rows, COHORT_NAMES[cohort], (Cell(""),) * 3))
    return Table(
        name="horizons",
        caption=(
            "Survival at fixed times: time-dependent AUC (pairs within institutions), Brier"
            " score, and the Brier score of the cohort's own Kaplan-Meier curve. Value and 95%"
            " interval."
        ),
        columns=("Outcome", "AUC", "Brier score", "Of Kaplan-Meier"),
        groups=tuple(groups),
    )


def confusion_table(tables: Sequence[ConfusionTable]) -> Table:
    """Return MVI calls at the frozen threshold with what they give."""
    rows = tuple(
        Row(
            COHORT_NAMES[table.cohort],
            (
                Cell(f"{table.true_positive} / {table.false_negative}"),
                Cell(f"{table.true_negative} / {table.false_positive}"),
                *(_estimate(table.rates.get(key)) for key in _RATES),
            ),
        )
        for table in tables
    )
    threshold = f" of {tables[0].threshold:.2f}" if tables else ""
    return Table(
        name="confusion",
        caption=(
            f"MVI calls at the threshold{threshold}, fixed on internal validation. With MVI:"
            " found / missed; without: cleared / false alarm. Value and 95% interval."
        ),
        columns=("Patients", "With MVI", "Without", *_RATES.values()),
        groups=(Group(rows),) if rows else (),
    )


def hazard_table(groups: Sequence[RiskGroups]) -> Table:
    """Return the hazard ratio and the log-rank test of the risk groups."""
    rows = tuple(
        Row(
            f"{TASK_NAMES[group.task]}, {COHORT_NAMES[group.cohort].lower()}",
            (_estimate(group.hazard_ratio), Cell(p_value_text(group.log_rank_p))),
        )
        for group in groups
    )
    ratios = [group.hazard_ratio for group in groups if group.hazard_ratio is not None]
    bare = any(ratio.value is not None and ratio.ci95 is None for ratio in ratios)
    without = " Without an interval: most resamples had a group without an event." if bare else ""
    return Table(
        name="hazards",
        caption=(
            "Hazard of the highest against the lowest risk group: 2 means twice as many events in"
            f" the same time. 95% interval; log-rank test of all groups.{without}"
        ),
        columns=("Risk groups", "Hazard ratio", "Log-rank"),
        groups=(Group(rows),) if ratios else (),
    )


def characteristics_table(characteristics: Sequence[Characteristic]) -> Table:
    """Return table one: who the patients are at each institution, and how far it differs."""
    sites = list(characteristics[0].by_site) if characteristics else []
    rows = tuple(
        Row(
            f"{row.name}, {row.unit}" if row.unit else row.name,
            (
                _summary(row.overall, row),
                *(_summary(row.by_site.get(site), row) for site in sites),
            ),
        )
        for row in characteristics
    )
    return Table(
        name="characteristics",
        caption=(
            "Characteristics by institution: number and share of patients, or mean ± standard"
            " deviation. Small: the standardised difference (SMD) from all other training"
            " institutions together; beyond 0.2 it is usually called imbalance. Few: too few to"
            " be told, or kept back lest those be computed; –: none, or too few."
        ),
        columns=("Characteristic", "All training", *map(printable, sites)),
        groups=(Group(rows),) if rows else (),
    )


def hidden_table(hidden: Sequence[Hidden]) -> Table:
    """Return what sites withhold because it rests on too few patients."""
    rows = tuple(
        Row(
            item.statistic,
            (
                Cell(COHORT_NAMES[item.cohort]),
                Cell(", ".join(map(printable, item.sites))),
                Cell(_patients(item)),
            ),
        )
        for item in hidden
    )
    return Table(
        name="hidden",
        caption="Statistics that institutions keep back, and how many patients the page misses.",
        columns=("Statistic", "Cohort", "Kept back by", "Missing"),
        groups=(Group(rows),) if rows else (),
    )


def activation_table(shares: Mapping[Cohort, ActivationShares]) -> Table:
    """Return the mean share of activation in tumour and margin against their share of volume."""
    rows = tuple(
        Row(
            COHORT_NAMES[cohort],
            (
                Cell(str(sums.patients)),
                _share(sums, sums.in_tumour, sums.tumour_volume),
                _share(sums, sums.in_margin, sums.margin_volume),
            ),
        )
        for cohort, sums in shares.items()
    )
    return Table(
        name="activation",
        caption=(
            "Mean share of a patient's activation, and small the share of the region's volume:"
            " a map that looked anywhere at random would reach that."
        ),
        columns=("Patients", "Maps", "In the tumour", "In tumour and margin"),
        groups=(Group(rows),) if rows else (),
    )


def _share(sums: ActivationShares, found: float, chance: float) -> Cell:
    mean, volume = sums.mean(found), sums.mean(chance)
    if mean is None or volume is None:
        return Cell(_DASH)
    return Cell(percent_text(mean), f"chance {percent_text(volume)}")


def _patients(item: Hidden) -> str:
    told = [f"{item.patients} patients"] if item.patients else []
    if item.untold:
        told.append(f"{item.untold} institution{'s' if item.untold > 1 else ''} with too few")
    return " and ".join(told) or _DASH


def _estimate(estimate: Estimate | None) -> Cell:
    return Cell(value_text(estimate), interval_text(estimate))


def _summary(summary: Summary | None, row: Characteristic) -> Cell:
    if summary is None:
        return Cell(_DASH)
    note = "" if summary.difference is None else f"SMD {summary.difference:.2f}"
    return Cell(_value(summary, row), note)


def _value(summary: Summary, row: Characteristic) -> str:
    if summary.patients is None:
        return FEW
    if summary.mean is not None:
        # All cells of a row alike.
        typical = summary.mean if row.overall.mean is None else row.overall.mean
        digits = 0 if abs(typical) >= _LARGE else 2
        spread = "" if summary.deviation is None else f" ± {summary.deviation:.{digits}f}"
        return f"{summary.mean:.{digits}f}{spread}"
    if summary.count is not None and summary.patients:
        return f"{summary.count} ({percent_text(summary.count / summary.patients)})"
    # Sums of a measure do not tell nobody from too few.
    return _DASH if row.unit or summary.patients == 0 else FEW


def _years(months: float) -> str:
    years = months / 12
    return f"{years:g} year{'' if years == 1 else 's'}" if years == int(years) else f"{months:g} mo"


def all_tables(content: ReportContent) -> Mapping[str, Table]:
    """Return the tables of this module by their place on the page."""
    return {
        "more": more_measures_table(content),
        "horizons": horizon_table(content.horizons),
        "confusion": confusion_table(content.confusion),
        "hazards": hazard_table(content.risk_groups),
        "characteristics": characteristics_table(content.characteristics),
        "hidden": hidden_table(content.hidden),
        "activation": activation_table(content.activation_shares),
    }
