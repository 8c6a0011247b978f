"""How many threads linear algebra takes."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import ThreadpoolController


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep NumPy's and SciPy's linear algebra in the thread that calls; also a decorator.

    OpenBLAS wakes a thread a core for systems of a few columns: they wait in a loop longer than
    they compute, a fifth of what preparing a patient costs, and the last bits of a sum depend on
    how many there are.
    """
    with _controller().limit(limits=1, user_api="blas"):
        yield


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()
