"""The guard before the app: what is not allowed is never unpacked, and no text gets out."""

import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from flwr.app import Context, Error, Message, MessageType, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from client.audit import AuditLog
from client.launcher import OWN_PACKAGES, Guard
from client.policy import Policy
from shared.plan import Plan
from shared.protocol import ErrorCode, Instruction, write_instruction

BUNDLE = b"the allowed bundle"
POLICY = Policy(bundles=(sha256(BUNDLE).hexdigest(),), max_rounds=3)
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

    def run(self, bundle: bytes) -> Message:
        TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, 2
        content = write_instruction({}, Instruction(Plan(), round=3))
        message = Message(content, dst_node_id=2, message_type=MessageType.TRAIN)
        context = Context(1, 2, node_config={}, state=RecordDict(), run_config={})
        self.guard.install(bundle, skip_prompt=True)
        answer = self.guard.load("hepafed/hepafed", "0.1.0", sha256(bundle).hexdigest())
        return answer(message=message, context=context)


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
