"""The page and the table, from seeded numbers."""

import io
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from shared.reporting.content import (
    ActivationSample,
    ReportContent,
    RiskGroup,
    RiskGroups,
    RocCurve,
    RunSummary,
    SiteSummary,
)
from shared.reporting.page import write_report
from shared.reporting.table import terminal_table
from shared.results import COHORTS, METRICS, Cohort, Estimate, Metric

HOSTILE = '<script>alert("x")</script> $\\frac{1}$ & ' + "long " * 40


def estimates(value: float | None) -> Mapping[Cohort, Mapping[Metric, Estimate]]:
    ci95 = None if value is None else (value - 0.1, value + 0.1)
    return {cohort: {m: Estimate(value, ci95, 33) for m in METRICS} for cohort in COHORTS}


def site(name: str, role: str = "training") -> SiteSummary:
    return SiteSummary(
        name=name,
        role=role,
        patients=30,
        training=20,
        internal=10,
        mvi_known=0,
        mvi_positive=0,
        rfs_known=25,
        rfs_events=11,
        os_known=30,
        os_events=9,
        phases={"arterial": 30, "portal_venous": 28, "delayed": 0},
        tumour_diameter_mm=None,
        follow_up_months=21.5,
        set_aside={"no mask": 2},
    )


def content() -> ReportContent:
    generator = np.random.default_rng(0)
    steps = np.linspace(0, 40, 9)
    group = RiskGroup(
        label="Low predicted risk",
        patients=9,
        months=steps,
        survival=np.linspace(1, 0.4, 9),
        lower=np.linspace(1, 0.2, 9),
        upper=np.linspace(1, 0.6, 9),
        at_risk={0: 9, 12: 6, 24: 3, 36: 1},
    )
    metrics = {"mvi_loss": 0.6, "rfs_loss": 1.5, "os_loss": None, "os_c_index": 0.7}
    metrics |= {"rfs_c_index": None, "mvi_auc": 0.6}
    rounds: list[dict[str, object]] = [{"round": 0, "metrics": metrics}]
    rounds += [
        {"round": r, "metrics": metrics, "sites": {HOSTILE: {"loss": 3.0 / r}}} for r in (1, 2)
    ]
    return ReportContent(
        run=RunSummary("smoke", "fedavg", True, 0, 2, 1, "python simulation/run.py", {"flwr": "1"}),
        sites=(site(HOSTILE), site("external", "external")),
        results={
            "pooled": estimates(0.8),
            "fedavg": estimates(0.7),
            f"local/{HOSTILE}": estimates(None),
        },
        rounds=tuple(rounds),
        risk_groups=(RiskGroups("os", "external", (group, group), None),),
        roc=(RocCurve("external", steps / 40, steps / 40, Estimate(0.5, None, 9), (0.2, 0.6)),),
        activation=(
            ActivationSample(
                generator.random((20, 20)),
                generator.random((20, 20)),
                generator.random((20, 20)) > 0.9,
                "Predicted: MVI 40%",
            ),
        ),
    )


class Page(HTMLParser):
    """What a test asks of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.images_without_alt = 0
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.add(tag)
        if values.get("id"):
            self.ids.append(str(values["id"]))
        self.addresses += [str(values[key]) for key in ("src", "href") if values.get(key)]
        self.images_without_alt += tag == "img" and not values.get("alt")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(content(), path)
    return path.read_text(encoding="utf-8")


def test_every_figure_is_there_once(text: str) -> None:
    page = Page(text)
    names = ("comparison", "convergence", "km-1", "roc", "activation", "cohort")
    assert {f"figure-{name}" for name in names} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert page.images_without_alt == 0


def test_nothing_leaves_the_page_and_no_script_runs(text: str) -> None:
    page = Page(text)
    assert all(address.startswith(("data:image/", "#")) for address in page.addresses)
    assert "script" not in page.tags
    assert "@import" not in text
    assert "url(" not in text


def test_names_from_folders_are_escaped(text: str) -> None:
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_synthetic_is_said_in_the_heading(text: str) -> None:
    heading = text[text.index("<h1>") : text.index("</h1>")]
    assert "synthetic" in heading


def test_what_cannot_be_had_is_said(text: str) -> None:
    assert "not available" in text


def test_the_same_content_gives_the_same_bytes(text: str, tmp_path: Path) -> None:
    write_report(content(), tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == text


def test_a_run_without_an_external_site_or_maps_has_a_page(tmp_path: Path) -> None:
    blank = replace(content(), activation=(), roc=(), risk_groups=(), rounds=({"round": 0},))
    write_report(blank, tmp_path / "report.html")
    assert "No patient to show" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_terminals_table_fits_in_100_columns() -> None:
    results = {k: v for k, v in content().results.items() if HOSTILE not in k}
    console = Console(width=100, file=io.StringIO(), force_terminal=False)
    console.print(terminal_table(results, synthetic=True))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "0.700 (0.60–0.80)" in shown
    assert "Synthetic" in shown
    assert "…" not in shown
