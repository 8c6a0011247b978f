"""How a site gets in, waits, and gives up."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.link import Admission
from client.node import NotAdmittedError, await_admission
from client.site_file import LinkSettings
from shared.supervisor import StopRequest

LINK = LinkSettings("localhost:1", Path("ca.pem"), Path("north.key"), patience_s=0)


class Stop(StopRequest):
    """A stop request whose waiting takes no time."""

    def __init__(self) -> None:
        super().__init__()
        self.waited = 0

    def wait(self, seconds: float) -> bool:
        self.waited += 1
        return self.signal is not None


def answers(*given: Admission) -> Iterator[Admission]:
    yield from given


def test_a_place_that_is_still_taken_and_a_link_that_is_away_are_waited_for() -> None:
    stop = Stop()
    replies = answers(
        Admission.UNREACHABLE,
        Admission.UNREACHABLE,
        Admission.TAKEN,
        Admission.TAKEN,
        Admission.FREE,
    )
    await_admission(LINK, stop, lambda _: next(replies))
    assert stop.waited == 4


def test_why_a_link_cannot_be_reached_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    replies = answers(*[Admission.UNREACHABLE] * 4, Admission.FREE)
    reasons = iter(["no way there", "no way there", "the certificate does not verify", "no way"])
    await_admission(LINK, Stop(), lambda _: next(replies), lambda _: next(reasons))
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 3
    assert "no link answers (the certificate does not verify)" in told[1]


def test_an_unknown_key_is_borne_for_the_sites_patience_alone() -> None:
    replies = answers(*[Admission.UNKNOWN_KEY] * 3)
    with pytest.raises(NotAdmittedError, match=r"north\.key\.pub to the coordinator"):
        await_admission(LINK, Stop(), lambda _: next(replies))


def test_a_signal_ends_the_waiting() -> None:
    stop = Stop()

    def ask(_: LinkSettings) -> Admission:
        stop(signal.SIGTERM, None)
        return Admission.UNREACHABLE

    await_admission(LINK, stop, ask)
    assert stop.waited == 1
