"""Processes that belong together start, come back and end together."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.polling import wait_until

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0

# Two services, each with a child of its own, that write down every process they are.
PROGRAM = """
import sys
from pathlib import Path
from shared.supervisor import Service, stop_on_signals, supervise

folder = Path(sys.argv[1])
def service(name):
    body = f'echo "$$" >> {folder}/{name}; sleep 1000 & echo "$!" >> {folder}/{name}.child; wait'
    return Service(name, ("/bin/sh", "-c", body), folder)
with stop_on_signals() as stop:
    supervise([service("first"), service("second")], stop, grace_s=5)
"""


@contextmanager
def supervised(folder: Path, *before: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the two services, `before` in front of the command, and end whatever is left of them."""
    process = subprocess.Popen(
        [*before, sys.executable, "-c", PROGRAM, str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        # What a shell starts in the background ignores it, tests among them.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        wait_until("all run", lambda: all(pids(folder, name) for name in NAMES), PATIENCE_S)
        yield process
    finally:
        process.kill()
        process.wait()
        for pid in [pid for name in NAMES for pid in pids(folder, name)]:
            if psutil.pid_exists(pid):
                psutil.Process(pid).kill()


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the two services."""
    with supervised(tmp_path) as process:
        yield process


NAMES = ("first", "second", "first.child", "second.child")


def pids(folder: Path, name: str) -> list[int]:
    file = folder / name
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_service_that_dies_comes_back_and_leaves_nothing_behind(
    supervisor: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    (leader,), (child,) = pids(tmp_path, "first"), pids(tmp_path, "first.child")
    os.kill(leader, signal.SIGKILL)
    wait_until("it is back", lambda: len(pids(tmp_path, "first")) == 2, PATIENCE_S)
    wait_until("its child is gone", lambda: not alive(child), PATIENCE_S)
    assert len(pids(tmp_path, "second")) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_every_group_whole(
    supervisor: subprocess.Popen[bytes], tmp_path: Path, number: signal.Signals
) -> None:
    everyone = [pid for name in NAMES for pid in pids(tmp_path, name)]
    supervisor.send_signal(number)
    assert supervisor.wait(timeout=PATIENCE_S) == 0
    wait_until("all are gone", lambda: not any(map(alive, everyone)), PATIENCE_S)


def test_services_die_with_a_supervisor_that_is_killed(
    supervisor: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    leaders = [*pids(tmp_path, "first"), *pids(tmp_path, "second")]
    supervisor.kill()
    wait_until("all are gone", lambda: not any(map(alive, leaders)), PATIENCE_S)


def test_a_signal_that_was_ignored_at_the_start_stays_ignored(tmp_path: Path) -> None:
    """Under nohup a lost connection is no reason to end."""
    with supervised(tmp_path, "nohup") as supervisor:
        supervisor.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            supervisor.wait(timeout=1.0)
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(timeout=PATIENCE_S) == 0
