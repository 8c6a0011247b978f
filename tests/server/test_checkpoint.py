import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from server import checkpoint as checkpoints
from server.checkpoint import Checkpoint, CheckpointMismatchError


def checkpoint(number: int) -> Checkpoint:
    return Checkpoint(
        round=number,
        weights={"w": np.full(3, number, np.float32)},
        memory={"first/w": np.full(3, number / 3, np.float64), "steps": np.array([number + 0.0])},
        best_round=number - 1,
        best_weights={"w": np.full(3, number - 1, np.float32)},
        history=[{"round": index} for index in range(number + 1)],
        federation="the first",
    )


def assert_same(found: Checkpoint | None, expected: Checkpoint) -> None:
    assert found is not None
    assert found.best_weights is not None
    assert expected.best_weights is not None
    for ours, theirs in (
        (found.weights, expected.weights),
        (found.memory, expected.memory),
        (found.best_weights, expected.best_weights),
    ):
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert ours[key].dtype == theirs[key].dtype
            np.testing.assert_array_equal(ours[key], theirs[key])
    found = replace(found, weights={}, memory={}, best_weights=None)
    assert found == replace(expected, weights={}, memory={}, best_weights=None)


def newest(folder: Path) -> Path:
    return max(folder.glob("checkpoint-*.json"))


def test_what_is_saved_is_loaded_and_nothing_piles_up(tmp_path: Path) -> None:
    assert checkpoints.load("plan", tmp_path) is None
    for number in range(1, 12):
        checkpoints.save(checkpoint(number), "plan", tmp_path)
        assert_same(checkpoints.load("plan", tmp_path), checkpoint(number))
        assert checkpoints.read_history(tmp_path) == checkpoint(number).history
    assert len(list(tmp_path.iterdir())) <= 2 + 5  # two states; rounds 9 to 11, memory of 10, 11


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
@pytest.mark.parametrize("nth", range(1, 9))
def test_a_crash_at_any_step_of_saving_leaves_a_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, nth: int
) -> None:
    """The machine stops at the n-th time that a file is opened, put on the disk, or renamed."""
    checkpoints.save(checkpoint(1), "plan", tmp_path)
    checkpoints.save(checkpoint(2), "plan", tmp_path)
    count = 0
    owner: object = os if call == "fsync" else Path
    original = getattr(owner, call)

    def crash(*arguments: object, **options: object) -> object:
        nonlocal count
        count += 1
        if count == nth:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(owner, call, crash)
    crashed = True
    try:
        checkpoints.save(checkpoint(3), "plan", tmp_path)
        crashed = False
    except KeyboardInterrupt:
        pass
    monkeypatch.undo()
    found = checkpoints.load("plan", tmp_path)
    assert found is not None
    assert_same(found, checkpoint(found.round))
    assert found.round in ((2, 3) if crashed else (3,))
    checkpoints.save(checkpoint(4), "plan", tmp_path)
    assert_same(checkpoints.load("plan", tmp_path), checkpoint(4))


@pytest.mark.parametrize("keep", [0, 1, 20, -1])
@pytest.mark.parametrize("which", ["state", "weights", "memory"])
def test_a_truncated_newest_checkpoint_falls_back_to_the_one_before(
    tmp_path: Path, which: str, keep: int, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints.save(checkpoint(4), "plan", tmp_path)
    before = set(tmp_path.iterdir())
    checkpoints.save(checkpoint(5), "plan", tmp_path)
    arrays = sorted(set(tmp_path.glob("*.safetensors")) - before, key=lambda p: p.stat().st_size)
    damaged = {"state": newest(tmp_path), "weights": arrays[0], "memory": arrays[-1]}[which]
    damaged.write_bytes(damaged.read_bytes()[:keep])
    assert_same(checkpoints.load("plan", tmp_path), checkpoint(4))
    assert "trying the one before" in caplog.text
    checkpoints.save(checkpoint(5), "plan", tmp_path)
    assert_same(checkpoints.load("plan", tmp_path), checkpoint(5))


def test_a_changed_byte_is_found(tmp_path: Path) -> None:
    checkpoints.save(checkpoint(4), "plan", tmp_path)
    checkpoints.save(checkpoint(5), "plan", tmp_path)
    state = newest(tmp_path)
    state.write_bytes(state.read_bytes().replace(b'"round": 5', b'"round": 6'))
    assert_same(checkpoints.load("plan", tmp_path), checkpoint(4))


def test_another_plans_checkpoint_is_refused(tmp_path: Path) -> None:
    checkpoints.save(checkpoint(1), "plan", tmp_path)
    with pytest.raises(CheckpointMismatchError, match="another plan"):
        checkpoints.load("other plan", tmp_path)


def test_a_checkpoint_of_another_format_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "SCHEMA", checkpoints.SCHEMA - 1)
    checkpoints.save(checkpoint(1), "plan", tmp_path)
    monkeypatch.undo()
    with pytest.raises(CheckpointMismatchError, match="format"):
        checkpoints.load("plan", tmp_path)


def test_a_process_killed_while_saving_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    """A writer saves without pause until it is killed, several times over."""
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from server import checkpoint as checkpoints
        from tests.server.test_checkpoint import checkpoint
        found = checkpoints.load("plan", Path(sys.argv[1]))
        number = found.round if found else 1
        while True:
            number += 1
            checkpoints.save(checkpoint(number), "plan", Path(sys.argv[1]))
            print(number, flush=True)
        """
    )
    reached = 1
    for lines in (1, 7, 20):
        writer = subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(lines)]
        writer.kill()
        writer.communicate()
        found = checkpoints.load("plan", tmp_path)
        assert found is not None
        assert_same(found, checkpoint(found.round))
        assert found.round >= said[-1] > reached
        reached = found.round
