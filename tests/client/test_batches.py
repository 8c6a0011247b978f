"""What a round's steps are made of."""

from collections import Counter

import pytest
import torch

from client.batches import in_steps
from client.site import Site
from tests.simulation.small_sites import labelled_sites

PATIENTS = 5


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return labelled_sites(tmp_path_factory.mktemp("batches"), {"a": PATIENTS})[0]


@pytest.mark.parametrize(("batch_size", "steps"), [(2, 1), (2, 4), (5, 2), (8, 3)])
def test_every_step_is_full_and_everybody_has_the_same_turns(
    site: Site, batch_size: int, steps: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    batches = list(in_steps(site.cases, batch_size, steps, generator))
    assert [len(targets) for _, targets in batches] == [batch_size] * steps
    months = torch.cat([targets.os.months for _, targets in batches])
    assert not torch.isnan(months).any()
    turns = Counter(months.tolist())
    drawn = batch_size * steps
    assert set(turns.values()) <= {drawn // PATIENTS, -(-drawn // PATIENTS)}
    assert sum(turns.values()) == drawn
