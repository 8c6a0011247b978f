"""Which code made a result: the version, and a digest of the code that ran."""

import hashlib
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What the Flower app ships: the same at every site and at the coordinator.
PACKAGES = ("client", "server", "shared")
_DIGITS = 12


def code_version() -> str:
    """Return e.g. ``0.1.0+3f2a91c0d4e5``: a changed line of code changes it, a clock does not."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
    return f"{version('hepafed')}+{digest.hexdigest()[:_DIGITS]}"
