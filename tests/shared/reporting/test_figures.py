"""Figures as the page holds them: SVG whose text can be read."""

import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from shared.reporting import figures
from shared.reporting.content import ActivationSample, CalibrationCurve, RiskGroup, RiskGroups
from shared.reporting.estimates import percent_text
from shared.reporting.palette import BLUE, PALETTE
from shared.reporting.svg import inline_svg
from tests.shared.reporting.content import estimates, report_content, risk_group, rounds, site
from tests.shared.reporting.parsed import Page

NOBODY = RiskGroup("High", 0, *(np.array([0.0]), *(np.ones(1),) * 3), at_risk={0: 0, 12: 0})


def test_the_comparison_shows_every_method_with_its_external_value() -> None:
    words = Page(figures.comparison(report_content().results, "fedavg")).words
    assert "Federated (FedAvg)" in words
    assert "Best possible (true risk)" in words
    assert words.count("0.73") == 1
    # Pooled OS and federated RFS.
    assert words.count("0.74") == 2


def test_a_value_that_cannot_be_had_is_said_in_its_row() -> None:
    words = Page(figures.comparison({"fedavg": estimates(None)}, "fedavg")).words
    assert words.count("not available") == 4


def test_intervals_down_to_zero_are_drawn_whole() -> None:
    def lowest(level: float) -> float:
        words = Page(figures.comparison({"fedavg": estimates(level)}, "fedavg")).words
        return min(float(w) for w in words if re.fullmatch(r"\d\.\d", w))

    assert lowest(0.1) < 0.4 < lowest(0.7)


def test_sites_alone_stand_against_the_federated_model() -> None:
    words = Page(figures.alone_and_together(report_content().results, "fedavg")).words
    assert {"site_1", "site_5", "Alone", "Federated", "Federated, 95% interval"} <= set(words)


def test_every_site_has_its_own_values() -> None:
    values = {"a": estimates(0.61)["internal"], "b": estimates(None)["external"]}
    words = Page(figures.by_site(values, "fedavg")).words
    assert {"a", "b", "0.61", "0.62", "0.63", "0.64"} <= set(words)
    assert words.count("not available") == 4


def test_the_round_kept_is_marked() -> None:
    drawn = figures.convergence(rounds(40), 31)
    assert Page(drawn).words.count("Round (kept: 31)") == 3
    assert "Round 31 was kept: OS C-index 0.729" in drawn
    assert "kept" not in figures.convergence(rounds(40), None)


def test_measures_that_no_round_has_leave_no_line() -> None:
    words = Page(figures.convergence([{"round": 0, "metrics": {"os_loss": None}}], 0)).words
    assert words.count("not available") == 3
    assert "OS C-index" not in words


@pytest.mark.parametrize("groups", [2, 3])
def test_numbers_at_risk_stand_below_the_curves(groups: int) -> None:
    drawn = RiskGroups(
        "os",
        "external",
        tuple(risk_group(f"Group {k}", 30.0 + 40 * k, k) for k in range(groups)),
        log_rank_p=0.0004,
    )
    words = Page(figures.kaplan_meier(drawn)).words
    for group in drawn.groups:
        assert group.label in words
        assert all(str(count) in words for count in group.at_risk.values())
    assert "log-rank p < 0.001" in words


def test_a_group_without_patients_is_drawn_and_its_test_is_not_available() -> None:
    groups = (risk_group("Low", 60, 0), NOBODY)
    words = Page(figures.kaplan_meier(RiskGroups("rfs", "internal", groups, None))).words
    assert "log-rank p not available" in words
    assert "Alive, no recurrence" in words


def test_survival_is_told_to_those_who_cannot_see_it() -> None:
    flat = replace(
        NOBODY,
        label="Low",
        months=np.array([0.0, 10.0, 30.0]),
        survival=np.array([1.0, 0.8, 0.5]),
        lower=np.array([1.0, 0.6, 0.3]),
        upper=np.array([1.0, 0.9, 0.7]),
        at_risk={0: 10, 12: 8, 30: 5},
    )
    drawn = figures.kaplan_meier(RiskGroups("os", "external", (flat,), None))
    # A step at 30 months counts at 30 months.
    told = "Low: 100% at 0 months (10 at risk), 80% at 12 months (8 at risk), 50% at 30 months"
    assert told in drawn


@pytest.mark.parametrize(
    ("share", "told"),
    [
        (0.0, "0%"),
        (0.004, "<1%"),
        (0.005, "<1%"),
        (0.006, "1%"),
        (0.126, "13%"),
        (0.994, "99%"),
        (0.996, ">99%"),
        (1.0, "100%"),
        (1 - 1e-15, "100%"),
        (1e-15, "0%"),
    ],
)
def test_nobody_and_everybody_are_told_for_certain_only_where_they_are(
    share: float, told: str
) -> None:
    assert percent_text(share) == told


def test_a_survival_that_is_not_nought_is_not_told_as_nought() -> None:
    group = replace(NOBODY, label="High", survival=np.array([0.004]), at_risk={0: 3})
    drawn = figures.kaplan_meier(RiskGroups("os", "external", (group,), None))
    assert "&lt;1% at 0 months" in drawn
    point = np.array([0.998]), np.array([0.002]), np.array([9])
    drawn = figures.calibration([CalibrationCurve("os", "external", 12.0, *point)])
    assert "&gt;99% predicted, &lt;1% observed (n = 9)" in drawn


def test_the_roc_names_its_area() -> None:
    words = Page(figures.roc(report_content().roc)).words
    assert "External site, AUC 0.680 (0.600 to 0.800)" in words


def test_the_cohort_shows_patients_and_sites_without_labels() -> None:
    unknown = replace(site("site_9", 21), mvi_known=0, mvi_positive=0, os_known=0, os_events=0)
    words = Page(figures.cohort([unknown, replace(unknown, patients=0)])).words
    assert {"site_9", "21", "Phase present"} <= set(words)


@pytest.mark.parametrize("tumour", ["none", "all", "some"])
@pytest.mark.parametrize("shape", [(24, 24), (10, 40), (1, 1)])
def test_a_map_can_be_drawn_whatever_its_shape(tumour: str, shape: tuple[int, int]) -> None:
    outlined = np.full(shape, tumour == "all")
    outlined[:1, :1] |= tumour == "some"
    sample = ActivationSample(np.full(shape, 0.5), np.zeros(shape), outlined, "Predicted: MVI 5%")
    for png in (figures.activation_pair(sample), figures.activation_maps_png([sample] * 3)):
        assert png.startswith(b"\x89PNG")


def test_figures_take_the_pages_colours_and_fonts() -> None:
    content = report_content()
    drawn = [
        figures.comparison(content.results, "fedavg"),
        figures.convergence(content.rounds, 31),
        *map(figures.kaplan_meier, content.risk_groups),
        figures.roc(content.roc),
        figures.cohort(content.sites),
    ]
    for svg in drawn:
        outside_variables = re.sub(r"var\(--\w+,#\w{6}\)", "", svg)
        assert not re.search(r"#[0-9a-f]{6}\b", outside_variables)
        assert f"var(--blue,{BLUE})" in svg
        assert "DejaVu" not in svg
        assert "<style" not in svg


def test_text_that_looks_like_markup_of_the_figure_is_left_as_it_is() -> None:
    figure = Figure()
    figure.text(0.1, 0.1, f'id="figure_1" url(#x) {BLUE} 0.12345 <b>')
    page = Page(inline_svg(figure, "name", "told"))
    assert f'id="figure_1" url(#x) {BLUE} 0.12345 <b>' in page.words


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours by WCAG 2.2."""

    def luminance(colour: str) -> float:
        values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_every_mark_stands_out_from_the_page_in_both_themes() -> None:
    paper = PALETTE["paper"]
    for name in ("grey", "blue", "orange", "green", "red", "purple", "sky"):
        colour = PALETTE[name]
        assert contrast(colour.light, paper.light) >= 3
        assert contrast(colour.dark, paper.dark) >= 3
    assert contrast(PALETTE["ink"].light, PALETTE["band"].light) >= 7
    assert contrast(PALETTE["ink"].dark, PALETTE["band"].dark) >= 7
