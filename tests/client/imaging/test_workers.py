import os
import time
from pathlib import Path

import pytest

from client.imaging.workers import each_in_order


def square_or_die(number: int) -> int:
    """Stand for a decoder that crashes: no exception, the process is gone."""
    if number < 0:
        os._exit(1)
    return number * number


def minus_one(number: int) -> int:
    return -1


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers: int) -> None:
    results = each_in_order(
        square_or_die, [3, 1, 2], workers=workers, when_lost=minus_one, preload=__name__
    )
    assert list(results) == [9, 1, 4]


def test_a_process_that_dies_takes_only_its_item() -> None:
    results = each_in_order(
        square_or_die, [1, -2, 3, 4], workers=2, when_lost=minus_one, preload=__name__
    )
    assert list(results) == [1, -1, 9, 16]


def note_or_raise(file: Path) -> None:
    if file.name == "0":
        raise OSError("the disk is full")
    time.sleep(0.2)
    file.touch()


def test_work_that_raises_ends_what_was_not_begun(tmp_path: Path) -> None:
    files = [tmp_path / str(number) for number in range(30)]
    with pytest.raises(OSError, match="the disk is full"):
        list(each_in_order(note_or_raise, files, workers=2, when_lost=Path.touch, preload=__name__))
    assert len(list(tmp_path.iterdir())) < 15


def work_or_hang(number: int) -> int:
    while number < 0:
        pass
    return number


def test_a_process_that_hangs_is_ended() -> None:
    results = each_in_order(
        work_or_hang,
        [1, -2, 3],
        workers=2,
        when_lost=minus_one,
        preload=__name__,
        longest_s=0.5,
    )
    assert list(results) == [1, -1, 3]
