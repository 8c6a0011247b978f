"""What memory this process has taken, as Linux tells it."""

from pathlib import Path
from typing import Literal


def megabytes(which: Literal["VmRSS", "VmHWM"]) -> float:
    """Return what is in memory now, or its peak, in units of 2^20 bytes: proc_pid_status(5)."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in status if line.startswith(which)).split()[1]) / 1024
