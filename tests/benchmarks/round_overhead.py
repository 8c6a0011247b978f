"""What a round costs beyond its computation: ``python -m tests.benchmarks.round_overhead``.

Five sites on this machine, each a process of its own, three ways: the bare computation in one
process; ours over proxy, TLS, node keys and the sites' own launcher; Flower's FedAvg with a
train and an evaluate a round, over a plain superlink and plain SuperNodes. The sites are tiny,
so that a round is nearly all overhead. Goal: below stock Flower's.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from client.site_file import NODE_CONFIG_KEY
from server.checkpoint import read_history
from shared.config import to_json
from shared.plan import Plan
from tests.faults.cohort import SITE_SETTINGS, plan_of, simulate, write_site
from tests.faults.federation import (
    ENVIRONMENT,
    PATIENCE_S,
    PROGRAMS,
    ROOT,
    free_ports,
    open_federation,
)
from tests.polling import wait_until

NAMES = ("site_1", "site_2", "site_3", "site_4", "site_5")
STOCK = ROOT / "tests" / "benchmarks" / "stock_fedavg"


def bare(root: Path, plan: Plan) -> list[float]:
    """Return the seconds of each round in one process, without any transport."""
    checkpoint = simulate(root, NAMES, plan, root / "bare")
    return [record["seconds"] for record in checkpoint.history[1:]]


def ours(root: Path, plan: Plan) -> list[float]:
    """Return the seconds of each round over the whole layout."""
    with open_federation(root) as federation:
        for name in NAMES:
            federation.enrol(name, root / name, **SITE_SETTINGS)
            federation.join(name)
        federation.wait_for_sites(*NAMES)
        state = root / "ours"
        run = federation.submit(plan, state, NAMES, minimum_sites=len(NAMES))
        seen = []
        for number in range(plan.rounds + 1):
            wait_until(f"round {number}", partial(_is_kept, state, number), PATIENCE_S)
            seen.append(time.monotonic())
        ended = federation.wait_for_end(run)
        if ended != "finished:completed":
            raise RuntimeError(f"our run ended {ended}")
        return [after - before for before, after in pairwise(seen)]


def _is_kept(state: Path, number: int) -> bool:
    return any(record["round"] >= number for record in read_history(state))


def stock(root: Path, plan: Plan) -> list[float]:
    """Return the seconds of each round of Flower's FedAvg."""
    port, *ports = free_ports(1 + len(NAMES))
    environment = {**ENVIRONMENT, "FLWR_HOME": str(root / "flwr"), "PATH": f"{PROGRAMS}:/usr/bin"}
    link = [str(PROGRAMS / "flower-superlink"), "--insecure", "--host", "127.0.0.1"]
    link += ["--port", str(port), "--disable-runtime-dependency-installation"]
    commands = [link]
    for name, own in zip(NAMES, ports, strict=True):
        site_file = root / f"{name}.yaml"
        cache = str(root / "cache")
        values = {"name": name, "folder": str(root / name), "cache_dir": cache, "workers": 1}
        site_file.write_text(yaml.safe_dump({**values, **SITE_SETTINGS}))
        node = [str(PROGRAMS / "flower-supernode"), "--insecure", "--port", str(own)]
        node += ["--superlink", f"127.0.0.1:{port}"]
        commands.append([*node, "--node-config", f'{NODE_CONFIG_KEY}="{site_file}"'])
    (root / "flwr").mkdir()
    connection = f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "127.0.0.1:{port}"\n'
    (root / "flwr" / "config.toml").write_text(connection + "insecure = true\n")
    seconds = root / "stock-seconds.json"
    config = {"plan": to_json(plan), "sites": len(NAMES), "seconds-file": str(seconds)}
    run_toml = root / "stock.toml"
    run_toml.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in config.items()))
    log = (root / "stock.log").open("wb")
    processes = []
    try:
        for command in commands:
            processes.append(
                subprocess.Popen(command, env=environment, cwd=root, stdout=log, stderr=log)
            )
        submit = [str(PROGRAMS / "flwr"), "run", str(STOCK), "here", "-c", str(run_toml)]

        def submitted() -> bool:
            return (
                subprocess.run(submit, env=environment, cwd=root, capture_output=True).returncode
                == 0
            )

        wait_until("the run is submitted", submitted, PATIENCE_S)
        wait_until("Flower's FedAvg ends", seconds.exists, PATIENCE_S)
        found: list[float] = json.loads(seconds.read_text())
        return found
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait()
        log.close()


def main() -> None:
    """Measure the three ways and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    rounds = parser.parse_args().rounds
    os.environ["OMP_NUM_THREADS"] = "1"
    plan = plan_of(rounds)
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for seed, name in enumerate(NAMES):
            write_site(root / name, seed)
        for way in (bare, ours, stock):
            began = time.monotonic()
            found[way.__name__] = way(root, plan)
            print(f"{way.__name__}: {time.monotonic() - began:.0f} s", flush=True)
    Console().print(table(found))


def table(found: dict[str, list[float]]) -> Table:
    """Return the median seconds a round, and what is overhead in it."""
    names = {
        "bare": "bare computation",
        "ours": "ours: one message, TLS, proxy, keys",
        "stock": "Flower's FedAvg: train + evaluate, plain",
    }
    medians = {way: statistics.median(seconds) for way, seconds in found.items()}
    ratio = (medians["ours"] - medians["bare"]) / (medians["stock"] - medians["bare"])
    shown = Table(
        title=f"Seconds a round, {len(NAMES)} sites on one machine, {os.cpu_count()} cores",
        caption=f"our overhead / stock Flower's = {ratio:.2f} (goal < 1)",
    )
    for column in ("what", "median s", "overhead s", "rounds"):
        shown.add_column(column, justify="left" if column == "what" else "right")
    for way, median in medians.items():
        overhead = "" if way == "bare" else f"{median - medians['bare']:.2f}"
        rounds = " ".join(f"{seconds:.1f}" for seconds in found[way])
        shown.add_row(names[way], f"{median:.2f}", overhead, rounds)
    return shown


if __name__ == "__main__":
    main()
