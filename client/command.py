"""What commands begin with: private files, ``key=value`` words, and where they write."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from omegaconf import MISSING, OmegaConf

from shared.config import ConfigurationError

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


def arguments(about: str | None) -> list[str]:
    """Return the command line's words; where they ask for help, print what it is about and end."""
    words = sys.argv[1:]
    if {"-h", "--help"} & set(words):
        print(about)
        sys.exit(0)
    return words


def keep_private() -> None:
    """Let no other account read what this process and those that it starts write from now on.

    For commands that write patients' data: prepared images, lists of who was set aside, the log.
    """
    os.umask(0o077)


def read_words(words: Sequence[str], name: str, usage: str) -> dict[str, Any]:
    """Return a command's values: those of ``configs/<name>.yaml``, changed by the words.

    Not Hydra: it takes ``model=DIR`` for the configuration group of that name, and trips over
    folders whose names hold spaces or brackets.

    Raises
    ------
    ConfigurationError
        A word that is no ``key=value``, or a value that is missing.
    """
    loaded = OmegaConf.to_container(OmegaConf.load(CONFIGS / f"{name}.yaml"))
    values = cast(dict[str, Any], loaded)
    for word in words:
        key, separator, value = word.partition("=")
        if not separator:
            raise ConfigurationError(f"{word!r} is no key=value; {usage}")
        values[key] = None if value == "null" else value
    missing = sorted(key for key, value in values.items() if value == MISSING)
    if missing:
        raise ConfigurationError(f"missing: {', '.join(missing)}; {usage}")
    return values


@contextmanager
def writing_into(folder: Path) -> Iterator[None]:
    """Make a folder, and name what stands in the way of writing there.

    Raises
    ------
    ConfigurationError
        The folder cannot be made, or what is done here cannot write.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except (OSError, RuntimeError) as error:  # SimpleITK raises the second
        place = getattr(error, "filename", None) or folder
        why = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigurationError(
            f"{place}: cannot be written ({why}): free some space, give this account the right to"
            " write there, or name another folder"
        ) from error
