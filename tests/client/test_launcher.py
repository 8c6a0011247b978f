"""The guard before the app: what is not allowed is never unpacked, and no text gets out."""

import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ConfigRecord, Context, Error, Message, MessageType, MetricRecord, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client.audit import AuditLog
from client.launcher import OWN_PACKAGES, Guard
from client.policy import Policy
from client.question import LONGEST_CHARACTERS
from shared.config import to_json
from shared.evidence.messages import write_evidence_request
from shared.evidence.request import EvidenceRequest, follow_up_grid
from shared.plan import OptimisationSettings, Plan
from shared.protocol import ErrorCode, Instruction, write_instruction

BUNDLE = b"the allowed bundle"
POLICY = Policy(bundles=(sha256(BUNDLE).hexdigest(),), max_rounds=3)
HONEST = Plan()
App = Callable[[Message, Context], Message]


@pytest.fixture(autouse=True)
def modules_stay() -> Iterator[None]:
    """Give this process its own packages back: the guard forgets them for the app's sake."""
    before = {n: m for n, m in sys.modules.items() if n.partition(".")[0] in OWN_PACKAGES}
    yield
    sys.modules.update(before)


class Runner:
    """Flower's side of the guard: what it would unpack and load."""

    def __init__(self, app: App, log: Path) -> None:
        self.unpacked: list[bytes] = []
        self.loaded = 0
        self.log = AuditLog(log)
        self._app = app
        self.guard = Guard(POLICY, self.log, self.install, self.load)  # type: ignore[arg-type]

    def install(self, bundle: bytes, skip_prompt: bool) -> None:
        assert skip_prompt
        self.unpacked.append(bundle)

    def load(self, app_id: str, version: str, bundle: str) -> App:
        self.loaded += 1
        return self._app

    def run(self, bundle: bytes, content: RecordDict | None = None) -> Message:
        TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, 2
        content = question() if content is None else content
        message = Message(content, dst_node_id=2, message_type=MessageType.TRAIN)
        context = Context(1, 2, node_config={}, state=RecordDict(), run_config={})
        self.guard.install(bundle, skip_prompt=True)
        answer = self.guard.load("hepafed/hepafed", "0.1.0", sha256(bundle).hexdigest())
        return answer(message=message, context=context)


def question(plan: Plan = HONEST, number: int = 3, weight: float = 0.0) -> RecordDict:
    """Return a message of training."""
    weights = {"heads.mvi": np.full(3, weight, np.float32)}
    return write_instruction(weights, Instruction(plan, number, {"north": number - 1}))


def good(message: Message, context: Context) -> Message:
    return Message(RecordDict(), reply_to=message)


def raising(message: Message, context: Context) -> Message:
    raise RuntimeError("Jane Doe, /data/jane-doe")


def refusing(message: Message, context: Context) -> Message:
    code = ErrorCode.POLICY_REFUSED
    return Message(Error(code=int(code), reason=code.name), reply_to=message)


def test_an_allowed_bundle_answers_and_is_written_down(tmp_path: Path) -> None:
    runner = Runner(good, tmp_path / "log.jsonl")
    assert runner.run(BUNDLE).has_content()
    assert runner.unpacked == [BUNDLE]
    (line,) = runner.log.entries()
    assert (line["outcome"], line["code"], line["kind"]) == ("answered", "OK", "train")
    assert (line["round"], line["bundle"]) == (3, sha256(BUNDLE).hexdigest())


def test_another_bundle_is_neither_unpacked_nor_loaded(tmp_path: Path) -> None:
    runner = Runner(good, tmp_path / "log.jsonl")
    other = BUNDLE[:-1] + b"!"
    reply = runner.run(other)
    assert reply.error.code == ErrorCode.BUNDLE_REFUSED
    assert runner.unpacked == []
    assert runner.loaded == 0
    (line,) = runner.log.entries()
    assert (line["outcome"], line["code"]) == ("refused", "BUNDLE_REFUSED")
    assert line["bundle"] == sha256(other).hexdigest()


def test_an_apps_exception_leaves_as_a_code_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runner = Runner(raising, tmp_path / "log.jsonl")
    reply = runner.run(BUNDLE)
    assert (reply.error.code, reply.error.reason) == (ErrorCode.INTERNAL, "INTERNAL")
    assert "Jane Doe" in caplog.text
    assert b"Jane" not in runner.log.path.read_bytes()


def test_a_refusal_of_the_app_is_written_down_by_name(tmp_path: Path) -> None:
    runner = Runner(refusing, tmp_path / "log.jsonl")
    runner.run(BUNDLE)
    (line,) = runner.log.entries()
    assert (line["outcome"], line["code"], line["left"]) == ("refused", "POLICY_REFUSED", [])


def test_the_log_tells_a_batch_of_one_from_an_honest_plan(tmp_path: Path) -> None:
    runner = Runner(good, tmp_path / "log.jsonl")
    alone = Plan(optimisation=OptimisationSettings(batch_size=1))
    for plan in (HONEST, alone):
        runner.run(BUNDLE, question(plan))
    honest, other = (asked.question for asked in runner.log.questions())
    assert honest["asked"]["instruction"]["plan"] == to_json(HONEST)
    assert '"batch_size":1,' in other["asked"]["instruction"]["plan"]
    assert honest["sha256"] != other["sha256"]


def test_what_is_asked_in_every_round_stands_once_and_the_model_by_its_hash(
    tmp_path: Path,
) -> None:
    runner = Runner(good, tmp_path / "log.jsonl")
    for number in (1, 2, 3):
        runner.run(BUNDLE, question(number=number, weight=number // 2))
    (asked,) = runner.log.questions()
    assert asked.lines == (1, 2, 3)
    first, second, third = (line["question"] for line in runner.log.entries())
    assert first["asked"] is not None
    assert (second["asked"], third["asked"]) == (None, None)
    assert first["arrays"] != second["arrays"] == third["arrays"]
    assert runner.log.verify().lines == 3


def test_a_question_for_evidence_is_written_down_word_for_word(tmp_path: Path) -> None:
    runner = Runner(good, tmp_path / "log.jsonl")
    request = EvidenceRequest(("internal",), follow_up_grid(Plan()))
    runner.run(BUNDLE, write_evidence_request({}, Instruction(Plan(), 1), request))
    (line,) = runner.log.entries()
    assert line["question"]["asked"]["evidence-request"]["request"] == to_json(request)


@pytest.mark.parametrize(
    "content",
    [
        RecordDict(),
        RecordDict({"instruction": MetricRecord({"plan": float("nan")})}),
        RecordDict({"instruction": ConfigRecord({"plan": [b"\xff", b""], "round": "now"})}),
        RecordDict({"instruction": ConfigRecord({"plan": "[" * 9999 + "\x1b[2J"})}),
        RecordDict({"model": ConfigRecord({"question": '","asked":{'})}),
    ],
)
def test_a_malformed_question_is_written_down_like_any_other(
    tmp_path: Path, content: RecordDict
) -> None:
    runner = Runner(refusing, tmp_path / "log.jsonl")
    for _ in range(2):
        assert runner.run(BUNDLE, content).error.code == ErrorCode.POLICY_REFUSED
    (asked,) = runner.log.questions()
    assert asked.lines == (1, 2)
    assert asked.question["asked"] is not None
    assert runner.log.verify().lines == 2


def test_a_question_too_long_to_be_written_down_is_not_answered(tmp_path: Path) -> None:
    runner = Runner(good, tmp_path / "log.jsonl")
    endless = ConfigRecord({"plan": "x" * LONGEST_CHARACTERS})
    reply = runner.run(BUNDLE, RecordDict({"instruction": endless}))
    assert (reply.error.code, runner.loaded) == (ErrorCode.MALFORMED_MESSAGE, 0)
    (line,) = runner.log.entries()
    assert (line["outcome"], line["question"]["asked"]) == ("refused", None)
    assert len(runner.log.path.read_bytes()) < 1000


@pytest.mark.parametrize("content", [b"", b"nonsense\n"])
def test_nothing_leaves_that_cannot_be_written_down(tmp_path: Path, content: bytes) -> None:
    runner = Runner(good, tmp_path / "log.jsonl")
    runner.run(BUNDLE)
    runner.log.path.write_bytes(content)
    reply = runner.run(BUNDLE)
    assert (reply.error.code, reply.error.reason) == (ErrorCode.INTERNAL, "INTERNAL")
    assert runner.log.path.read_bytes() == content


def test_a_round_asked_again_and_again_counts_as_many(tmp_path: Path) -> None:
    runner = Runner(good, tmp_path / "log.jsonl")
    codes = [reply_code(runner.run(BUNDLE)) for _ in range(4)]
    assert codes == [None, None, None, ErrorCode.POLICY_REFUSED]
    assert runner.loaded == POLICY.max_rounds


def reply_code(reply: Message) -> int | None:
    return reply.error.code if reply.has_error() else None
