"""The checklist and the limits are true of the run, also where a site keeps numbers back."""

from dataclasses import replace

import pytest

from server.outputs import model_summary
from shared.losses.multitask import LossSettings
from shared.model import ModelSettings
from shared.plan import Plan
from shared.preprocessing import PreprocessingSettings
from shared.reporting.answer import limits, tiles
from shared.reporting.checklist import checklist
from shared.reporting.content import ModelSummary, ReportContent, SiteSummary
from tests.shared.reporting.content import report_content, site

PLAN = Plan(preprocessing="")


def told(content: ReportContent, number: int) -> str:
    return checklist(content)[number - 1].told


def with_sites(*sites: SiteSummary) -> ReportContent:
    return replace(report_content(), sites=sites)


def with_model(model: ModelSummary) -> ReportContent:
    content = report_content()
    return replace(content, run=replace(content.run, model=model))


def test_the_summary_of_a_model_is_that_of_its_plan() -> None:
    plan = replace(
        PLAN,
        model=ModelSettings(clinical_variables=("age",), measurements=False),
        loss=LossSettings(survival="cox"),
    )
    assert model_summary(plan, PreprocessingSettings(normalisation="window")) == ModelSummary(
        clinical_variables=("age",), normalisation="window", measurements=False, curves=False
    )
    usual = model_summary(PLAN, PreprocessingSettings())
    assert usual == ModelSummary((), "liver", measurements=True, curves=True)


def test_what_stands_in_for_unknown_values_is_said() -> None:
    usual = told(with_model(ModelSummary((), "liver", measurements=True, curves=True)), 11)
    assert "measurement" in usual
    assert "clinical" not in usual
    both = told(with_model(ModelSummary(("age",), "liver", measurements=True, curves=True)), 11)
    assert "measurement or clinical variable that is unknown" in both
    assert "expected" in both
    bare = told(with_model(ModelSummary((), "liver", measurements=False, curves=True)), 11)
    assert "expected" not in bare


def test_clinical_variables_are_named_where_the_model_reads_them() -> None:
    without = with_model(ModelSummary((), "liver", measurements=True, curves=True))
    assert "no clinical variable" in told(without, 9)
    model = ModelSummary(("age", "log_afp"), "window", measurements=True, curves=True)
    content = with_model(model)
    assert "age, log_afp" in told(content, 9)
    assert "no clinical variable" not in told(content, 9)
    assert "not collected" not in told(content, 14)
    assert "age, log_afp" in told(content, 14)


def test_preparation_and_output_are_those_of_the_plan() -> None:
    liver = with_model(ModelSummary((), "liver", measurements=True, curves=True))
    window = with_model(ModelSummary((), "window", measurements=True, curves=False))
    assert "own liver" in told(liver, 7)
    assert "two survival curves" in told(liver, 15)
    assert "liver" not in told(window, 7)
    assert "two risks without a curve" in told(window, 15)


def test_numbers_that_a_site_keeps_back_are_not_counted_as_none() -> None:
    whole, silent = site("a", 30), replace(site("b", 20), os_events=None, training=None)
    few = replace(silent, patients=None, set_aside={"no tumour in the mask": None})
    assert "30 usable" not in told(with_sites(whole, few), 10)
    assert "at least 30" in told(with_sites(whole, few), 10)
    assert "at least 19 patients trained; at least 10 deaths" in told(with_sites(whole, few), 21)
    assert "19 patients trained; 10 deaths" in told(with_sites(whole), 21)
    assert "Set aside: at least 3 entries." in told(with_sites(whole, few), 11)
    assert "some entries, which the institutions do not number." in told(with_sites(few), 11)
    (tile,) = [t for t in tiles(with_sites(whole, few)) if "set aside" in t.label]
    assert tile.value == "4"
    (tile,) = [t for t in tiles(with_sites(replace(few, excluded=None))) if "set aside" in t.label]
    assert (tile.label, tile.value) == ("Entries set aside", "some")


@pytest.mark.parametrize("role", ["training", "external"])
def test_a_share_is_of_the_sites_that_tell_both_of_its_numbers(role: str) -> None:
    """One tells 10 of 40; one keeps back how many have MVI, the other how many are known."""
    whole = replace(site("a", 60, role), mvi_known=40, mvi_positive=10)
    others = (
        replace(site("b", 60, role), mvi_known=40, mvi_positive=None),
        replace(site("c", 60, role), mvi_known=None, mvi_positive=12),
    )
    content = with_sites(whole, *others)
    assert "25% of patients whose status is known" in told(content, 13)
    if role == "external":
        assert "positive gives 0.400." in " ".join(limits(content))
        assert "F1" not in " ".join(limits(with_sites(*others)))


def test_what_is_shown_by_institution_is_what_the_table_holds() -> None:
    said = told(report_content(), 23)
    assert "calibration and net benefit over all" in said
    assert "by institution C-indices, MVI AUC and F1" in said
