"""Processes that belong together: started, restarted when one ends, stopped as one.

systemd does the same in production; this does it in a terminal, in a trial and at a site.
"""

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

logger = logging.getLogger("hepafed.processes")

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 30.0
# A process that lived this long is trusted again: its next restart comes at once.
SETTLED_S = 60.0
POLL_S = 0.1
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Service:
    """One long-lived process.

    Attributes
    ----------
    name : str
    command : tuple of str
        Program and arguments.
    working_dir : Path
    environment : mapping of str to str
        Added to this process's own.
    """

    name: str
    command: tuple[str, ...]
    working_dir: Path
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Running:
    service: Service
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    delay_s: float = FIRST_DELAY_S
    next_start: float = 0.0


class StopRequest:
    """Whether somebody asked this process to end, and with which signal."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take a signal."""
        self.signal = signal.Signals(number)

    def wait(self, seconds: float) -> bool:
        """Wait, and return whether a stop was asked for in the meantime."""
        deadline = time.monotonic() + seconds
        while self.signal is None and time.monotonic() < deadline:
            time.sleep(min(POLL_S, max(0.0, deadline - time.monotonic())))
        return self.signal is not None


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn the signals that end a process into a request, and restore them afterwards.

    A signal that is ignored stays so: whoever starts a process under nohup means it to go on.
    """
    request = StopRequest()
    heeded = [number for number in STOP_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, request) for number in heeded}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def supervise(
    services: Sequence[Service],
    stop: StopRequest,
    *,
    grace_s: float = 15.0,
    before_start: Callable[[Service], None] = lambda _: None,
) -> None:
    """Keep services running until a stop is asked for, then end them all.

    Every service leads a process group of its own. The signal that ends this process goes to
    each group whole, once; what is left after `grace_s` is killed.

    Parameters
    ----------
    services : sequence of Service
        Started in this order.
    stop : StopRequest
        As `stop_on_signals` gives it.
    grace_s : float
    before_start : callable
        Called before each start; may wait. What it raises ends the supervision.
    """
    running = [_Running(service) for service in services]
    try:
        while stop.signal is None:
            for entry in running:
                _keep_up(entry, before_start, stop)
            stop.wait(POLL_S)
    finally:
        _end(running, stop.signal or signal.SIGTERM, grace_s)


def _keep_up(entry: _Running, before_start: Callable[[Service], None], stop: StopRequest) -> None:
    """Note that a service has ended; start one that is due."""
    if entry.process is not None:
        code = entry.process.poll()
        if code is None:
            return
        _plan_restart(entry, code)
    if time.monotonic() < entry.next_start:
        return
    before_start(entry.service)
    if stop.signal is None:
        entry.process = start(entry.service)
        entry.started = time.monotonic()


def _plan_restart(entry: _Running, code: int) -> None:
    now = time.monotonic()
    settled = now - entry.started > SETTLED_S
    entry.delay_s = FIRST_DELAY_S if settled else min(LONGEST_DELAY_S, 2 * entry.delay_s)
    entry.next_start = now + entry.delay_s
    logger.warning(
        "%s ended with code %s; it is started again in %.0f s",
        entry.service.name,
        code,
        entry.delay_s,
    )
    if entry.process is not None:
        # What a dead leader left behind would hold its port or its place.
        _signal_group(entry.process, signal.SIGKILL)
        entry.process = None


def start(service: Service) -> subprocess.Popen[bytes]:
    """Start a service in a process group of its own; it dies with this process."""
    logger.info("starting %s", service.name)
    return subprocess.Popen(  # noqa: S603
        service.command,
        cwd=service.working_dir,
        env={**os.environ, **service.environment},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies, however it dies (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(running: Sequence[_Running], number: signal.Signals, grace_s: float) -> None:
    processes = [entry.process for entry in reversed(running) if entry.process is not None]
    for process in processes:
        _signal_group(process, number)
    deadline = time.monotonic() + grace_s
    for process in processes:
        try:
            process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            logger.warning("process %d did not end in %.0f s: killed", process.pid, grace_s)
        _signal_group(process, signal.SIGKILL)
        process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return
