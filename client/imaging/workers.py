"""Work shared among processes, where one that dies takes only its own item with it."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

import SimpleITK as sitk

from client.processes import end_with_parent

Item = TypeVar("Item")
Result = TypeVar("Result")


def each_in_order(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    workers: int,
    when_lost: Callable[[Item], Result],
    preload: str,
) -> Iterator[Result]:
    """Yield the result of each item, in their order, whatever the number of workers.

    Parameters
    ----------
    work : callable
        At the top of a module, so that another process finds it.
    items : sequence
    workers : int
        Processes; 1 works in this one.
    when_lost : callable
        Gives an item's result where its process died: a decoder's fault, or memory at its end.
    preload : str
        The module to import once for all processes.
    """
    if workers == 1 or len(items) < 2:
        yield from map(work, items)
        return
    # Forked children of a process that has used torch's threads can hang: start them anew.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([preload])
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin) as pool:
        futures = [pool.submit(work, item) for item in items]
        for item, future in zip(items, futures, strict=True):
            try:
                yield future.result()
            except BrokenProcessPool:
                # One death ends every item still under way: each is tried again by itself.
                yield _alone(work, item, when_lost)


def _alone(
    work: Callable[[Item], Result], item: Item, when_lost: Callable[[Item], Result]
) -> Result:
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_begin) as pool:
        try:
            return pool.submit(work, item).result()
        except BrokenProcessPool:
            return when_lost(item)


def _begin() -> None:
    end_with_parent()
    # The processes share the cores; threads of their own would only get in each other's way.
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
