import json
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
        best_round=number - 1,
        best_score=0.5,
        best_weights={"w": np.full(3, number - 1, np.float32)},
        history=[{"round": index} for index in range(number + 1)],
    )


def assert_same(found: Checkpoint | None, expected: Checkpoint) -> None:
    assert found is not None
    assert found.best_weights is not None
    assert expected.best_weights is not None
    np.testing.assert_array_equal(found.weights["w"], expected.weights["w"])
    np.testing.assert_array_equal(found.best_weights["w"], expected.best_weights["w"])
    assert replace(found, weights={}, best_weights=None) == replace(
        expected, weights={}, best_weights=None
    )


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    assert checkpoints.load("plan", tmp_path) is None
    checkpoints.save(checkpoint(1), "plan", tmp_path)
    checkpoints.save(checkpoint(2), "plan", tmp_path)
    assert_same(checkpoints.load("plan", tmp_path), checkpoint(2))
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


def test_a_crash_while_saving_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints.save(checkpoint(1), "plan", tmp_path)

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(json, "dumps", crash)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(checkpoint(2), "plan", tmp_path)
    assert_same(checkpoints.load("plan", tmp_path), checkpoint(1))


def test_another_plans_checkpoint_is_refused(tmp_path: Path) -> None:
    checkpoints.save(checkpoint(1), "plan", tmp_path)
    with pytest.raises(CheckpointMismatchError, match="another plan"):
        checkpoints.load("other plan", tmp_path)
