"""A folder that is there whole or not at all."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

PARTIAL = ".partial"


def written_once(root: Path, fill: Callable[[Path], None]) -> Path:
    """Return a folder, filled first unless it is there; one that is there is complete.

    `fill` gets an empty folder beside it, which then takes its name in one step: what breaks off
    leaves nothing.
    """
    if root.exists():
        return root
    partial = root.with_name(f".{root.name}.{os.getpid()}{PARTIAL}")
    partial.mkdir(parents=True)
    try:
        fill(partial)
        if not root.exists():
            partial.rename(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return root
