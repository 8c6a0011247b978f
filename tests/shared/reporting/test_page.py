"""The page, from seeded numbers."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from shared.reporting.answer import limits
from shared.reporting.content import Hidden, ReportContent, RiskGroup, SiteSummary
from shared.reporting.measure_tables import hazard_table
from shared.reporting.page import write_report
from shared.results import Estimate, Metric, Results
from tests.shared.reporting.content import estimates, report_content, rounds, site, with_rows
from tests.shared.reporting.parsed import Page

HOSTILE = [
    '<script>alert("x")</script>',
    '"><img src=http://example.org/x onerror=alert(1)>',
    "</text></svg><script>alert(1)</script>",
    "{{ run.seed }} $\\frac{1}{0}$ & %s",
    "University Hospital of " + "the Very Long Name " * 12,
    "\x1b[31mred\x00 \u202enoitutitsni\udcff\n",
    "_中山医院",
]


def written(content: ReportContent, folder: Path) -> str:
    path = folder / "report.html"
    write_report(content, path)
    return path.read_text(encoding="utf-8")


def lean_content() -> ReportContent:
    """Return a content without the figures that take longest."""
    return replace(report_content(), risk_groups=(), activation=())


def hostile_content() -> ReportContent:
    sites = tuple(replace(site(name, 30), set_aside={name: 1}) for name in HOSTILE)
    records = [
        {**record, "sites": {name: {"loss": 2.0} for name in HOSTILE}, "refused": {HOSTILE[0]: "x"}}
        for record in rounds(3)
    ]
    content = report_content()
    return replace(
        content,
        run=replace(content.run, name=HOSTILE[0], command=HOSTILE[1]),
        sites=sites,
        results={
            "fedavg": estimates(0.7),
            **{f"local/{name}": estimates(0.6) for name in HOSTILE},
        },
        rounds=tuple(records),
        by_site={name: estimates(0.6)["internal"] for name in HOSTILE},
        characteristics=tuple(
            replace(row, by_site=dict.fromkeys(HOSTILE, row.overall), name=HOSTILE[0])
            for row in content.characteristics
        ),
        hidden=(Hidden(HOSTILE[0], "internal", tuple(HOSTILE), 9, 1),),
    )


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(report_content(), tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(hostile_content(), tmp_path_factory.mktemp("hostile"))


def test_every_figure_is_there(page: Page) -> None:
    names = {"comparison", "by-site", "alone", "convergence", "roc", "cohort"}
    names |= {"flow", "calibration", "decision"}
    names |= {
        f"km-{task}-{cohort}" for task in ("os", "rfs") for cohort in ("internal", "external")
    }
    names |= {f"activation-{number}" for number in (1, 2, 3, 4)}
    assert {i.removeprefix("figure-") for i in page.ids if i.startswith("figure-")} == names
    assert page.tags.count("svg") == len(names) - 4
    assert page.tags.count("img") == 4
    assert page.text.count("How to read it") == 11


def test_ids_are_unique_and_whatever_is_pointed_to_exists(page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    assert page.references <= set(page.ids)


def test_a_screen_reader_and_a_keyboard_find_their_way(page: Page, text: str) -> None:
    assert page.unnamed_pictures == 0
    assert page.tables_without_caption == 0
    assert {"header", "main", "nav", "footer", "h1"} <= set(page.tags)
    assert page.tags.count("h1") == page.tags.count("main") == 1
    assert text.index('class="skip" href="#results"') < text.index("<header")
    assert '<html lang="en">' in text
    assert text.count('class="scroll') == text.count('tabindex="0"')


def test_nothing_leaves_the_page_and_no_script_runs(page: Page, text: str) -> None:
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert "script" not in page.tags
    assert not any(name.startswith("on") for name in page.attributes)
    assert "@import" not in text
    assert "url(" not in re.sub(r"url\(#", "", text)
    assert "default-src 'none'" in text


def test_headings_follow_one_another(text: str) -> None:
    levels = [int(level) for level in re.findall(r"<h(\d)[ >]", text)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_navigation_leads_to_every_section_in_its_order(text: str) -> None:
    sections = re.findall(r'<section id="([^"]+)" aria-labelledby="([^"]+)"', text)
    nav = text[text.index("<nav") : text.index("</nav>")]
    assert re.findall(r'href="#([^"]+)"', nav) == [section for section, _ in sections]
    assert all(f'<h2 id="{heading}">' in text for _, heading in sections)


def table(text: str, name: str) -> Page:
    found = text[text.index(f'id="table-{name}"') :]
    return Page(found[: found.index("</table>")])


def test_all_27_items_of_the_checklist_have_an_answer_and_a_place(text: str) -> None:
    rows = table(text, "checklist")
    assert rows.tags.count("tr") == 27 + 1
    matches = [re.match(r"(\d+)\. [A-Z]", word) for word in rows.words]
    numbers = [int(match.group(1)) for match in matches if match]
    assert numbers == list(range(1, 28))
    # Background, ethics, patients' part and interpretation are not for a program.
    assert rows.words.count("For the authors") == 4
    assert rows.references <= set(Page(text).ids)
    assert "191 patients trained" in rows.text


def test_what_is_kept_back_says_who_and_how_many(text: str, tmp_path: Path) -> None:
    assert "site_4, site_5" in table(text, "hidden").text
    assert "4 patients and 1 institution with too few" in table(text, "hidden").text
    assert "2 institutions keep back numbers" in Page(text).text
    everything = written(replace(lean_content(), hidden=()), tmp_path)
    assert "enough patients for every number" in everything


def test_numbers_that_a_site_does_not_tell_are_few_and_never_zero(tmp_path: Path) -> None:
    few = replace(site("small", 30), patients=None, training=None, internal=None, mvi_known=None)
    text = written(replace(lean_content(), sites=(few,)), tmp_path)
    words = table(text, "sites").words
    assert "few" in words
    assert "0" not in words
    assert not any("few of few" in word for word in words)
    assert "number not told" in text
    assert "some used" in text


def test_net_benefit_weighs_harm_by_the_odds_as_it_is_computed(text: str) -> None:
    """Vickers and Elkin, Med Decis Making 2006;26:565."""
    assert "acted on times the odds p / (1 - p) of the probability p" in text


def test_maps_are_told_against_chance(text: str) -> None:
    # 20 and 40 summed over 80 patients; volume 4 and 16.
    assert table(text, "activation").words[-5:] == ["80", "25%", "chance 5%", "50%", "chance 20%"]


def test_a_run_without_pictures_says_why_and_keeps_the_shares(tmp_path: Path) -> None:
    text = written(lean_content(), tmp_path)
    assert "no image leaves an institution" in text
    assert "The table above is made from sums" in text


def test_what_failed_is_told_in_words(tmp_path: Path) -> None:
    records = (
        {"round": 1, "refused": {"site_9": "NO_ANSWER"}, "absent": ["site_8"]},
        {"round": 2, "refused": {"site_9": "NO_ANSWER"}},
    )
    sites = (replace(site("empty", 9), patients=0), site("lonely", 20))
    content = replace(lean_content(), rounds=records, sites=sites)
    words = Page(written(content, tmp_path)).text
    assert "site_9 : no answer in time, rounds 1, 2" in words
    assert "site_8 : not online, round 1" in words
    assert "empty : no usable patient, whole run" in words
    assert "lonely : could not train a model alone, whole run" in words


def test_the_question_comes_before_the_answer(text: str) -> None:
    assert text.index('id="question"') < text.index('id="answer"') < text.index("<nav")
    assert "Can 5 institutions" in text


def test_ten_seconds_are_enough(text: str) -> None:
    """Where it was judged, the OS C-index, its interval and who was set aside: in the tiles."""
    over = text[: text.index("<nav")]
    assert '<p class="over" id="tiles-heading">The federated model at the external site</p>' in over
    tiles = re.findall(r'<li id="tile-\d".*?</li>', over)
    assert re.search(r"OS C-index</span><strong>0\.730</strong>", tiles[0])
    assert "95% CI 0.650 to 0.800" in tiles[0]
    assert re.search(r"Patients set aside</span><strong>12</strong>", tiles[4])
    assert "at all sites; 388 used" in tiles[4]


def test_a_hazard_ratio_without_an_interval_says_why() -> None:
    content = report_content()
    bare = tuple(
        replace(group, hazard_ratio=Estimate(5.9, None, 10)) for group in content.risk_groups
    )
    assert "most resamples had a group without an event" in hazard_table(bare).caption
    assert "resamples" not in hazard_table(content.risk_groups).caption


def test_how_censoring_is_weighed_is_said() -> None:
    content = report_content()
    assert any("censoring of their own" in limit for limit in limits(content))
    bare = limits(replace(content, horizons=()))
    assert not any("censoring of their own" in limit for limit in bare)
    assert not any("Dotted lines" in limit for limit in limits(content))


def test_how_far_curves_can_be_off_is_that_of_their_bounds() -> None:
    """Two of four times within 0.1, the worst within 0.3."""
    content = report_content()
    four = np.arange(4.0)
    survival, low, high = np.full(4, 0.5), np.array([0.5, 0.4, 0.4, 0.2]), np.full(4, 0.55)
    group = RiskGroup("Low", 9, four, survival, survival, survival, {0: 9}, (low, high))
    told = replace(content, risk_groups=(replace(content.risk_groups[0], groups=(group,)),))
    said = " ".join(limits(told))
    assert "half of the time within 0.10" in said
    assert "at the worst time within 0.30" in said


def test_the_answer_stands_before_the_first_section(text: str) -> None:
    opening = text[text.index("<main>") : text.index('<section id="results"')]
    for found in ("0.730", "0.650 to 0.800", "RFS C-index", "0.740", "MVI F1", "0.750", "0.760"):
        assert found in opening
    assert "Patients set aside</span><strong>12<" in opening
    assert "pooled data reached 0.740" in opening


def test_synthetic_is_said_in_the_heading_and_real_is_not_called_so(
    text: str, tmp_path: Path
) -> None:
    def heading(page: str) -> str:
        return page[page.index("<h1>") : page.index("</h1>")]

    assert "synthetic" in heading(text)
    assert 'class="notice"' in text
    content = lean_content()
    real = written(replace(content, run=replace(content.run, synthetic=False)), tmp_path)
    assert "synthetic" not in real.lower()


def test_the_results_table_holds_every_method_and_cohort(text: str) -> None:
    table = text[text.index('id="table-results"') :]
    table = table[: table.index("</table>")]
    for group in ("External site", "Internal validation", "Training"):
        assert group in table
    assert table.count('<th scope="row">') == 3 * 5
    assert table.count('class="strong"') == 3
    assert table.count("n = 116") == 4


def test_sums_that_left_patients_out_say_so_and_rows_stand_below(tmp_path: Path) -> None:
    content = report_content()
    fewer = {
        cohort: {metric: replace(found, n=found.n - 11) for metric, found in metrics.items()}
        for cohort, metrics in content.results["fedavg"].items()
    }
    results = with_rows({**content.results, "fedavg": fewer}, 0.811)
    page = written(replace(content, results=results), tmp_path)
    table = page[page.index('id="table-results"') :]
    table = table[: table.index("</table>")]
    assert table.count("Federated (FedAvg), from rows") == 1
    assert table.count("0.811") == 4
    assert "n = 105" in table
    assert "keep back those of few patients" in table


def test_names_from_folders_are_text_and_nothing_else(hostile: str) -> None:
    page = Page(hostile)
    assert "script" not in page.tags
    assert page.tags.count("img") == 4
    assert not any(name.startswith("on") for name in page.attributes)
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert len(page.ids) == len(set(page.ids))
    assert "{{ run.seed }} $\\frac{1}{0}$ & %s" in page.text
    assert "中山医院" in page.text


def test_what_a_file_cannot_hold_and_what_turns_text_around_is_left_out(hostile: str) -> None:
    assert not re.search("[\x00\x1b\u202e\udcff]", hostile)
    assert "[31mred" in hostile


def test_a_run_without_truth_has_no_row_for_it(tmp_path: Path) -> None:
    content = lean_content()
    results = {k: v for k, v in content.results.items() if k in ("fedavg", "pooled")}
    text = written(replace(content, results=results), tmp_path)
    assert "Best possible" not in text
    assert "the true risk" not in text
    assert "No institution trained alone" in text


def test_what_cannot_be_had_is_said(tmp_path: Path) -> None:
    content = lean_content()
    text = written(replace(content, results={"fedavg": estimates(None)}), tmp_path)
    assert "C-index</span> for overall survival is not available: too few patients" in text
    assert text.count('<strong class="none">not available') == 4
    table = text[text.index('id="table-results"') :]
    assert table[: table.index("</table>")].count("<td>not available</td>") == 12
    assert "None" not in Page(text).text


def test_without_an_external_site_internal_validation_answers(tmp_path: Path) -> None:
    content = lean_content()
    rows = estimates(0.7)
    none = {metric: Estimate(None, None, 0) for metric in rows["external"]}
    inside: dict[Metric, Estimate] = {**rows["internal"], "os_uno_c": Estimate(0.7, None, 116)}
    results: Results = {"fedavg": {**rows, "internal": inside, "external": none}}
    text = written(replace(content, results=results), tmp_path)
    opening = text[text.index("<main>") : text.index('<section id="results"')]
    assert "no institution was held out" in opening
    assert "n = 0" not in text
    assert "External site" not in table(text, "results").words
    assert "External site" not in table(text, "more").words
    assert "116 synthetic patients" in opening


def test_a_value_at_an_institution_says_of_how_many(tmp_path: Path) -> None:
    """A C-index of 1.000 with an interval of no width is that of five patients."""
    few: dict[Metric, Estimate] = {
        "os_c_index": Estimate(1.0, (1.0, 1.0), 5),
        "mvi_auc": Estimate(None, None, 0),
    }
    content = replace(lean_content(), by_site={"site_5": few})
    words = table(written(content, tmp_path), "by-site").words
    assert "1.000 to 1.000, n = 5" in words
    assert "n = 0" not in words


def test_mvi_that_is_kept_back_is_not_called_absent(tmp_path: Path) -> None:
    kept_back = replace(lean_content(), roc=())
    assert "too few patients of a class to be told" in written(kept_back, tmp_path)
    assert "no patients of both classes" in written(replace(kept_back, hidden=()), tmp_path)


def test_a_run_with_almost_nothing_has_a_page(tmp_path: Path) -> None:
    content = lean_content()
    blank = replace(
        content,
        run=replace(content.run, best_round=None),
        sites=(),
        results={},
        rounds=({"round": 0},),
        roc=(),
        by_site={},
        confusion=(),
        calibration=(),
        decision=(),
        horizons=(),
        characteristics=(),
        hidden=(),
        activation_shares={},
    )
    text = written(blank, tmp_path)
    for said in (
        "no image leaves an institution",
        "no patients of both classes",
        "every patient was used",
        "no calibration curves",
        "Nothing that the records know of",
    ):
        assert said in text


def test_patients_are_counted_only_where_entries_say_who(tmp_path: Path) -> None:
    def tile(*sites: SiteSummary) -> str:
        text = written(replace(lean_content(), sites=sites), tmp_path)
        match = re.search(r'id="tile-5".*?</li>', text)
        assert match is not None
        return match.group()

    known, unknown = site("a", 30), replace(site("b", 20), excluded=None)
    clean = replace(site("c", 10), excluded=None, set_aside={})
    assert "Patients set aside</span><strong>2<" in tile(known, clean)
    assert "Entries set aside</span><strong>6<" in tile(known, unknown)


def test_columns_that_nobody_knows_are_left_out(text: str, tmp_path: Path) -> None:
    assert "Slice, mm" not in text
    some = (replace(site("a", 30), slice_thickness_mm=2.5), site("b", 20))
    content = replace(lean_content(), sites=some)
    assert "Slice, mm" in written(replace(content, characteristics=()), tmp_path)
    # Exact means stand in the table of characteristics: no rough median beside them.
    assert "Slice, mm" not in written(content, tmp_path)


def test_refused_updates_and_the_cost_of_a_round_are_told(page: Page) -> None:
    assert "site_4 : not finite, round 3" in page.text
    # 1.443 MB down and up.
    assert "took 3.1 s and moved 2.9 MB" in page.text


def test_f1_is_compared_with_calling_everyone_positive(page: Page) -> None:
    # 20 of 53 positive: precision 20/53, recall 1, so F1 = 40/73.
    assert "calling every external patient positive gives 0.548" in page.text


def test_the_page_is_small(text: str) -> None:
    assert len(text.encode()) < 3_000_000


def test_the_same_content_gives_the_same_bytes(text: str, tmp_path: Path) -> None:
    assert written(report_content(), tmp_path) == text
