"""Writes one phantom cohort: ``python -m tests.benchmarks.phantom --seed N --root DIR``."""

import argparse
from pathlib import Path

from tests.benchmarks.phantom.write import write_phantom


def main() -> None:
    """Write, and say where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--root", type=Path, required=True, help="the cohort's folder")
    arguments = parser.parse_args()
    root = write_phantom(arguments.seed, arguments.root)
    print(f"Phantom cohort of seed {arguments.seed}: {root}")


if __name__ == "__main__":
    main()
