"""Files that a crash, or a machine that goes down, leaves whole."""

import os
from pathlib import Path


def write_durably(path: Path, content: bytes) -> None:
    """Write and rename; both are on the disk, not only promised, when this returns."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
