"""``report.html``: one file, no script, no address outside itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from shared.reporting import figures
from shared.reporting.content import ReportContent, RiskGroups
from shared.reporting.names import COHORT_NAMES, METRIC_NAMES, TASK_NAMES, method_name
from shared.results import Cohort, Estimate, Metric


def write_report(content: ReportContent, path: Path) -> None:
    """Write the page; the same content gives the same bytes.

    Names of sites come from folders that anyone made: the template escapes everything.
    """
    environment = Environment(
        loader=PackageLoader("shared.reporting", "."), autoescape=True, undefined=StrictUndefined
    )
    template = environment.get_template("page.html")
    path.write_text(template.render(**_values(content)), encoding="utf-8")


def _values(content: ReportContent) -> dict[str, Any]:
    run = content.run
    patients = "synthetic patients" if run.synthetic else "patients"
    return {
        "heading": f"Federated prediction of liver cancer outcomes on {patients}",
        "run": run,
        "training_sites": sum(site.role == "training" for site in content.sites),
        "tiles": _tiles(content),
        "metric_names": list(METRIC_NAMES.values()),
        "tables": [_table(content, cohort) for cohort in ("external", "internal", "training")],
        "sites": content.sites,
        "reasons": _reasons(content),
        "figures": _figures(content),
    }


def _figures(content: ReportContent) -> dict[str, Any]:
    return {
        "comparison": figures.comparison(content.results),
        "convergence": figures.convergence(content.rounds, content.run.best_round),
        "kaplan_meier": [
            {"src": figures.kaplan_meier(groups), "alt": _describe(groups)}
            for groups in content.risk_groups
        ],
        "roc": figures.roc(content.roc),
        "activation": figures.activation_maps(content.activation) if content.activation else "",
        "cohort": figures.cohort(content.sites),
    }


def _tiles(content: ReportContent) -> list[dict[str, str]]:
    external = content.results[content.run.strategy]["external"]
    tiles = [
        {
            "name": f"{name}, external site",
            "value": _value(external[metric]),
            "note": _note(external[metric]),
        }
        for metric, name in METRIC_NAMES.items()
    ]
    entries = sum(sum(site.set_aside.values()) for site in content.sites)
    used = sum(site.patients for site in content.sites)
    tiles.append(
        {"name": "Set aside", "value": str(entries), "note": f"entries; {used} patients used"}
    )
    return tiles


def _table(content: ReportContent, cohort: Cohort) -> dict[str, Any]:
    rows = [
        {
            "name": method_name(method),
            "federated": method == content.run.strategy,
            "cells": _cells(cohorts[cohort]),
        }
        for method, cohorts in content.results.items()
    ]
    return {"cohort": cohort, "name": COHORT_NAMES[cohort], "rows": rows}


def _cells(metrics: Mapping[Metric, Estimate]) -> list[dict[str, str]]:
    return [
        {"value": _value(metrics[metric]), "note": _note(metrics[metric])}
        for metric in METRIC_NAMES
    ]


def _value(estimate: Estimate) -> str:
    return "not available" if estimate.value is None else f"{estimate.value:.3f}"


def _note(estimate: Estimate) -> str:
    patients = f"n = {estimate.n}"
    if estimate.ci95 is None:
        return patients
    return f"{estimate.ci95[0]:.3f} to {estimate.ci95[1]:.3f}, {patients}"


def _reasons(content: ReportContent) -> list[dict[str, Any]]:
    return [
        {"reason": reason, "site": site.name, "count": count}
        for site in content.sites
        for reason, count in sorted(site.set_aside.items())
    ]


def _describe(groups: RiskGroups) -> str:
    parts = [f"{group.label} with {group.patients} patients" for group in groups.groups]
    return (
        f"Kaplan-Meier curves of {TASK_NAMES[groups.task].lower()},"
        f" {COHORT_NAMES[groups.cohort].lower()}: {', '.join(parts)}."
    )
