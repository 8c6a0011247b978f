"""What a round's steps are made of."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from client.batches import ahead, in_order, in_steps
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


def test_batches_made_ahead_are_the_same_in_the_same_order(site: Site) -> None:
    plain, early = (list(make(in_order(site.cases, 2))) for make in (iter, ahead))
    assert len(plain) == len(early) == 3
    for (batch, targets), (other, labels) in zip(plain, early, strict=True):
        for name, value in vars(batch).items():
            torch.testing.assert_close(vars(other)[name], value, rtol=0, atol=0, equal_nan=True)
        torch.testing.assert_close(labels.os.months, targets.os.months, equal_nan=True)


def test_a_region_that_is_gone_is_told_where_the_batch_is_used(site: Site) -> None:
    gone = replace(site.cases[4], roi_path=site.cases[4].roi_path.with_name("gone"))
    batches = ahead(in_order([*site.cases[:4], gone], 2))
    next(batches), next(batches)
    with pytest.raises(FileNotFoundError):
        next(batches)
