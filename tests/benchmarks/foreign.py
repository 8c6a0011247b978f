"""Cohorts of generators that were written without sight of the project's own.

What was tuned to the way in which one generator draws its patients does not hold on another's.
``python -m tests.benchmarks.foreign phantom|cirrhotic --seed N --root DIR`` writes one.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

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


def main() -> None:
    """Write a cohort, and say where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("generator", choices=get_args(Generator))
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--root", type=Path, required=True, help="the cohort's folder")
    arguments = parser.parse_args()
    root = _WRITERS[arguments.generator](arguments.seed, arguments.root)
    print(f"Cohort of seed {arguments.seed}: {root}")


if __name__ == "__main__":
    main()
