"""A folder that is there whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def complete_folder(root: Path) -> Iterator[Path]:
    """Give an empty folder beside `root` to fill, which then takes its name in one step.

    What breaks off while it is filled leaves nothing.
    """
    partial = root.with_name(f".{root.name}.{os.getpid()}.partial")
    partial.mkdir(parents=True)
    try:
        yield partial
        partial.rename(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
