"""Waiting for what another process does."""

import threading
import time
from collections.abc import Callable


def wait_until(
    what: str, condition: Callable[[], bool], patience_s: float, poll_s: float = 0.1
) -> float:
    """Poll a condition until it holds and return the seconds that took; fail past the deadline."""
    began = time.monotonic()
    pause = threading.Event()
    while not condition():
        if time.monotonic() - began > patience_s:
            raise AssertionError(f"not within {patience_s:.0f} s: {what}")
        pause.wait(poll_s)
    return time.monotonic() - began
