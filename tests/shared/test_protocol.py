from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from shared import protocol
from shared.judgement import Judgement, LossSum
from shared.metrics.classification import ScoreHistogram
from shared.metrics.concordance import PairCounts
from shared.plan import Plan
from shared.protocol import ErrorCode, Instruction, ProtocolError, Update
from shared.weights import Weights, to_record

WEIGHTS: Weights = {"trunk.w": np.arange(6, dtype=np.float32).reshape(2, 3)}
JUDGEMENT = Judgement(
    losses={"mvi": LossSum(1.5, 6), "rfs": LossSum(), "os": LossSum(4.25, 9)},
    pairs={"rfs": PairCounts(), "os": PairCounts(10, 5, 1)},
    mvi_scores=ScoreHistogram.count([0, 1, 1], [0.1, 0.9, 1.0]),
)
UPDATE = Update(
    site="site_1",
    weights=WEIGHTS,
    patients=12,
    labelled={"mvi": 6, "rfs": 0, "os": 12},
    loss=0.25,
    seconds=1.5,
    judgement=JUDGEMENT,
)


@pytest.fixture(autouse=True)
def identity() -> None:
    TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, 1


def message(content: RecordDict) -> Message:
    return Message(content, 2, MessageType.TRAIN)


def test_an_instruction_survives_the_wire() -> None:
    instruction = Instruction(
        Plan(seed=4, rounds=3), round=2, counted={"site_1": 1}, federation="x"
    )
    weights, read = protocol.read_instruction(
        message(protocol.write_instruction(WEIGHTS, instruction))
    )
    assert read == instruction
    np.testing.assert_array_equal(weights["trunk.w"], WEIGHTS["trunk.w"])


def test_an_update_survives_the_wire() -> None:
    read = protocol.read_update(message(protocol.write_update(UPDATE)), WEIGHTS)
    np.testing.assert_array_equal(read.weights["trunk.w"], WEIGHTS["trunk.w"])
    assert (read.site, read.patients, read.labelled) == ("site_1", 12, UPDATE.labelled)
    assert read.judgement == JUDGEMENT


def test_only_the_named_records_cross() -> None:
    content = protocol.write_update(UPDATE)
    assert set(content) == {"model", "counts", "site", "judgement"}
    assert set(content["site"]) == {"version", "name"}


def break_version(content: RecordDict) -> None:
    content[protocol.SITE] = ConfigRecord({"version": 99, "name": "site_1"})


def break_keys(content: RecordDict) -> None:
    content[protocol.MODEL] = to_record({"other": WEIGHTS["trunk.w"]})


def break_shape(content: RecordDict) -> None:
    content[protocol.MODEL] = to_record({"trunk.w": WEIGHTS["trunk.w"].T.copy()})


def break_finiteness(content: RecordDict) -> None:
    content[protocol.MODEL] = to_record({"trunk.w": np.full((2, 3), np.nan, np.float32)})


def drop_judgement(content: RecordDict) -> None:
    del content[protocol.JUDGEMENT]


def drop_a_sum(content: RecordDict) -> None:
    content[protocol.JUDGEMENT] = MetricRecord({"os-loss": 1.0})


def claim_no_patients(content: RecordDict) -> None:
    content.metric_records[protocol.COUNTS]["patients"] = 0


def claim_too_many_labels(content: RecordDict) -> None:
    content.metric_records[protocol.COUNTS]["labelled-os"] = 13


def claim_part_of_a_patient(content: RecordDict) -> None:
    content.metric_records[protocol.COUNTS]["patients"] = 12.5


def claim_a_negative_loss(content: RecordDict) -> None:
    content.metric_records[protocol.COUNTS]["loss"] = -1.0


def judge_by_a_negative_loss(content: RecordDict) -> None:
    content.metric_records[protocol.JUDGEMENT]["os-loss"] = -1e6


def judge_by_a_loss_of_nobody(content: RecordDict) -> None:
    content.metric_records[protocol.JUDGEMENT]["rfs-loss"] = 1.0


def judge_by_a_loss_beyond_all(content: RecordDict) -> None:
    content.metric_records[protocol.JUDGEMENT]["os-loss"] = 1e300


def judge_by_patients_of_no_hospital(content: RecordDict) -> None:
    content.metric_records[protocol.JUDGEMENT]["os-patients"] = 2**21


def judge_by_more_pairs_than_patients_make(content: RecordDict) -> None:
    content.metric_records[protocol.JUDGEMENT]["os-pairs"] = [37.0, 0.0, 0.0]


def judge_by_more_scores_than_patients(content: RecordDict) -> None:
    content.metric_records[protocol.JUDGEMENT]["mvi-patients"] = 2


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (claim_part_of_a_patient, ErrorCode.MALFORMED_MESSAGE),
        (claim_a_negative_loss, ErrorCode.MALFORMED_MESSAGE),
        (judge_by_a_negative_loss, ErrorCode.MALFORMED_MESSAGE),
        (judge_by_a_loss_of_nobody, ErrorCode.MALFORMED_MESSAGE),
        (judge_by_a_loss_beyond_all, ErrorCode.MALFORMED_MESSAGE),
        (judge_by_patients_of_no_hospital, ErrorCode.MALFORMED_MESSAGE),
        (judge_by_more_pairs_than_patients_make, ErrorCode.MALFORMED_MESSAGE),
        (judge_by_more_scores_than_patients, ErrorCode.MALFORMED_MESSAGE),
        (break_version, ErrorCode.UNKNOWN_VERSION),
        (break_keys, ErrorCode.WRONG_MODEL),
        (break_shape, ErrorCode.WRONG_MODEL),
        (break_finiteness, ErrorCode.NON_FINITE_UPDATE),
        (drop_judgement, ErrorCode.MALFORMED_MESSAGE),
        (drop_a_sum, ErrorCode.MALFORMED_MESSAGE),
        (claim_no_patients, ErrorCode.NO_PATIENTS),
        (claim_too_many_labels, ErrorCode.MALFORMED_MESSAGE),
    ],
)
def test_a_broken_update_is_refused_by_name(
    damage: Callable[[RecordDict], None], code: ErrorCode
) -> None:
    content = protocol.write_update(UPDATE)
    damage(content)
    with pytest.raises(ProtocolError) as caught:
        protocol.read_update(message(content), WEIGHTS)
    assert caught.value.code is code


CONTROL: Weights = {"trunk.w": np.full((2, 3), 0.5, np.float32)}


def test_control_variates_survive_the_wire_both_ways() -> None:
    down = message(protocol.write_instruction(WEIGHTS, Instruction(Plan(), 1), CONTROL))
    received = protocol.read_control(down, WEIGHTS)
    up = message(protocol.write_update(replace(UPDATE, control=CONTROL)))
    returned = protocol.read_update(up, WEIGHTS, CONTROL).control
    for found in (received, returned):
        assert found is not None
        np.testing.assert_array_equal(found["trunk.w"], CONTROL["trunk.w"])


@pytest.mark.parametrize(
    ("control", "code"),
    [
        (None, ErrorCode.MALFORMED_MESSAGE),
        ({"other": CONTROL["trunk.w"]}, ErrorCode.WRONG_MODEL),
        ({"trunk.w": CONTROL["trunk.w"].T.copy()}, ErrorCode.WRONG_MODEL),
        ({"trunk.w": np.full((2, 3), np.inf, np.float32)}, ErrorCode.NON_FINITE_UPDATE),
        ({"trunk.w": np.full((2, 3), 2.0**24, np.float32)}, ErrorCode.OUT_OF_RANGE_UPDATE),
    ],
)
def test_broken_control_variates_are_refused_at_both_ends(
    control: Weights | None, code: ErrorCode
) -> None:
    down = message(protocol.write_instruction(WEIGHTS, Instruction(Plan(), 1), control))
    up = message(protocol.write_update(replace(UPDATE, control=control)))
    for read in (
        lambda: protocol.read_control(down, WEIGHTS),
        lambda: protocol.read_update(up, WEIGHTS, CONTROL),
    ):
        with pytest.raises(ProtocolError) as caught:
            read()
        assert caught.value.code is code


def test_control_variates_that_nobody_asked_for_are_refused() -> None:
    down = message(protocol.write_instruction(WEIGHTS, Instruction(Plan(), 1), CONTROL))
    up = message(protocol.write_update(replace(UPDATE, control=CONTROL)))
    with pytest.raises(ProtocolError, match="nobody asked"):
        protocol.read_control(down, None)
    with pytest.raises(ProtocolError, match="nobody asked"):
        protocol.read_update(up, WEIGHTS)


@pytest.mark.parametrize("counted", ["[]", '{"a": 2}', '{"a": 0}', '{"a": "x"}', "no JSON", "3"])
def test_rounds_that_cannot_have_counted_are_refused(counted: str) -> None:
    content = protocol.write_instruction(WEIGHTS, Instruction(Plan(), 2))
    content.config_records[protocol.INSTRUCTION]["counted"] = counted
    with pytest.raises(ProtocolError) as caught:
        protocol.read_instruction(message(content))
    assert caught.value.code is ErrorCode.MALFORMED_MESSAGE


def test_a_plan_that_does_not_validate_is_refused() -> None:
    content = protocol.write_instruction(WEIGHTS, Instruction(Plan(), 1))
    content[protocol.INSTRUCTION] = ConfigRecord(
        {"version": protocol.VERSION, "round": 1, "plan": '{"rounds": -1}', "counted": "{}"}
    )
    with pytest.raises(ProtocolError, match="rounds must be at least 1"):
        protocol.read_instruction(message(content))
