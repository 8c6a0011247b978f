"""Evidence and descriptions on the wire: what is written is read, what is broken is refused."""

from collections.abc import Callable

import numpy as np
import pytest
from flwr.app import Array, ConfigRecord, Message, MessageType, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from shared.activation_share import ActivationShares
from shared.evidence import messages
from shared.evidence.cells import Cells
from shared.evidence.description import REASONS, CohortDescription, Description, MeasureSums
from shared.evidence.follow_up import FollowUpCells
from shared.evidence.request import EvidenceRequest, Thresholds
from shared.evidence.sums import CohortSums, Evidence, MviSums, SurvivalSums, same
from shared.plan import Plan
from shared.protocol import SITE, VERSION, ErrorCode, Instruction, ProtocolError
from shared.time_grid import TimeGrid
from shared.weights import Weights

WEIGHTS: Weights = {"w": np.ones(2, np.float32)}


def cells(rows: int, columns: int) -> Cells:
    values = np.arange(rows * 3 * columns, dtype=float).reshape(rows, 3, columns)
    return Cells(np.array([0, 4, 7]), values + 0.5 * (columns == 3))


def follow_up(rows: int) -> FollowUpCells:
    return FollowUpCells(cells(rows, 2), np.array([1, 4, 9]))


EVIDENCE = Evidence(
    site="site_1",
    minimum_count=5,
    cohorts={
        "training": CohortSums(patients=None, mvi=MviSums(labelled=None)),
        "internal": CohortSums(
            patients=20,
            activation=ActivationShares(19, 4.5, 9.25, 1.0, 3.5),
            mvi=MviSums(
                labelled=18,
                scores=cells(3, 2),
                predicted=cells(1, 1),
                pairs=np.array([[4.0, 3, 1], [300, 2, 1], [70000, 0, 0]]),
                squared_error=np.array([1.25, 0.5, 2]),
                confusion=np.ones((3, 4)),
            ),
            os=SurvivalSums(
                labelled=20,
                risk=cells(1, 1),
                pairs=np.ones((3, 3)),
                weighted_pairs=np.full((3, 2), 1.5),
                groups=(follow_up(3), follow_up(3)),
                auc=np.ones((3, 4, 2)),
                brier=np.ones((3, 2, 3)),
                brier_patients=np.array([0, 20]),
                calibration=(cells(1, 3),),
            ),
        ),
    },
)
DESCRIPTION = Description(
    site="site_1",
    minimum_count=5,
    cohorts={
        "external": CohortDescription(
            patients=30,
            known={"mvi": None, "rfs": 29, "os": 30},
            follow_up={"rfs": None, "os": follow_up(1)},
            measures={
                **CohortDescription().measures,
                "tumour_diameter_mm": MeasureSums(30, 900.5, 40000.25, cells(1, 1)),
            },
        )
    },
    set_aside={**dict.fromkeys(REASONS, 0), "unreadable": None},
    excluded=None,
)


@pytest.fixture(autouse=True)
def identity() -> None:
    TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, 1


def message(content: RecordDict) -> Message:
    return Message(content, 2, f"{MessageType.EVALUATE}.{messages.EVIDENCE}")


def test_evidence_survives_the_wire() -> None:
    assert same(messages.read_evidence(message(messages.write_evidence(EVIDENCE))), EVIDENCE)


def test_a_description_survives_the_wire() -> None:
    content = messages.write_description(DESCRIPTION)
    assert same(messages.read_description(message(content)), DESCRIPTION)


def test_a_request_survives_the_wire() -> None:
    request = EvidenceRequest(
        cohorts=("internal",),
        follow_up=TimeGrid((12.0, 24.0, 36.0, 60.0)),
        resamples=10,
        thresholds=Thresholds(mvi=1 / 3, os=(-1.5, 0.25)),
    )
    content = messages.write_evidence_request(WEIGHTS, Instruction(Plan(), 3), request)
    assert messages.read_evidence_request(message(content)) == request


def break_version(content: RecordDict) -> None:
    content[SITE] = ConfigRecord({"version": 99, "name": "site_1"})


def drop_sums(content: RecordDict) -> None:
    del content[messages.SUMS]


def drop_an_array(content: RecordDict) -> None:
    del content.array_records[messages.SUMS]["internal/os/pairs"]


def drop_a_number(content: RecordDict) -> None:
    del content.metric_records[messages.NUMBERS]["internal/os/labelled"]


def break_shape(content: RecordDict) -> None:
    content.array_records[messages.SUMS]["internal/os/auc"] = Array(np.ones((3, 4)))


def break_rows(content: RecordDict) -> None:
    content.array_records[messages.SUMS]["internal/os/brier"] = Array(np.ones((2, 2, 3)))


def break_sign(content: RecordDict) -> None:
    content.array_records[messages.SUMS]["internal/mvi/pairs"] = Array(-np.ones((3, 3)))


def break_finiteness(content: RecordDict) -> None:
    bad = np.full((3,), np.nan)
    content.array_records[messages.SUMS]["internal/mvi/squared_error"] = Array(bad)


def break_shares(content: RecordDict) -> None:
    # More than all of the activation of 19 patients.
    content.metric_records[messages.NUMBERS]["internal/activation/in_tumour"] = 20.0


def break_cells(content: RecordDict) -> None:
    starts = Array(np.array([0, 7, 4]))
    content.array_records[messages.SUMS]["internal/mvi/scores/starts"] = starts


def drop_the_middles(content: RecordDict) -> None:
    content.array_records[messages.SUMS]["internal/os/groups/0/middles"] = Array(np.zeros(0))


def break_the_middles(content: RecordDict) -> None:
    # The second cell begins at bin 4.
    middles = Array(np.array([1, 3, 9]))
    content.array_records[messages.SUMS]["internal/os/groups/0/middles"] = middles


def break_count(content: RecordDict) -> None:
    content.metric_records[messages.NUMBERS]["internal/mvi/labelled"] = 1.5


def name_an_unknown_cohort(content: RecordDict) -> None:
    content.metric_records[messages.NUMBERS]["tomorrow/patients"] = 5


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (break_version, ErrorCode.UNKNOWN_VERSION),
        (drop_sums, ErrorCode.MALFORMED_MESSAGE),
        (drop_an_array, ErrorCode.MALFORMED_MESSAGE),
        (drop_a_number, ErrorCode.MALFORMED_MESSAGE),
        (break_shape, ErrorCode.MALFORMED_MESSAGE),
        (break_rows, ErrorCode.MALFORMED_MESSAGE),
        (break_sign, ErrorCode.MALFORMED_MESSAGE),
        (break_finiteness, ErrorCode.MALFORMED_MESSAGE),
        (break_cells, ErrorCode.MALFORMED_MESSAGE),
        (drop_the_middles, ErrorCode.MALFORMED_MESSAGE),
        (break_the_middles, ErrorCode.MALFORMED_MESSAGE),
        (break_shares, ErrorCode.MALFORMED_MESSAGE),
        (break_count, ErrorCode.MALFORMED_MESSAGE),
        (name_an_unknown_cohort, ErrorCode.MALFORMED_MESSAGE),
    ],
)
def test_broken_evidence_is_refused_by_name(
    damage: Callable[[RecordDict], None], code: ErrorCode
) -> None:
    content = messages.write_evidence(EVIDENCE)
    damage(content)
    with pytest.raises(ProtocolError) as caught:
        messages.read_evidence(message(content))
    assert caught.value.code is code


def test_a_description_without_a_measure_is_refused() -> None:
    content = messages.write_description(DESCRIPTION)
    del content.metric_records[messages.NUMBERS]["external/measures/tumour_diameter_mm/total"]
    with pytest.raises(ProtocolError, match="MALFORMED_MESSAGE"):
        messages.read_description(message(content))


@pytest.mark.parametrize(
    "request_json",
    ['{"resamples": -1}', '{"horizons_months": [7.0]}', '{"thresholds": {"os": [1.0, 1.0]}}'],
)
def test_a_request_that_does_not_validate_is_refused(request_json: str) -> None:
    content = messages.write_evidence_request(WEIGHTS, Instruction(Plan(), 1), EvidenceRequest())
    content[messages.REQUEST] = ConfigRecord({"version": VERSION, "request": request_json})
    with pytest.raises(ProtocolError, match="MALFORMED_MESSAGE"):
        messages.read_evidence_request(message(content))
