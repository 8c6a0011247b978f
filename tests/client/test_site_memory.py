"""What a site keeps of its rounds is there again, or known to be gone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from client.memory import KEPT_ROUNDS, SiteMemory
from shared.plan import Plan
from shared.weights import Weights


def arrays(value: float) -> Weights:
    return {"w": np.full(3, value, np.float32)}


def test_what_is_kept_is_there_for_another_process(tmp_path: Path) -> None:
    SiteMemory(tmp_path, Plan(), "first").keep("control", 2, arrays(0.5))
    found = SiteMemory(tmp_path, Plan(), "first").recall("control", 2)
    assert found is not None
    np.testing.assert_array_equal(found["w"], arrays(0.5)["w"])


def test_kinds_rounds_plans_and_federations_are_kept_apart(tmp_path: Path) -> None:
    memory = SiteMemory(tmp_path, Plan(), "first")
    memory.keep("control", 2, arrays(0.5))
    assert memory.recall("personal", 2) is None
    assert memory.recall("control", 3) is None
    assert SiteMemory(tmp_path, replace(Plan(), seed=1), "first").recall("control", 2) is None
    assert SiteMemory(tmp_path, Plan(), "second").recall("control", 2) is None


def test_a_damaged_file_counts_as_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    memory = SiteMemory(tmp_path, Plan(), "first")
    memory.keep("control", 2, arrays(0.5))
    (path,) = tmp_path.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-3])
    assert memory.recall("control", 2) is None
    assert "what round 2 left cannot be read" in caplog.text


def test_old_rounds_are_forgotten_but_the_one_that_counted(tmp_path: Path) -> None:
    memory = SiteMemory(tmp_path, Plan(), "first")
    for number in (1, 2, 3, 4, 5, 6, 9):
        memory.keep("control", number, arrays(number))
    memory.forget("control", 6, but=2)
    kept = {n for n in range(10) if memory.recall("control", n) is not None}
    assert kept == {2, *range(7 - KEPT_ROUNDS, 7)}
