"""The site's log of every message that it answered or refused: append-only, hash-chained.

One JSON object a line. Each line carries the SHA-256 of the line before it, so that a line that
was changed, removed or put in breaks the chain at the next one. A small file beside it holds the
number of lines and the last one's hash: lines cut off at the end do not go unnoticed. Who holds
an older head on paper can even tell that log and head were both replaced.

Every line has the hash of what was asked; the text stands once, in the first line that has its
hash. Lines of schema 1, from before, do not hold the question: they stay, and are verified alike.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from client.question import Question
from shared.durable_file import write_durably

GENESIS = "0" * 64
SCHEMA = 2
_KNOWN_SCHEMAS = (1, SCHEMA)


class AuditError(RuntimeError):
    """The log is not what was written; the message names the first broken line."""


@dataclass(frozen=True)
class Left:
    """One record of a reply: what left under this name.

    Attributes
    ----------
    record : str
        Its key in the message.
    kind : str
        ``arrays``, ``metrics`` or ``config``.
    items : int
        Named entries.
    bytes : int
    """

    record: str
    kind: Literal["arrays", "metrics", "config"]
    items: int
    bytes: int


@dataclass(frozen=True)
class Entry:
    """One message, answered or refused. Never a patient's id, a path or an exception's text.

    What was asked is the coordinator's own text.

    Attributes
    ----------
    run : int
        As the link numbers runs.
    round : int or None
        None where the message did not say.
    bundle : str
        SHA-256 of the app that the message came with.
    kind : str
        The message's type.
    outcome : str
        ``answered`` or ``refused``.
    code : str
        ``OK``, or the error code that left instead of an answer.
    left : tuple of Left
    question : Question
        What was asked.
    """

    run: int
    round: int | None
    bundle: str
    kind: str
    outcome: Literal["answered", "refused"]
    code: str
    left: tuple[Left, ...] = ()
    question: Question = field(default_factory=Question)
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))


@dataclass(frozen=True)
class Asked:
    """One question, and the messages that asked it.

    Attributes
    ----------
    question : mapping of str to Any
        As the first of the lines has it (`client.question.Question`).
    lines : tuple of int
        Numbers of the lines, from 1.
    """

    question: Mapping[str, Any]
    lines: tuple[int, ...]


@dataclass(frozen=True)
class Head:
    """Where a log ends.

    Attributes
    ----------
    lines : int
    sha256 : str
        Of the last line, without its line feed; `GENESIS` for an empty log.
    """

    lines: int
    sha256: str


def describe(content: RecordDict) -> tuple[Left, ...]:
    """Return what a reply's content carries, record by record."""
    left = []
    for key, record in content.items():
        if isinstance(record, ArrayRecord):
            left.append(Left(key, "arrays", len(record), record.count_bytes()))
        elif isinstance(record, MetricRecord):
            left.append(Left(key, "metrics", len(record), record.count_bytes()))
        elif isinstance(record, ConfigRecord):
            left.append(Left(key, "config", len(record), record.count_bytes()))
    return tuple(left)


class AuditLog:
    """A site's log.

    Parameters
    ----------
    path : Path
        The log; ``.head`` and ``.lock`` are kept beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._head_path = path.with_suffix(".head")
        self._lock = FileLock(path.with_suffix(".lock"))

    def append(self, entry: Entry) -> Head:
        """Write one line, on disk before this returns.

        Raises
        ------
        AuditError
            The log does not end where its head says: nothing more is answered until a person
            has looked.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            head = self._recover()
            values = {"schema": SCHEMA, "line": head.lines + 1, "previous": head.sha256}
            told = asdict(self._with_its_text_once(entry))
            line = json.dumps({**values, **told}, separators=(",", ":")).encode()
            with self.path.open("ab") as stream:
                stream.write(line + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
            head = Head(head.lines + 1, sha256(line).hexdigest())
            self._write_head(head)
            return head

    def verify(self) -> Head:
        """Check every line and return where the log ends.

        Raises
        ------
        AuditError
            Names the first line that is broken, or what is missing at the end.
        """
        with self._lock if self.path.parent.is_dir() else nullcontext():
            lines, torn = self._lines()
            head = self._read_head()
        if torn:
            raise AuditError(f"{self.path}, line {len(lines) + 1}: it is cut short")
        end = _follow(self.path, lines, Head(0, GENESIS))
        if not _is_in(head, lines):
            raise AuditError(
                f"{self.path}: {len(lines)} lines, but {head.lines} were written, the last with"
                f" SHA-256 {head.sha256}: the end was cut off or replaced"
            )
        return end

    def count(self, run: int, kind: str) -> int:
        """Return how many messages of a run and kind were answered."""
        return sum(
            line["run"] == run
            and line["kind"].partition(".")[0] == kind
            and line["outcome"] == "answered"
            for line in self.entries()
        )

    def entries(self) -> list[dict[str, Any]]:
        """Return the lines, oldest first, unchecked."""
        return [json.loads(line) for line in self._lines()[0]]

    def questions(self) -> tuple[Asked, ...]:
        """Return the different questions that the lines hold, oldest first, unchecked."""
        first: dict[str, dict[str, Any]] = {}
        lines: dict[str, list[int]] = {}
        for line in self.entries():
            if "question" in line:
                key = line["question"]["sha256"]
                first.setdefault(key, line["question"])
                lines.setdefault(key, []).append(line["line"])
        return tuple(Asked(question, tuple(lines[key])) for key, question in first.items())

    def _with_its_text_once(self, entry: Entry) -> Entry:
        if all(asked.question["sha256"] != entry.question.sha256 for asked in self.questions()):
            return entry
        return replace(entry, question=replace(entry.question, asked=None))

    def _recover(self) -> Head:
        """Return the end, after what a crash or a full disk between two writes may have left.

        A torn line was never confirmed and its message never answered: it is taken off. Whole
        lines that the head does not know yet are kept; it knows them when this returns.
        """
        head = self._read_head()
        lines, torn = self._lines()
        if torn:
            os.truncate(self.path, self.path.stat().st_size - torn)
        if not _is_in(head, lines):
            raise AuditError(
                f"{self.path} does not end where {self._head_path.name} says: look at it with"
                " action=log before anything more is answered"
            )
        end = _follow(self.path, lines, head)
        if end != head:
            self._write_head(end)
        return end

    def _lines(self) -> tuple[list[bytes], int]:
        """Return whole lines, and how many bytes of a torn one follow."""
        content = self.path.read_bytes() if self.path.exists() else b""
        *lines, rest = content.split(b"\n")
        return lines, len(rest)

    def _read_head(self) -> Head:
        if not self._head_path.exists():
            return Head(0, GENESIS)
        try:
            values = json.loads(self._head_path.read_text(encoding="utf-8"))
            return Head(int(values["lines"]), str(values["sha256"]))
        except (ValueError, KeyError, TypeError) as error:
            raise AuditError(f"{self._head_path}: not a log's head") from error

    def _write_head(self, head: Head) -> None:
        write_durably(self._head_path, (json.dumps(asdict(head)) + "\n").encode())


def _is_in(head: Head, lines: Sequence[bytes]) -> bool:
    """Return whether a log of these lines ended there once."""
    if len(lines) < head.lines:
        return False
    last = sha256(lines[head.lines - 1]).hexdigest() if head.lines else GENESIS
    return last == head.sha256


def _follow(path: Path, lines: Sequence[bytes], head: Head) -> Head:
    """Return where a log ends, having checked each line after `head`."""
    for number, line in enumerate(lines[head.lines :], start=head.lines + 1):
        _check_line(path, number, line, previous=head.sha256)
        head = Head(number, sha256(line).hexdigest())
    return head


def _check_line(path: Path, number: int, line: bytes, *, previous: str) -> None:
    try:
        values = json.loads(line)
        found = (int(values["line"]), str(values["previous"]))
        schema = values["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise AuditError(f"{path}, line {number}: not a line of this log") from error
    if schema not in _KNOWN_SCHEMAS:
        raise AuditError(
            f"{path}, line {number}: schema {schema!r}, this version reads"
            f" {', '.join(map(str, _KNOWN_SCHEMAS))}"
        )
    if found != (number, previous):
        raise AuditError(
            f"{path}, line {number}: it does not follow the line before it, so one of the two"
            " was changed, removed or put in"
        )
