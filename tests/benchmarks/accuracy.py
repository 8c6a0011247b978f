"""Accuracy over several seeds: ``python -m tests.benchmarks.accuracy [WORD=VALUE ...]``.

Runs the default once a seed, each with its own cohort, division and initial weights, and the
federation once more with two sites that lack much (`tests.benchmarks.robustness`), and writes
``outputs/accuracy/accuracy.md``: mean and interval by method, and every goal with its verdict
(`tests.benchmarks.goals`). A run that is there is not run again; words after the command go to
every run. ``--seeds N`` takes the first N, ``--without-robustness`` leaves the second part out.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.goals import (
    FEDERATED,
    METRICS,
    Figures,
    Goal,
    Results,
    from_sums,
    goals,
    values_of,
)
from tests.benchmarks.over_seeds import REPOSITORY, Values, in_words
from tests.benchmarks.robustness import lacking_run, train_lacking

# (cohort, run): the default cohort first. Choices were made on 100, 101 and 107 to 109, and results
# seen on 102 and 103: none of these is here.
SEEDS = ((62, 0), (64, 1), (104, 2), (105, 3), (106, 4))
COHORTS = ("training", "internal", "external")
METHODS = ("oracle", "pooled", "radiomics", FEDERATED, "local")


def run_seed(
    cohort: int, seed: int, folder: Path, words: Sequence[str]
) -> tuple[Mapping[str, Any], float]:
    """Return the ``methods`` of one run's metrics.json, and its minutes; run it if need be.

    NaN minutes of a run that was not begun and ended here.
    """
    output = folder / f"cohort_{cohort}_seed_{seed}"
    took = folder / f"cohort_{cohort}_seed_{seed}_minutes.json"
    if not (output / "metrics.json").is_file():
        fresh, began = not output.exists(), time.perf_counter()
        command = [sys.executable, "simulation/run.py", f"cohort.settings.seed={cohort}"]
        command += [f"seed={seed}", f"output_dir={output}", *words]
        subprocess.run(command, cwd=REPOSITORY, check=True)
        minutes = (time.perf_counter() - began) / 60
        took.write_text(json.dumps(minutes if fresh else None), encoding="utf-8")
    read: Mapping[str, Any] = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    methods: Mapping[str, Any] = read["methods"]
    known = json.loads(took.read_text(encoding="utf-8")) if took.is_file() else None
    return methods, np.nan if known is None else float(known)


def table(results: Results, robust: Figures, minutes: Values) -> str:
    """Return everything as Markdown."""
    lines = [
        f"Synthetic patients; {len(results)} seeds, each with its own cohort, division and initial"
        " weights; mean ± half of the 95% interval of the mean. All rows are judged from"
        " patients' rows but the last of each cohort, which is what a federation tells: there"
        " sites keep small numbers back.",
        "",
        "| cohort | method | " + " | ".join(METRICS) + " |",
        "|---|---|" + "---|" * len(METRICS),
    ]
    for cohort in COHORTS:
        for method in METHODS:
            cells = [in_words(values_of(results, method, cohort, metric)) for metric in METRICS]
            lines.append(f"| {cohort} | {method} | " + " | ".join(cells) + " |")
        cells = [in_words(from_sums(results, cohort, metric)) for metric in METRICS]
        lines.append(f"| {cohort} | {FEDERATED}, from sums | " + " | ".join(cells) + " |")
    lines += ["", "| goal | of it | reached | met |", "|---|---|---|---|"]
    lines += [_row(goal) for goal in goals(results, robust, minutes)]
    lines += [
        "",
        "Differences are the federation's less the rival's, paired by seed; a dash is not known or"
        " not run. Mixed precision on a GPU is not judged here.",
    ]
    return "\n".join(lines) + "\n"


def _row(goal: Goal) -> str:
    reached = "–" if np.isnan(goal.reached) else f"{goal.reached:.3f}"
    if not np.isnan(goal.half):
        reached += f" ± {goal.half:.3f}"
    verdict = {True: "yes", False: "NO", None: "shown only"}[goal.met]
    return f"| {goal.line} | {goal.what} | {reached} | {verdict} |"


def main() -> None:
    """Run what is missing, write the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "outputs" / "accuracy")
    parser.add_argument("--without-robustness", action="store_true")
    arguments, words = parser.parse_known_args()
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    results, minutes, robust = [], [], []
    text = ""
    for cohort, seed in SEEDS[: arguments.seeds]:
        methods, took = run_seed(cohort, seed, folder, words)
        results.append(methods)
        minutes.append(took)
        if not arguments.without_robustness:
            run = lacking_run(folder, cohort, seed, words)
            if not run.done:
                train_lacking(run)
            robust.append(run.figures())
        text = table(results, robust, np.array(minutes))
        (folder / "accuracy.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
