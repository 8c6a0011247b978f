"""The app that travels to the sites, known by the SHA-256 of its bundle."""

from hashlib import sha256
from pathlib import Path

from flwr.cli.build import build_fab_from_disk

ROOT = Path(__file__).resolve().parents[1]


def bundle_hash(root: Path = ROOT) -> str:
    """Return the SHA-256 of what ``flwr build`` and ``flwr run`` make of a checkout.

    The same files give the same bundle, whenever and wherever it is built with the same
    compression library.

    Parameters
    ----------
    root : Path
        The checkout: the folder that holds ``pyproject.toml``.
    """
    return sha256(build_fab_from_disk(root)).hexdigest()
