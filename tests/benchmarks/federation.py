"""What federation costs: ``python -m tests.benchmarks.federation``.

Trains five sites of the published size over the in-process grid, and does the same work in a
bare loop that knows no Flower, no messages, no checks and no checkpoints, by turns, each in a
process of its own. Prints the wall time as a ratio and the peak memory of each. Goals: at most
1.02 and 700 MB. Of the peak some 475 MB are libraries, which the bare loop loads as well, Flower
included: what the federation itself holds is the difference of the peaks.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

PATIENTS = (122, 76, 48, 36, 26)
EDGE = 40
THREADS = 2
MEGABYTE = 1 << 20
# Goals.
MOST_RATIO = 1.02
MOST_PEAK_MB = 700


def write_sites(folder: Path) -> None:
    """Write regions of noise at the published size: learning costs the same on them."""
    from client.imaging.cache import save_roi
    from client.imaging.roi import Roi
    from shared.measurements import MEASUREMENTS

    generator = np.random.default_rng(0)
    mask = np.ones((EDGE,) * 3, np.uint8)
    mask[12:28, 12:28, 12:28] = 2
    for name in (f"{site}-{k}" for site, count in enumerate(PATIENTS) for k in range(count)):
        roi = Roi(
            phases=generator.standard_normal((3, EDGE, EDGE, EDGE)).astype(np.float16),
            mask=mask,
            present=np.ones(3, np.uint8),
            spacing_mm=3.0,
            native_spacing_mm=(0.8, 3.0),
            measurements=generator.standard_normal(len(MEASUREMENTS)).astype(np.float32),
        )
        save_roi(roi, folder / f"{name}.safetensors")


def read_sites(folder: Path) -> list[Any]:
    """Return the sites that `write_sites` wrote, with labels drawn from a seed."""
    from client.cases import PreparedCase
    from client.site import Site
    from shared.tasks import Labels, Survival

    generator = np.random.default_rng(1)
    sites = []
    for site, count in enumerate(PATIENTS):
        cases = []
        for k in range(count):
            outcome = Survival(float(generator.uniform(1, 80)), bool(generator.random() < 0.4))
            labels = Labels(mvi=bool(generator.random() < 0.4), rfs=outcome, os=outcome)
            name = f"{site}-{k}"
            cases.append(
                PreparedCase(name, folder / f"{name}.safetensors", (True, True, True), labels)
            )
        sites.append(Site(f"site_{site}", tuple(cases), preprocessing="", threads=THREADS))
    return sites


def federated(folder: Path, rounds: int) -> float:
    """Train over the grid; return the seconds from the first message to the last checkpoint."""
    from server.federation import FederationSettings
    from shared.plan import Plan
    from simulation.federate import federate
    from simulation.settings import RuntimeSettings

    sites = read_sites(folder)
    settings = FederationSettings(Plan(rounds=rounds), folder / "state")
    start = time.perf_counter()
    federate(sites, settings, RuntimeSettings(), lambda _: None)
    return time.perf_counter() - start


def bare(folder: Path, rounds: int) -> float:
    """Do the same work without a federation; return its seconds."""
    import torch

    from client.evaluation import infer, sum_features, sum_maps
    from client.split import split_cases
    from client.training import train_locally
    from shared.plan import Plan, new_model

    plan, device = Plan(rounds=rounds), torch.device("cpu")
    torch.set_num_threads(THREADS)
    splits = [
        (site.name, split_cases(site.cases, plan.seed, plan.training_fraction))
        for site in read_sites(folder)
    ]
    start = time.perf_counter()
    model = new_model(plan)
    # What features look like over all sites is summed up once, before the first round.
    for _, split in splits:
        sum_features(split.training, plan.model, minimum_count=0)
        sum_maps(model, split.training, device, minimum_count=0)
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    total = sum(len(split.training) for _, split in splits)
    for number in range(1, rounds + 1):
        mean = {key: torch.zeros_like(value) for key, value in weights.items()}
        for name, split in splits:
            model.load_state_dict(weights)
            infer(model, split.internal, device)
            train_locally(
                model, split.training, plan, site=name, round_number=number, device=device
            )
            for key, value in model.state_dict().items():
                mean[key] += value * (len(split.training) / total)
        weights = mean
    model.load_state_dict(weights)
    for _, split in splits:
        infer(model, split.internal, device)
    return time.perf_counter() - start


def measure(what: str, folder: Path, rounds: int) -> dict[str, float]:
    """Run one side in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.federation", "--only", what]
    command += ["--folder", str(folder), "--rounds", str(rounds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Print the ratio and the peaks, or run one side for `measure`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=("bare", "federated"))
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    if arguments.only:
        side = federated if arguments.only == "federated" else bare
        seconds = side(arguments.folder, arguments.rounds)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGABYTE
        print(json.dumps({"seconds": seconds, "peak_mb": peak}))
        return
    console = Console()
    runs: dict[str, list[dict[str, float]]] = {"bare": [], "federated": []}
    for repeat in range(arguments.repeats):
        with tempfile.TemporaryDirectory() as temporary:
            write_sites(Path(temporary))
            # The side that goes first alternates: a machine that warms up favours neither.
            for what in sorted(runs, reverse=bool(repeat % 2)):
                runs[what].append(measure(what, Path(temporary), arguments.rounds))
    console.print(_table(runs, arguments.rounds))


def _table(runs: dict[str, list[dict[str, float]]], rounds: int) -> Table:
    seconds = {k: statistics.median(r["seconds"] for r in v) for k, v in runs.items()}
    peaks = {k: max(r["peak_mb"] for r in v) for k, v in runs.items()}
    ratio = seconds["federated"] / seconds["bare"]
    table = Table(
        title=f"{rounds} rounds over five sites, {sum(PATIENTS)} patients",
        caption=f"federated / bare = {ratio:.3f} (goal <= {MOST_RATIO:g}),"
        f" peak of federated {peaks['federated']:.0f} MB (goal <= {MOST_PEAK_MB})",
    )
    for column in ("what", "median s", "peak MB"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for name in runs:
        table.add_row(name, f"{seconds[name]:.2f}", f"{peaks[name]:.0f}")
    return table


if __name__ == "__main__":
    main()
