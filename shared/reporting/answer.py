"""The answer in short: what a reader finds within ten seconds of opening the page."""

from dataclasses import dataclass

import numpy as np

from shared.reporting.content import ReportContent
from shared.reporting.counts import counted, mvi_of_known
from shared.reporting.estimates import find, interval_text, patients, value_text
from shared.reporting.names import METRIC_NAMES
from shared.results import Cohort

_BESIDE = {
    "pooled": "the same network trained on pooled data reached {}",
    "local": "a site alone {} on average",
    "oracle": "the true risk, which nothing can beat but by chance, {}",
}
_SMALL_COHORT = 50


@dataclass(frozen=True)
class Tile:
    """One number of the answer."""

    label: str
    value: str
    note: str


def judged_cohort(content: ReportContent) -> Cohort:
    """Return the external site, or internal validation where no site was held out."""
    return "external" if patients(content.results, "external", "os_c_index") else "internal"


def question(content: ReportContent) -> str:
    """Return what the run was made to find out."""
    kind = "synthetic patients" if content.run.synthetic else "patients"
    sites = sum(site.role == "training" for site in content.sites)
    where = (
        "at an institution that it never saw"
        if judged_cohort(content) == "external"
        else "on patients that it was not trained on"
    )
    return (
        f"Can {sites or 'several'} institutions that keep their CT scans to themselves train one"
        f" network that tells, {where}, which {kind} with hepatocellular carcinoma will live long,"
        " which stay free of recurrence, and which have microvascular invasion?"
    )


def answer_sentence(content: ReportContent) -> str:
    """Return the main result and what stands beside it in plain words."""
    cohort = judged_cohort(content)
    main = find(content.results, content.run.strategy, cohort, "os_c_index")
    where = (
        "At the external site, which it never saw"
        if cohort == "external"
        else "On patients kept back within the institutions (no institution was held out)"
    )
    if main is None or main.value is None:
        kept_back = any(item.statistic.startswith("OS") for item in content.hidden)
        why = ": too few patients or events to be told" if kept_back else ""
        return f"{where}, a C-index for overall survival is not available{why}."
    kind = "synthetic patients" if content.run.synthetic else "patients"
    told = (
        f"{where}, the federated model ranked {main.n} {kind} by overall survival with a C-index"
        f" of {value_text(main)}"
    )
    if interval_text(main):
        told += f" (95% interval {interval_text(main)})"
    beside = [
        text.format(value_text(estimate))
        for method, text in _BESIDE.items()
        if (estimate := find(content.results, method, cohort, "os_c_index"))
        and estimate.value is not None
    ]
    return f"{told}; {', '.join(beside)}." if beside else f"{told}."


def tiles(content: ReportContent) -> tuple[Tile, ...]:
    """Return the federated model's four measures and how many patients were set aside."""
    cohort = judged_cohort(content)
    estimates = {m: find(content.results, content.run.strategy, cohort, m) for m in METRIC_NAMES}
    measured = [
        Tile(
            METRIC_NAMES[metric],
            value_text(estimate),
            ", ".join(
                part
                for part in (
                    interval_text(estimate) and f"95% CI {interval_text(estimate)}",
                    f"n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{estimate.n if estimate else 0}",
                )
                if part
            ),
        )
        for metric, estimate in estimates.items()
    ]
    return (*measured, _set_aside(content))


def _set_aside(content: ReportContent) -> Tile:
    """Count patients where they are known; an entry may be a patient that is used in part."""
    used = counted(site.patients for site in content.sites)
    counts = [count for site in content.sites for count in site.set_aside.values()]
    excluded = [0 if not site.set_aside else site.excluded for site in content.sites]
    known = [count for count in excluded if count is not None]
    if len(known) < len(excluded):
        return Tile("Entries set aside", counted(counts), f"at all sites; {used} patients used")
    return Tile("Patients set aside", str(sum(known)), f"at all sites; {used} used")


def limits(content: ReportContent) -> tuple[str, ...]:
    """Return what the numbers do not say."""
    outside = patients(content.results, "external", "os_c_index")
    told = []
    if content.run.synthetic:
        told.append(
            "The patients are synthetic: how well the method does on them says little about"
            " real ones."
        )
    if not outside:
        told.append("No institution was held out: nothing here says how well the model travels.")
    elif outside < _SMALL_COHORT:
        told.append(
            f"Only {outside} patients at the external site: differences between methods within"
            " their intervals may be chance."
        )
    told += [
        "Internal results are of the round chosen on the same patients, and so slightly"
        " optimistic; the external ones are not.",
        "C-indices compare patients of the same institution, the only pairs that a federation"
        " can form.",
        *(
            ["The interval of 'each site alone' is the mean of the sites' intervals."]
            if "local" in content.results
            else []
        ),
        *_binned(content),
        *_of_follow_up(content),
        *_kept_back(content),
        *_f1_without_a_model(content),
        "Activation maps show evidence in the shared network only, and not what is true.",
        "Research software, not a medical device.",
    ]
    return tuple(told)


def _binned(content: ReportContent) -> tuple[str, ...]:
    errors = [curve.auc_error for curve in content.roc if curve.auc_error]
    if not errors:
        return ()
    return (
        "Across institutions, the MVI ROC curve is drawn from cells of several patients' scores,"
        f" placed around each cell's mean: its area is off by at most {max(errors):.3f} from that"
        " of patients' rows, and in tests by less than 0.01 as a rule.",
    )


def _of_follow_up(content: ReportContent) -> tuple[str, ...]:
    """Say how censoring is weighed, and what cells of follow-up cost at most and in tests."""
    told = []
    if content.horizons:
        told.append(
            "Uno's C-index, time-dependent AUC, Brier scores and calibration weigh patients by the"
            " censoring of their own institution, which few patients tell roughly. An institution"
            " that too few patients were followed at to a time is left out of what is said of it."
        )
    errors = np.concatenate(
        [np.zeros(0), *(g.errors for groups in content.risk_groups for g in groups.groups)]
    )
    if errors.any():
        told.append(
            "Across institutions, Kaplan-Meier curves, numbers at risk, hazard ratios and log-rank"
            " tests are made from quarters of a year, merged where too few patients left. Dotted"
            " lines bound where the curves of patients' rows can lie: half of the time within"
            f" {np.median(errors):.2f} of what is drawn, at the worst time within"
            f" {errors.max():.2f}; in tests curves were off by 0.05 at their worst time as a rule,"
            " and always by less than 0.2. Curves end at the mean follow-up of the last cell of"
            " patients that an institution tells."
        )
    return tuple(told)


def _kept_back(content: ReportContent) -> tuple[str, ...]:
    if not content.hidden:
        return ()
    sites = {site for item in content.hidden for site in item.sites}
    return (
        f"{len(sites)} institution{'s keep' if len(sites) > 1 else ' keeps'} back numbers that rest"
        " on too few patients: the sums leave these patients out (What is kept back).",
    )


def _f1_without_a_model(content: ReportContent) -> tuple[str, ...]:
    """Return the F1 of calling every external patient positive: 2p / (1 + p) at prevalence p."""
    positive, known = mvi_of_known(site for site in content.sites if site.role == "external")
    if not positive:
        return ()
    share = positive / known
    return (
        "F1 has no fixed value for chance: calling every external patient positive gives"
        f" {2 * share / (1 + share):.3f}.",
    )
