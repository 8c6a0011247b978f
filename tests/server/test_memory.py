"""What a round holds in memory: a few models, however many sites there are."""

import logging
import tracemalloc
from dataclasses import replace
from pathlib import Path

from server.federation import FederationSettings, initial_weights, run_federation
from server.terms import Patience, Terms
from shared.model import ModelSettings
from tests.server.fake_grid import PLAN, FakeGrid, FakeSite

LARGE = replace(
    PLAN,
    rounds=1,
    model=ModelSettings(init_features=64, growth_rate=48, block_config=(6,), embedding=64),
)


def peak_bytes(sites: int, state_dir: Path) -> int:
    """Return the most that a run over so many sites allocates at a time."""
    grid = FakeGrid(*(FakeSite(f"site_{number:02}") for number in range(sites)))
    settings = FederationSettings(LARGE, state_dir, Terms(patience=Patience(gathering_s=0.0)))
    tracemalloc.start()
    try:
        run_federation(grid, settings)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_sites(tmp_path: Path) -> None:
    logging.getLogger("flwr").setLevel(logging.ERROR)
    model_bytes = sum(value.nbytes for value in initial_weights(LARGE).values())
    assert model_bytes > 2_000_000
    few, many = peak_bytes(3, tmp_path / "few"), peak_bytes(40, tmp_path / "many")
    print(f"model {model_bytes / 1e6:.1f} MB; peak 3 sites {few / 1e6:.1f}, 40 {many / 1e6:.1f}")
    assert many - few < model_bytes
