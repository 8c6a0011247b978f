"""``report.html``: one file, no script, no address outside itself."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from shared.reporting import answer, drawing, figures, tables
from shared.reporting.checklist import checklist
from shared.reporting.content import ReportContent, RiskGroups
from shared.reporting.estimates import judged, single_sites, whole_federation
from shared.reporting.failures import failures
from shared.reporting.measure_tables import all_tables
from shared.reporting.names import COHORT_NAMES, TASK_NAMES, printable
from shared.reporting.palette import PALETTE

# Ids of the page's sections and their names in the navigation, in their order.
SECTIONS = {
    "results": "Results",
    "institutions": "By institution",
    "mvi": "Microvascular invasion",
    "calibration": "Calibration",
    "risk-groups": "Risk groups",
    "maps": "Activation maps",
    "cohort": "Patients",
    "differences": "Differences",
    "set-aside": "Set aside",
    "training": "Training",
    "failed": "What failed",
    "hidden": "Kept back",
    "limits": "Limits",
    "checklist": "TRIPOD+AI",
    "again": "Run it again",
}
_DECISION = (
    "How to read it: net benefit is the share of patients rightly acted on, less the share wrongly"
    " acted on times the odds p / (1 - p) of the probability p from which one acts. Where the"
    " model's line is the highest, acting on it does more good than acting on everybody or on"
    " nobody."
)


def write_report(content: ReportContent, path: Path) -> None:
    """Write the page; the same content gives the same bytes.

    Names of sites come from folders that anyone made: the template escapes everything.

    Parameters
    ----------
    content : ReportContent
    path : Path
        Its folder must exist.
    """
    environment = Environment(
        loader=PackageLoader("shared.reporting", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = printable
    template = environment.get_template("page.html")
    path.write_text(template.render(**_values(content)), encoding="utf-8", newline="\n")


def _values(content: ReportContent) -> dict[str, Any]:
    run = content.run
    patients = "synthetic patients" if run.synthetic else "patients"
    return {
        "heading": f"Federated prediction of liver cancer outcomes on {patients}",
        "palette": PALETTE.values(),
        "run": run,
        "training_sites": sum(site.role == "training" for site in content.sites),
        "external": answer.judged_cohort(content) == "external",
        "answer": answer.answer_sentence(content),
        "tiles": answer.tiles(content),
        "limits": answer.limits(content),
        "exchange": exchange_sentence(content.rounds),
        "failures": failures(content),
        "question": answer.question(content),
        "sections": SECTIONS,
        "places": {"top": "Top", "question": "Question", **SECTIONS},
        "checklist": checklist(content),
        "several_methods": len(whole_federation(content.results)) > 1,
        "decision_how": _DECISION,
        "alone": bool(single_sites(content.results)),
        "mvi_kept_back": any(item.statistic.startswith("MVI") for item in content.hidden),
        "tables": _tables(content),
        "figures": _figures(content),
    }


def _tables(content: ReportContent) -> dict[str, tables.Table]:
    return {
        "results": tables.comparison_table(content),
        "alone": tables.single_site_table(content),
        "by_site": tables.by_site_table(content),
        "threshold": tables.threshold_table(content.roc),
        **all_tables(content),
        "sites": tables.site_table(content.sites, medians=not content.characteristics),
        "set_aside": tables.set_aside_table(content.sites),
    }


def _figures(content: ReportContent) -> dict[str, Any]:
    strategy = content.run.strategy
    alone = single_sites(content.results)
    return {
        "comparison": figures.comparison(content.results, strategy),
        "alone": figures.alone_and_together(content.results, strategy)
        if alone and judged(content.results, ["external"])
        else None,
        "by_site": figures.by_site(content.by_site, strategy) if content.by_site else None,
        "convergence": figures.convergence(content.rounds, content.run.best_round),
        "kaplan_meier": [_kaplan_meier(groups) for groups in content.risk_groups],
        "roc": figures.roc(content.roc) if content.roc else None,
        "activation": [
            {
                "src": drawing.data_address(figures.activation_pair(sample), "image/png"),
                "caption": sample.caption,
            }
            for sample in content.activation
        ],
        "cohort": figures.cohort(content.sites),
        "flow": figures.flow(content.sites),
        "calibration": figures.calibration(content.calibration) if content.calibration else None,
        "decision_small": figures.decision(content.decision) if content.decision else None,
    }


def _kaplan_meier(groups: RiskGroups) -> dict[str, Any]:
    return {
        "id": f"km-{groups.task}-{groups.cohort}",
        "title": f"{TASK_NAMES[groups.task]}, {COHORT_NAMES[groups.cohort].lower()}",
        "svg": figures.kaplan_meier(groups),
    }


def exchange_sentence(rounds: Sequence[Mapping[str, Any]]) -> str:
    """Return what a round cost in time and in traffic, as far as the records know it."""
    seconds = [record["seconds"] for record in rounds if record.get("seconds") is not None]
    sent = [
        record["bytes_down"] + record["bytes_up"]
        for record in rounds
        if record.get("bytes_down") is not None and record.get("bytes_up") is not None
    ]
    told = [f"took {median(seconds):.1f} s"] if seconds else []
    if sent:
        told.append(f"moved {median(sent) / 1e6:.1f} MB between the sites and the server")
    return f"A round {' and '.join(told)} (median)." if told else ""
