"""Files that only their owner may read."""

import os
from pathlib import Path


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that nobody else may read, from its first byte on; replace one that is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)
