"""What every worker process of ours does: it never outlives the one that started it."""

import multiprocessing
import os
import threading
from multiprocessing.connection import wait


def end_with_parent() -> None:
    """End this process as soon as its parent is gone, also where the parent was killed.

    For the initializer of a pool. A pool's idle workers wait on a pipe whose other end they hold
    themselves, so that nothing wakes them when the parent dies without a word: each would keep
    half a gigabyte for good. What a worker writes is put in place whole, so it may end anywhere.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch(sentinel: int) -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()
