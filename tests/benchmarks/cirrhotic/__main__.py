"""Writes one cirrhotic cohort: ``python -m tests.benchmarks.cirrhotic --seed N --root DIR``."""

import argparse
from pathlib import Path

from tests.benchmarks.cirrhotic.write import write_cirrhotic


def main() -> None:
    """Write, and say where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--root", type=Path, required=True, help="the cohort's folder")
    arguments = parser.parse_args()
    root = write_cirrhotic(arguments.seed, arguments.root)
    print(f"Cirrhotic cohort of seed {arguments.seed}: {root}")


if __name__ == "__main__":
    main()
