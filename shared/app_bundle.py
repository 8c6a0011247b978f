"""The app that travels to the sites, known by the SHA-256 of its bundle."""

import tomllib
from hashlib import sha256
from pathlib import Path

from flwr.cli.build import build_fab_from_files
from flwr.cli.utils import collect_files

ROOT = Path(__file__).resolve().parents[1]
_DECIDE = ("pyproject.toml", ".gitignore")


def build_bundle(root: Path = ROOT) -> bytes:
    """Return what ``flwr build`` and ``flwr run`` make of a checkout.

    Flower looks at every file below the root, of which a checkout at work has tens of thousands
    (an environment, patients, outputs): that takes seconds. Here only the folders that
    ``fab-include`` names are walked, by the same rules.

    Parameters
    ----------
    root : Path
        The checkout: the folder that holds ``pyproject.toml``.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["flwr"]["app"]["fab-include"]
    files: dict[str, bytes | Path] = {
        name: root / name for name in _DECIDE if (root / name).is_file()
    }
    for folder in sorted({pattern.partition("/")[0] for pattern in patterns}):
        found = collect_files(root / folder)
        files |= {f"{folder}/{name}": path for name, path in found.items()}
    return build_fab_from_files(files)[0]


def bundle_hash(root: Path = ROOT) -> str:
    """Return the SHA-256 of a checkout's bundle.

    The same files give the same bundle, whenever and wherever it is built with the same
    compression library.

    Parameters
    ----------
    root : Path
        As in `build_bundle`.
    """
    return sha256(build_bundle(root)).hexdigest()
