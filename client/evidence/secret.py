"""The institution's own seed: drawn once, kept, and told to nobody."""

import os
import secrets
from pathlib import Path

SEED_FILE = "bootstrap-seed"


def own_seed(path: Path) -> int:
    """Return the seed kept in a file, drawn at the first call.

    Whoever knows it can draw the site's resamples and solve their sums for patients' rows.
    The file is readable by its owner only; a lost one costs that intervals differ a little.

    Raises
    ------
    ValueError
        The file holds something else.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        text = path.read_text(encoding="ascii")
        if not text.strip().isdigit():
            raise ValueError(f"{path} does not hold a number: remove it") from None
        return int(text)
    seed = secrets.randbits(62)
    with os.fdopen(handle, "w", encoding="ascii") as stream:
        stream.write(f"{seed}\n")
    return seed
