"""Accuracy over several seeds: ``python -m tests.benchmarks.accuracy [WORD=VALUE ...]``.

Runs the default once a seed, each with its own cohort, division and initial weights, and writes
``outputs/accuracy/accuracy.md``: mean and interval by method, the share of the way from chance
to the oracle that is covered, and which goals are met. A run that is there is not run again;
words after the command go to every run. ``--seeds N`` takes the first N.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.over_seeds import (
    CHANCE,
    REPOSITORY,
    Values,
    in_words,
    mean_and_half,
    values_or_nan,
)

# (cohort, run): the default cohort first. Choices were made on 100 and 101, and results seen on
# 102 and 103: none of these is here.
SEEDS = ((63, 0), (64, 1), (104, 2), (105, 3), (106, 4))
METRICS = ("os_c_index", "rfs_c_index", "mvi_auc", "mvi_f1")
COHORTS = ("training", "internal", "external")
METHODS = ("oracle", "pooled", "radiomics", "fedavg", "local")
EXTERNAL_GOALS = {"os_c_index": 0.79, "rfs_c_index": 0.75, "mvi_f1": 0.74}
COVERAGE_GOALS = {"os_c_index": 0.90, "rfs_c_index": 0.90, "mvi_auc": 0.85}

Results = Sequence[Mapping[str, Any]]


def run_seed(cohort: int, seed: int, folder: Path, words: Sequence[str]) -> Mapping[str, Any]:
    """Return the ``methods`` of one run's metrics.json; run it where it is not there."""
    output = folder / f"cohort_{cohort}_seed_{seed}"
    if not (output / "metrics.json").is_file():
        command = [sys.executable, "simulation/run.py", f"cohort.settings.seed={cohort}"]
        command += [f"seed={seed}", f"output_dir={output}", *words]
        subprocess.run(command, cwd=REPOSITORY, check=True)
    read: Mapping[str, Any] = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    methods: Mapping[str, Any] = read["methods"]
    return methods


def values_of(results: Results, method: str, cohort: str, metric: str) -> Values:
    """Return a metric over the seeds, shape (n,); NaN where it could not be had."""
    return values_or_nan([run[method][cohort][metric]["value"] for run in results])


def mean(results: Results, method: str, cohort: str, metric: str) -> float:
    """Return a metric's mean over the seeds; NaN where it could never be had."""
    found, _ = mean_and_half(values_of(results, method, cohort, metric))
    return found


def coverage(results: Results, cohort: str, metric: str) -> float:
    """Return which share of the way from chance to the oracle the federation covers.

    NaN where the oracle does no better than chance: there is no way to cover.
    """
    reached, best = (mean(results, method, cohort, metric) for method in ("fedavg", "oracle"))
    return (reached - CHANCE) / (best - CHANCE) if best > CHANCE else np.nan


def goals(results: Results) -> list[tuple[str, float, bool]]:
    """Return each goal in words, what was reached, and whether that meets it; NaN meets none."""
    by = partial(mean, results)
    found = []
    for metric, goal in EXTERNAL_GOALS.items():
        reached = by("fedavg", "external", metric)
        found.append((f"external {metric} >= {goal}", reached, reached >= goal))
    for cohort in ("internal", "external"):
        for metric, goal in COVERAGE_GOALS.items():
            share = coverage(results, cohort, metric)
            found.append((f"{cohort} {metric}: share covered >= {goal}", share, share >= goal))
            behind = by("pooled", cohort, metric) - by("fedavg", cohort, metric)
            found.append((f"{cohort} {metric}: behind pooled <= 0.01", behind, behind <= 0.01))
            locals_ = [name for name in results[0] if name.startswith("local/")]
            best = max(by(name, cohort, metric) for name in locals_)
            ahead = by("fedavg", cohort, metric) - best
            found.append((f"{cohort} {metric}: above every site alone", ahead, ahead > 0))
            ahead = by("fedavg", cohort, metric) - by("radiomics", cohort, metric)
            found.append((f"{cohort} {metric}: above radiomics", ahead, ahead > 0))
    for metric in COVERAGE_GOALS:
        gap = by("fedavg", "training", metric) - by("fedavg", "internal", metric)
        found.append((f"{metric}: training minus internal <= 0.10", gap, gap <= 0.10))
    return found


def table(results: Results) -> str:
    """Return everything as Markdown."""
    lines = [
        f"Synthetic patients; {len(results)} seeds, each with its own cohort, division and initial"
        " weights; mean ± half of the 95% interval of the mean.",
        "",
        "| cohort | method | " + " | ".join(METRICS) + " |",
        "|---|---|" + "---|" * len(METRICS),
    ]
    for cohort in COHORTS:
        for method in METHODS:
            cells = [in_words(values_of(results, method, cohort, metric)) for metric in METRICS]
            lines.append(f"| {cohort} | {method} | " + " | ".join(cells) + " |")
    lines += ["", "| goal | reached | met |", "|---|---|---|"]
    for goal, value, met in goals(results):
        reached = "–" if np.isnan(value) else f"{value:.3f}"
        lines.append(f"| {goal} | {reached} | {'yes' if met else 'NO'} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run what is missing, write the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "outputs" / "accuracy")
    arguments, words = parser.parse_known_args()
    results = []
    for cohort, seed in SEEDS[: arguments.seeds]:
        results.append(run_seed(cohort, seed, arguments.folder.resolve(), words))
        text = table(results)
        (arguments.folder / "accuracy.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
