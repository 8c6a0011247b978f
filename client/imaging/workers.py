"""Work shared among processes, where one that dies takes only its own item with it."""

import contextlib
import faulthandler
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import ForkServerContext
from typing import TypeVar

import SimpleITK as sitk

from client.processes import end_with_parent

# A patient takes seconds; an archive that has to fetch it from tape, minutes.
LONGEST_S = 1200.0

Item = TypeVar("Item")
Result = TypeVar("Result")


def each_in_order(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int,
    when_lost: Callable[[Item], Result],
    preload: str,
    longest_s: float = LONGEST_S,
) -> Iterator[Result]:
    """Yield the result of each item, in their order, whatever the number of workers.

    What the work raises is raised here, and ends it.

    Parameters
    ----------
    work : callable
        At the top of a module, so that another process finds it.
    items : sequence
    workers : int
        Processes; 1 works in this one.
    when_lost : callable
        Gives an item's result where its process died: a decoder's fault, or memory at its end,
        or because it took too long.
    preload : str
        The module to import once for all processes.
    longest_s : float
        A process that works longer on one item hangs, and is ended; with one worker nobody can.
    """
    if workers == 1 or len(items) < 2:
        yield from map(work, items)
        return
    # Forked children of a process that has used torch's threads can hang: start them anew.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([preload])
    left = list(items)
    while left:
        with _processes(workers, context) as pool:
            futures = [pool.submit(_within, work, item, longest_s) for item in left]
            for index, future in enumerate(futures):
                try:
                    yield future.result()
                except BrokenProcessPool:
                    # One death ends every item still under way: who was it?
                    yield _alone(work, left[index], when_lost, longest_s)
                    left = left[index + 1 :]
                    break
            else:
                return


def _alone(
    work: Callable[[Item], Result],
    item: Item,
    when_lost: Callable[[Item], Result],
    longest_s: float,
) -> Result:
    context = multiprocessing.get_context("forkserver")
    with _processes(1, context) as pool:
        try:
            return pool.submit(_within, work, item, longest_s).result()
        except BrokenProcessPool:
            return when_lost(item)


@contextlib.contextmanager
def _processes(workers: int, context: ForkServerContext) -> Iterator[ProcessPoolExecutor]:
    """Open processes; where work raises, or nobody wants more, what is left is not begun."""
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _within(work: Callable[[Item], Result], item: Item, longest_s: float) -> Result:
    """Work on an item, or end this process: a decoder in a loop hears no exception."""
    faulthandler.dump_traceback_later(longest_s, exit=True)
    try:
        return work(item)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _begin() -> None:
    end_with_parent()
    # The processes share the cores; threads of their own would only get in each other's way.
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
