"""The log of what left: every way to change it afterwards is found and named."""

import json
from collections.abc import Callable
from dataclasses import replace
from errno import ENOSPC
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from client.audit import GENESIS, AuditError, AuditLog, Entry, Head, Left, describe
from client.question import Question


def entry(number: int) -> Entry:
    return Entry(
        run=7,
        round=number,
        bundle="b" * 64,
        kind="train",
        outcome="answered",
        code="OK",
        left=(Left("model", "arrays", 3, 120),),
    )


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    """Write a log of four lines."""
    log = AuditLog(tmp_path / "state" / "messages.jsonl")
    for number in range(1, 5):
        log.append(entry(number))
    return log


def test_each_line_carries_the_hash_of_the_one_before(log: AuditLog) -> None:
    lines = log.path.read_bytes().splitlines()
    assert json.loads(lines[0])["previous"] == GENESIS
    for before, line in pairwise(lines):
        assert json.loads(line)["previous"] == sha256(before).hexdigest()
    assert log.verify() == Head(4, sha256(lines[-1]).hexdigest())


def test_an_empty_log_is_intact(tmp_path: Path) -> None:
    assert AuditLog(tmp_path / "none" / "messages.jsonl").verify() == Head(0, GENESIS)


def as_before_questions(lines: list[bytes]) -> list[bytes]:
    """Return the lines as schema 1 had them."""
    old, previous = [], GENESIS
    for line in lines:
        values = json.loads(line) | {"schema": 1, "previous": previous}
        del values["question"]
        old.append(json.dumps(values, separators=(",", ":")).encode())
        previous = sha256(old[-1]).hexdigest()
    return old


def test_a_log_from_before_questions_were_kept_is_verified_and_goes_on(log: AuditLog) -> None:
    lines = as_before_questions(log.path.read_bytes().splitlines())
    log.path.write_bytes(b"".join(line + b"\n" for line in lines))
    head = {"lines": 4, "sha256": sha256(lines[-1]).hexdigest()}
    log.path.with_suffix(".head").write_text(json.dumps(head))
    assert log.verify().lines == 4
    assert log.questions() == ()
    asking = Question("a" * 64, {"instruction": {"plan": "{}"}})
    log.append(replace(entry(5), question=asking))
    assert log.verify().lines == 5
    assert [asked.lines for asked in log.questions()] == [(5,)]


def test_a_schema_of_another_version_is_refused_by_name(log: AuditLog) -> None:
    lines = log.path.read_bytes().splitlines()
    later = [line.replace(b'"schema":2', b'"schema":9') for line in lines]
    log.path.write_bytes(b"".join(line + b"\n" for line in later))
    with pytest.raises(AuditError, match=r"line 1: schema 9, this version reads 1, 2"):
        log.verify()


def change(line: bytes) -> bytes:
    return line.replace(b'"bytes":120', b'"bytes":119')


@pytest.mark.parametrize(
    ("tamper", "broken"),
    [
        (lambda lines: [lines[0], change(lines[1]), *lines[2:]], "line 3"),
        (lambda lines: [lines[0], *lines[2:]], "line 2"),
        (lambda lines: [*lines[:2], lines[1], *lines[2:]], "line 3"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "line 1"),
        (lambda lines: [lines[0], b"nonsense", *lines[2:]], "line 2"),
        (lambda lines: [*lines[:3], change(lines[3])], "the end was cut off or replaced"),
        (lambda lines: lines[:3], "3 lines, but 4 were written"),
        (lambda lines: [], "0 lines, but 4 were written"),
    ],
)
def test_tampering_is_named(
    log: AuditLog, tamper: Callable[[list[bytes]], list[bytes]], broken: str
) -> None:
    lines = tamper(log.path.read_bytes().splitlines())
    log.path.write_bytes(b"".join(line + b"\n" for line in lines))
    with pytest.raises(AuditError, match=broken):
        log.verify()


def test_a_log_whose_end_is_gone_takes_no_more_lines(log: AuditLog) -> None:
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join(lines[:2]))
    with pytest.raises(AuditError, match="does not end where"):
        log.append(entry(5))


def test_a_line_torn_by_a_crash_is_taken_off_and_the_log_goes_on(log: AuditLog) -> None:
    with log.path.open("ab") as stream:
        stream.write(b'{"schema":1,"line":5,"prev')
    with pytest.raises(AuditError, match="line 5: it is cut short"):
        log.verify()
    log.append(entry(5))
    assert log.verify().lines == 5


def test_a_line_that_the_head_missed_in_a_crash_is_kept(log: AuditLog) -> None:
    head = log.path.with_suffix(".head")
    before = head.read_bytes()
    log.append(entry(5))
    head.write_bytes(before)
    assert log.verify().lines == 5
    log.append(entry(6))
    assert log.verify().lines == 6


def test_a_full_disk_costs_the_messages_that_met_it_and_no_more(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(ENOSPC, "no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("client.audit.write_durably", full)
        for number in (5, 6):
            with pytest.raises(OSError, match="no space left"):
                log.append(entry(number))
    assert log.verify().lines == 5, "no line is added while the head cannot be written"
    assert log.append(entry(7)).lines == 6
    assert log.verify().lines == 6


def test_any_number_of_lines_that_the_head_missed_is_kept(log: AuditLog) -> None:
    head = log.path.with_suffix(".head")
    before = head.read_bytes()
    for number in (5, 6, 7):
        log.append(entry(number))
    head.write_bytes(before)
    assert log.append(entry(8)) == log.verify()
    assert log.verify().lines == 8


def test_a_line_beyond_the_head_that_does_not_follow_is_not_taken_on(log: AuditLog) -> None:
    head = log.path.with_suffix(".head")
    before = head.read_bytes()
    log.append(entry(5))
    log.append(entry(6))
    head.write_bytes(before)
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join([*lines[:4], lines[5]]))
    with pytest.raises(AuditError, match="line 5: it does not follow"):
        log.append(entry(7))


def test_what_leaves_is_described_by_name_kind_and_size() -> None:
    content = RecordDict(
        {
            "model": ArrayRecord([np.zeros((4, 5), np.float32)]),
            "counts": MetricRecord({"patients": 3}),
            "site": ConfigRecord({"name": "north"}),
        }
    )
    left = {each.record: each for each in describe(content)}
    assert (left["model"].kind, left["model"].items) == ("arrays", 1)
    assert left["model"].bytes >= 80
    assert (left["counts"].kind, left["counts"].items) == ("metrics", 1)
    assert (left["site"].kind, left["site"].items) == ("config", 1)
