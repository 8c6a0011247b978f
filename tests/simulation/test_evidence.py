"""Federated evaluation through its messages: the same numbers as rows, and what is withheld."""

import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Context, Error, Message, MessageType
from lifelines.utils import concordance_index
from sklearn.metrics import f1_score, roc_auc_score

from client.answers import build_client_app
from client.cases import PreparedCase, SetAside
from client.cohort import prepare_site
from client.evaluation import predict_cases
from client.evidence.gather import cohorts_of
from client.site import Site
from server.evidence import (
    ModelEvidence,
    ask_for_descriptions,
    ask_for_evidence,
    first_request,
)
from server.judges import Judges
from server.outputs import folder_name, write_set_aside_counts
from server.report import calibration_curves, horizon_scores, risk_group_curves
from server.roll import Roll
from server.terms import Patience, Terms
from shared.evidence.description import Description
from shared.evidence.messages import EVIDENCE, REQUEST, read_evidence, write_evidence_request
from shared.evidence.request import EvidenceRequest, brier_months, follow_up_grid
from shared.evidence.sums import same
from shared.evidence.table_one import characteristics, site_summary
from shared.metrics.predictions import Predictions
from shared.model import ModelSettings
from shared.plan import Plan
from shared.protocol import ErrorCode, Instruction
from shared.results import Cohort
from shared.tasks import Labels, Survival
from shared.time_grid import TimeGrid
from simulation.evaluation import load_model
from simulation.grid import InProcessGrid
from tests.client.patients import GOOD_ROW, SMALL, write_clinical, write_patient
from tests.shared.model_folders import small_weights

PLAN = Plan(
    rounds=3,
    preprocessing=SMALL.fingerprint,
    training_fraction=0.5,
    model=ModelSettings(init_features=8, growth_rate=4, block_config=(2, 2), embedding=8),
)
WEIGHTS = small_weights(PLAN)


def labels(generator: np.random.Generator) -> Labels:
    return Labels(
        mvi=bool(generator.random() < 0.5),
        rfs=Survival(float(generator.uniform(2, 60)), bool(generator.random() < 0.7)),
        os=Survival(float(generator.uniform(5, 90)), bool(generator.random() < 0.5)),
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[PreparedCase, ...]:
    root = tmp_path_factory.mktemp("evidence")
    patients = [f"p{index}" for index in range(6)]
    write_clinical(root / "site", dict.fromkeys(patients, GOOD_ROW))
    for index, patient in enumerate(patients):
        write_patient(root / "site" / patient, seed=index)
    return prepare_site(root / "site", SMALL, root / "cache", workers=1, progress=False).cases


@pytest.fixture(scope="module")
def sites(prepared: tuple[PreparedCase, ...]) -> list[Site]:
    """Two training sites of 24 patients and an external one of 16: few images, many labels."""
    generator = np.random.default_rng(0)
    made = []
    for name, number in (("a", 24), ("b", 24), ("external", 16)):
        cases = [
            replace(prepared[k % 6], patient_id=f"{name}{k}", labels=labels(generator))
            for k in range(number)
        ]
        aside = [SetAside(f"{name}-gone-{k}", "is damaged or cut short", "f") for k in range(3)]
        made.append(
            Site(
                name,
                tuple(cases),
                SMALL.fingerprint,
                minimum_count=1,
                role="external" if name == "external" else "training",
                set_aside=tuple(aside),
            )
        )
    return made


def grid_of(sites: list[Site]) -> InProcessGrid:
    def site_of(context: Context) -> Site:
        return sites[int(context.node_config["partition-id"])]

    return InProcessGrid(build_client_app(site_of), [site.name for site in sites])


def ask(
    sites: list[Site], resamples: int = 10, plan: Plan = PLAN
) -> tuple[tuple[Description, ...], ModelEvidence]:
    return ask_judges(Judges(grid_of(sites)), resamples, plan)


def ask_judges(
    judges: Judges, resamples: int = 10, plan: Plan = PLAN
) -> tuple[tuple[Description, ...], ModelEvidence]:
    weights = small_weights(plan)
    descriptions, _ = ask_for_descriptions(judges, plan)
    evidence = ask_for_evidence(judges, plan, weights, descriptions, resamples=resamples)
    return descriptions, evidence


class Forgetful(InProcessGrid):
    """A Grid one of whose nodes gives no answer to its first message of every kind, and counts."""

    def __init__(self, sites: list[Site], forgetful: str) -> None:
        def site_of(context: Context) -> Site:
            return sites[int(context.node_config["partition-id"])]

        super().__init__(build_client_app(site_of), [site.name for site in sites])
        self.asked: Counter[tuple[str, str]] = Counter()
        self._forgetful = forgetful

    def _deliver(self, message: Message) -> Message:
        name = self._names[message.metadata.dst_node_id]
        record = message.content.config_records.get(REQUEST)
        asked = (name, "" if record is None else str(record["request"]))
        self.asked[asked] += 1
        if name == self._forgetful and self.asked[asked] == 1:
            return Message(Error(int(ErrorCode.NO_ANSWER)), reply_to=message)
        return super()._deliver(message)


def rows_of(sites: list[Site], cohort: Cohort) -> list[Predictions]:
    model = load_model(PLAN, WEIGHTS)
    found = []
    for site in sites:
        cases = cohorts_of(site, PLAN).get(cohort, ())
        if cases:
            names = (site.name,) * len(cases)
            found.append(predict_cases(model, PLAN, cases, names, site.torch_device))
    return found


def test_the_external_sites_numbers_are_those_of_its_rows(sites: list[Site]) -> None:
    _, evidence = ask(sites)
    (rows,) = rows_of(sites, "external")
    metrics = evidence.metrics()["external"]
    c_index = concordance_index(rows.os.months, -rows.os.risk, rows.os.event)
    assert metrics["os_c_index"].value == pytest.approx(c_index, abs=1e-9)
    auc = roc_auc_score(rows.mvi_label, rows.mvi_probability)
    assert metrics["mvi_auc"].value == pytest.approx(auc, abs=1e-9)
    called = rows.mvi_probability >= (evidence.thresholds.mvi or 0)
    assert metrics["mvi_f1"].value == pytest.approx(f1_score(rows.mvi_label, called), abs=1e-9)
    assert metrics["os_c_index"].n == 16
    assert all(estimate.ci95 is None or len(estimate.ci95) == 2 for estimate in metrics.values())


def test_the_thresholds_do_not_know_the_external_site(sites: list[Site]) -> None:
    flipped = tuple(
        replace(case, labels=replace(case.labels, mvi=not case.labels.mvi))
        for case in sites[2].cases
    )
    _, evidence = ask(sites, resamples=0)
    _, other = ask([*sites[:2], replace(sites[2], cases=flipped)], resamples=0)
    assert evidence.thresholds == other.thresholds
    assert evidence.thresholds.mvi is not None
    assert evidence.metrics()["external"]["mvi_f1"] != other.metrics()["external"]["mvi_f1"]


def test_the_same_question_gives_the_same_answer_whatever_the_order(sites: list[Site]) -> None:
    descriptions, first = ask(sites)
    again, second = ask(sites[::-1])
    assert first.metrics() == second.metrics()
    assert same(descriptions, again)


@pytest.mark.parametrize("forgetful", ["b", "external"])
def test_who_answers_at_the_second_attempt_counts_as_if_at_the_first(
    sites: list[Site], forgetful: str
) -> None:
    """Thresholds wait for everybody: they are those of all sites' internal validation."""
    descriptions, expected = ask(sites)
    grid = Forgetful(sites, forgetful)
    terms = Terms(Roll(("a", "b"), ("external",)), Patience(attempts=2, gathering_s=0.0))
    again, found = ask_judges(Judges(grid, terms))
    assert found.thresholds == expected.thresholds
    assert found.metrics() == expected.metrics()
    assert same(descriptions, again)
    assert found.refused == {}
    for site in ("a", "b", "external"):
        times = [count for (asked, _), count in grid.asked.items() if asked == site]
        assert times == [2 if site == forgetful else 1] * 3


def test_another_secret_changes_intervals_alone(sites: list[Site]) -> None:
    _, first = ask(sites)
    _, second = ask([replace(site, bootstrap_seed=99) for site in sites])
    one, other = (e.metrics()["external"]["os_c_index"] for e in (first, second))
    assert one.value == other.value
    assert one.ci95 != other.ci95


def test_a_whole_site_withheld_is_told_and_left_out(sites: list[Site]) -> None:
    shy = [replace(sites[0], minimum_count=100), *sites[1:]]
    descriptions, evidence = ask(shy)
    assert descriptions[0].cohorts["internal"].patients is None
    assert site_summary(descriptions[0]).patients is None
    only = evidence.metrics()["internal"]["os_c_index"]
    (rows,) = rows_of([sites[1]], "internal")
    expected = concordance_index(rows.os.months, -rows.os.risk, rows.os.event)
    assert only.value == pytest.approx(expected, abs=1e-9)
    assert only.n == len(rows)


def test_no_small_count_of_a_site_is_told(sites: list[Site]) -> None:
    shy = [replace(site, minimum_count=5) for site in sites]
    descriptions, evidence = ask(shy)
    for description in descriptions:
        assert description.set_aside["unreadable"] is None
        assert description.excluded is None
        for cohort in description.cohorts.values():
            counts = [*cohort.known.values(), *cohort.events.values(), *cohort.phases.values()]
            assert all(count in (None, 0) or count >= 5 for count in counts)
            for measure in cohort.measures.values():
                if measure.histogram is not None:
                    assert measure.histogram.values.min() >= 5
    for answer in evidence.answers:
        for sums in answer.cohorts.values():
            cells = [group.cells for group in (*sums.os.groups, *sums.rfs.groups)]
            if sums.mvi.scores is not None:
                cells.append(sums.mvi.scores)
            for own in cells:
                sizes = own.values[0].sum(axis=1)
                assert ((sizes == 0) | (sizes >= 5)).all()


def test_curves_end_where_follow_up_does(sites: list[Site]) -> None:
    """Nobody was followed beyond 90 months, on a grid that goes on to 120."""
    for minimum_count in (1, 5):
        _, evidence = ask([replace(site, minimum_count=minimum_count) for site in sites])
        drawn = [group for groups in risk_group_curves(evidence) for group in groups.groups]
        assert drawn
        for group in drawn:
            assert group.months[-1] <= 90
            assert max(group.at_risk) <= group.months[-1]
            assert (group.errors >= 0).all()
            assert len(group.errors) == len(group.months)


def test_numbers_at_risk_are_those_who_outlived_each_time(sites: list[Site]) -> None:
    """Between two quarters of a year who died is not at risk at the second, nor counted in S."""
    _, evidence = ask(sites)
    (rows,) = rows_of(sites, "external")
    (drawn,) = [g for g in risk_group_curves(evidence) if (g.task, g.cohort) == ("rfs", "external")]
    own, event = rows.rfs, rows.rfs.event == 1
    group = np.searchsorted(evidence.thresholds.rfs, own.risk, side="left")
    for number, found in enumerate(drawn.groups):
        for months, at_risk in found.at_risk.items():
            outlived = (own.months > months) | ((own.months == months) & ~event)
            assert at_risk == (outlived & (group == number)).sum()


@pytest.mark.parametrize(
    ("edges", "judged"), [((12.0, 24.0, 36.0), (12, 24, 36)), ((5.0, 10.0), ())]
)
def test_curves_are_judged_as_far_as_they_reach(
    sites: list[Site], edges: tuple[float, ...], judged: tuple[int, ...]
) -> None:
    """Ranks of risks are judged at any time; nothing was predicted beyond the plan's last edge."""
    _, evidence = ask(sites, plan=replace(PLAN, time_grid=TimeGrid(edges)))
    own = [s for s in horizon_scores(evidence) if (s.task, s.cohort) == ("os", "internal")]
    assert [s.months for s in own] == [12, 24, 36, 60]
    assert [s.months for s in own if s.brier.value is not None] == list(judged)
    assert [s.months for s in own if s.null_brier.value is not None] == list(judged)
    assert own[-1].auc.value is not None
    assert (evidence.metrics()["internal"]["os_ibs"].value is not None) is bool(judged)
    shown = {curve.horizon_months for curve in calibration_curves(evidence)} - {None}
    assert shown == set(judged)


def test_one_bad_site_does_not_stop_the_evaluation(
    sites: list[Site], caplog: pytest.LogCaptureFixture
) -> None:
    lost = replace(
        sites[1],
        cases=tuple(replace(case, roi_path=Path("/nowhere/x")) for case in sites[1].cases),
    )
    with caplog.at_level(logging.CRITICAL):
        _, evidence = ask([sites[0], lost, sites[2]])
    assert [answer.site for answer in evidence.answers] == ["a", "external"]
    assert list(evidence.refused.values()) == ["DATA_UNREADABLE"]
    assert evidence.metrics()["external"]["os_c_index"].value is not None


def test_an_external_site_trains_no_model(sites: list[Site]) -> None:
    grid = grid_of([sites[2]])
    (node,) = grid.get_node_ids()
    request = write_evidence_request(WEIGHTS, Instruction(PLAN, 1), EvidenceRequest())
    (reply,) = grid.send_and_receive([Message(request, node, MessageType.TRAIN)])
    assert reply.has_error()
    assert reply.error.code == ErrorCode.NO_PATIENTS


def test_a_site_tells_only_what_was_asked(sites: list[Site]) -> None:
    grid = grid_of(sites)
    request = first_request(PLAN)
    content = write_evidence_request(WEIGHTS, Instruction(PLAN, 1), request)
    kind = f"{MessageType.EVALUATE}.{EVIDENCE}"
    messages = [Message(content, node, kind) for node in grid.get_node_ids()]
    answers = [read_evidence(reply) for reply in grid.send_and_receive(messages)]
    assert [set(answer.cohorts) for answer in answers] == [{"internal"}, {"internal"}, set()]
    assert all(answer.cohorts["internal"].os.pairs is None for answer in answers[:2])


@pytest.mark.parametrize(
    "odd",
    [
        {"follow_up": TimeGrid((*follow_up_grid(PLAN).edges_months, 120.5))},
        {"horizons_months": (12.0, 15.0, 24.0, 36.0, 60.0)},
        {"brier_months": tuple(3.0 * k for k in range(4, 21))},
    ],
)
def test_times_of_a_coordinators_own_are_refused(
    sites: list[Site], odd: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Sums at two times differ by the patients in between."""
    grid = grid_of(sites[:1])
    content = write_evidence_request(
        WEIGHTS, Instruction(PLAN, 1), replace(first_request(PLAN), **odd)
    )
    (node,) = grid.get_node_ids()
    with caplog.at_level(logging.CRITICAL):
        (reply,) = grid.send_and_receive(
            [Message(content, node, f"{MessageType.EVALUATE}.{EVIDENCE}")]
        )
    assert reply.error.code == ErrorCode.POLICY_REFUSED


def test_a_time_beyond_the_curves_is_of_no_run() -> None:
    short = replace(PLAN, time_grid=TimeGrid((12.0, 24.0, 36.0)))
    asked = first_request(short)
    assert asked.fits(short)
    assert not replace(asked, brier_months=(12.0, 24.0, 36.0, 60.0)).fits(short)


def test_a_finer_plan_makes_no_finer_evidence() -> None:
    """A plan with an edge each month is evaluated by quarters of a year as any other."""
    monthly = replace(PLAN, time_grid=TimeGrid(tuple(float(k) for k in range(1, 121))))
    assert follow_up_grid(monthly) == follow_up_grid(PLAN)
    assert all(months % 3 == 0 for months in brier_months(monthly))


def test_the_table_of_cohorts_is_that_of_the_rows(sites: list[Site]) -> None:
    descriptions, _ = ask(sites, resamples=0)
    rows = {row.name: row for row in characteristics(descriptions)}
    deaths = rows["Death, of known"]
    outcomes = [case.labels.os for case in sites[0].cases if case.labels.os is not None]
    assert deaths.by_site["a"].count == sum(outcome.event for outcome in outcomes)
    assert deaths.by_site["a"].patients == 24
    assert deaths.overall.patients == 48  # the external site is not among them
    months = np.array([outcome.months for outcome in outcomes])
    follow_up = rows["Follow-up, overall survival"].by_site["a"]
    assert follow_up.mean == pytest.approx(months.mean(), abs=1e-9)
    assert follow_up.deviation == pytest.approx(months.std(ddof=1), abs=1e-9)
    assert follow_up.median == pytest.approx(np.median(months), abs=2)


def test_the_standardised_difference_is_austins(sites: list[Site]) -> None:
    descriptions, _ = ask(sites, resamples=0)
    (row,) = [r for r in characteristics(descriptions) if r.name == "Follow-up, overall survival"]
    a, b = (
        np.array([case.labels.os.months for case in site.cases if case.labels.os is not None])
        for site in sites[:2]
    )
    expected = (a.mean() - b.mean()) / np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    assert row.by_site["a"].difference == pytest.approx(expected, abs=1e-9)
    assert row.by_site["b"].difference == pytest.approx(-expected, abs=1e-9)


def test_the_coordinators_list_names_no_patient(sites: list[Site], tmp_path: Path) -> None:
    descriptions, _ = ask([replace(sites[0], minimum_count=5), *sites[1:]], resamples=0)
    write_set_aside_counts(tmp_path, descriptions)
    told = (tmp_path / "sites" / "a" / "set_aside_counts.csv").read_text()
    assert "gone" not in told
    assert "unreadable,a file cannot be read,fewer than 5" in told
    told = (tmp_path / "sites" / "b" / "set_aside_counts.csv").read_text()
    assert "unreadable,a file cannot be read,3" in told


@pytest.mark.parametrize(
    ("site", "name"), [("../../etc", "_.._etc"), ("a/b", "a_b"), ("..", "_"), ("Köln 1", "Köln 1")]
)
def test_a_sites_name_cannot_leave_the_folder(site: str, name: str) -> None:
    assert folder_name(site) == name
