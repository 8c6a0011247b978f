"""Cohorts of generators that were written without sight of the project's own.

What was tuned to the way in which one generator draws its patients does not hold on another's.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from tests.benchmarks.cirrhotic.write import write_cirrhotic
from tests.benchmarks.over_seeds import REPOSITORY
from tests.benchmarks.phantom.write import write_phantom

Generator = Literal["phantom", "cirrhotic"]

# Choices have been made in sight of the first; figures are told of the others.
CHOSEN_ON, TOLD_OF = (1, 2, 3), (4, 5, 6)

_WRITERS: Mapping[Generator, Callable[[int, Path], Path]] = {
    "phantom": write_phantom,
    "cirrhotic": write_cirrhotic,
}


def foreign_cohorts(generator: Generator, seeds: Sequence[int]) -> list[tuple[Path, int]]:
    """Return a generator's cohorts, each with a seed for the run; what is not there is written."""
    write, root = _WRITERS[generator], REPOSITORY / "data"
    return [(write(seed, root / f"{generator}-{seed}"), seed) for seed in seeds]
