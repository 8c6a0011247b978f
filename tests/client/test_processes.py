"""A worker ends with the process that started it, however that one ended."""

import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
PARENT = """
import multiprocessing, os, sys
from concurrent.futures import ProcessPoolExecutor
from client.processes import end_with_parent

context = multiprocessing.get_context("forkserver")
with ProcessPoolExecutor(1, mp_context=context, initializer=end_with_parent) as pool:
    print(pool.submit(os.getpid).result(), flush=True)
    sys.stdin.read()
"""


def test_an_idle_worker_ends_when_its_parent_is_killed() -> None:
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        server = worker.parent()
        assert server is not None
        parent.kill()
    _, alive = psutil.wait_procs([worker, server], timeout=30)
    assert alive == []
