"""What each choice is worth: ``python -m tests.benchmarks.ablation [WORD=VALUE ...]``.

Trains every variant of ``ablation.yaml`` on several cohorts, each with its own division and
initial weights, judges it on internal validation and on the other cohorts' patients of the same
institutions, never on the external site, and writes ``outputs/ablation/ablation.md``: mean and
interval, and the paired difference to the default. What is there is not run again: delete the
folder after a change of the code. Words after the command go to every variant; ``--variants``
takes some by name, ``--seeds N`` the first N, ``--method pooled`` trains with all patients in one
place, ``--method local/site_1`` at that site alone, ``--generator phantom`` or ``cirrhotic`` takes
cohorts of another generator (`tests.benchmarks.foreign`), in ``outputs/<generator>_ablation``.
"""

import argparse
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import get_args

import numpy as np
import yaml

from client.processes import end_with_parent
from simulation.pipeline import USER_ERRORS
from tests.benchmarks.foreign import CHOSEN_ON, Generator, foreign_cohorts
from tests.benchmarks.internal import (
    EXCESS_AT_MONTHS,
    METRICS,
    UNSEEN_PREFIX,
    Cohorts,
    InternalRun,
    Method,
    Seeds,
    everybody,
    internal_run,
    train_and_judge,
)
from tests.benchmarks.over_seeds import REPOSITORY, Values, in_words, values_or_nan

VARIANTS = Path(__file__).with_suffix(".yaml")
DEFAULT = "default"
# (cohort, run): none of those on which `accuracy` reports.
SEEDS: Seeds = ((100, 0), (101, 1), (107, 2), (108, 3), (109, 4))
NAMES = {
    "os_c_index": "OS C-index",
    "rfs_c_index": "RFS C-index",
    "mvi_auc": "MVI AUC",
    "loss": "loss, all tasks",
    "os_excess": f"OS at {EXCESS_AT_MONTHS:.0f} months: predicted less Kaplan-Meier's",
    "rfs_excess": f"RFS at {EXCESS_AT_MONTHS:.0f} months: predicted less Kaplan-Meier's",
}

# Variant -> its runs, in the order of the seeds.
Runs = Mapping[str, Sequence[InternalRun]]


def read_variants(path: Path, chosen: Sequence[str]) -> dict[str, list[str]]:
    """Return variants by name: the default, and those that are chosen or all.

    Raises
    ------
    ValueError
        No default, no list of words, or a chosen name that is not there.
    """
    read = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(read, dict) or next(iter(read), None) != DEFAULT:
        raise ValueError(f"{path}: must map names to lists of words, and begin with {DEFAULT!r}")
    wrong = [name for name, words in read.items() if not isinstance(words, list)]
    absent = [name for name in chosen if name not in read]
    if wrong or absent:
        raise ValueError(f"{path}: no list of words: {wrong}; not there: {absent}")
    return {name: words for name, words in read.items() if not chosen or name in {DEFAULT, *chosen}}


def run_missing(runs: Runs, seeds: int, workers: int) -> None:
    """Prepare one after the other, and train side by side, what is not there of the first seeds.

    All cohorts are prepared, whatever is trained: the others' patients are the unseen. A variant
    that fails is told, and leaves a gap in the table.
    """
    cohorts = Cohorts()
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent) as pool:
        futures: dict[Future[None], str] = {}
        for name, own in runs.items():
            if all(run.done for run in own[:seeds]):
                continue
            try:
                prepared = [cohorts.data_of(run) for run in own]
            except USER_ERRORS as error:
                print(f"{name}: cannot be prepared: {error}", flush=True)
                continue
            for number, run in enumerate(own[:seeds]):
                if not run.done:
                    others = prepared[:number] + prepared[number + 1 :]
                    unseen = everybody([site for data in others for site in data.sites])
                    job = pool.submit(train_and_judge, run, prepared[number], unseen)
                    futures[job] = f"{name}: {run.path.stem}"
        for future in as_completed(futures):
            failure = future.exception()
            told = "done" if failure is None else f"failed: {failure!r}"
            print(f"{futures[future]}: {told}", flush=True)


def values_of(runs: Sequence[InternalRun], metric: str) -> Values:
    """Return a metric over the seeds, shape (n,); NaN where it could not be had."""
    return values_or_nan([run.figures().get(metric) if run.done else None for run in runs])


def mean_of_metrics(runs: Sequence[InternalRun], prefix: str) -> Values:
    """Return the mean of all metrics over the seeds."""
    values: Values = np.mean([values_of(runs, prefix + metric) for metric in METRICS], axis=0)
    return values


def table(runs: Runs, method: Method) -> str:
    """Return everything as Markdown."""
    seeds = len(runs[DEFAULT])
    lines = [
        f"Synthetic patients, {method}; {seeds} cohorts, each with its own division and initial"
        " weights. Mean ± half of the 95% interval of the mean; differences to the default are"
        " paired by cohort.",
        "",
        "Unseen patients of the same institutions, those of the other cohorts: nobody trained on"
        " them, and no round was chosen on them.",
        "",
        *_rows(runs, UNSEEN_PREFIX),
        "",
        "Internal validation. The best round is chosen on the same patients, for all variants"
        " alike: only differences count.",
        "",
        *_rows(runs, ""),
    ]
    return "\n".join(lines) + "\n"


def _rows(runs: Runs, prefix: str) -> list[str]:
    heads = [part for name in NAMES.values() for part in (name, "difference")]
    lines = [
        f"| variant | {' | '.join(heads)} | difference of the mean |",
        "|---|" + "---|" * (len(heads) + 1),
    ]
    for name, own in runs.items():
        cells = []
        for metric in NAMES:
            found, default = (values_of(r, prefix + metric) for r in (own, runs[DEFAULT]))
            cells += [in_words(found), _difference(name, found - default)]
        overall = mean_of_metrics(own, prefix) - mean_of_metrics(runs[DEFAULT], prefix)
        lines.append(f"| {name} | {' | '.join(cells)} | {_difference(name, overall)} |")
    return lines


def _difference(name: str, values: Values) -> str:
    return "" if name == DEFAULT else in_words(values, sign=True)


def main() -> None:
    """Run what is missing, write the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, default=VARIANTS)
    parser.add_argument("--variants", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--seeds", type=int, default=len(SEEDS))
    parser.add_argument("--method", choices=get_args(Method), default="federated")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--generator", choices=get_args(Generator))
    parser.add_argument("--folder", type=Path)
    arguments, words = parser.parse_known_args()
    foreign = arguments.generator
    root = REPOSITORY / "outputs" / (f"{foreign}_ablation" if foreign else "ablation")
    root = (arguments.folder or root).resolve()
    folder = root / arguments.method
    cohorts: Seeds = foreign_cohorts(foreign, CHOSEN_ON) if foreign else SEEDS
    runs = {
        name: [
            internal_run(folder, name, cohort, seed, [*words, *own], arguments.method)
            for cohort, seed in cohorts
        ]
        for name, own in read_variants(arguments.file, arguments.variants).items()
    }
    run_missing(runs, arguments.seeds, arguments.workers)
    text = table({name: own[: arguments.seeds] for name, own in runs.items()}, arguments.method)
    name = "ablation" if arguments.method == "federated" else f"ablation_{arguments.method}"
    target = root / f"{name.replace('/', '_')}.md"
    target.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
