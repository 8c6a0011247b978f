"""What the trunk pools, standardised by sums."""

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.map_sums import MapSums

MAPS = 7


def pooled(seed: int, patients: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(3.0, 0.01, (patients, MAPS))


def test_sums_of_sites_give_the_pooled_mean_and_deviation() -> None:
    sites = [pooled(seed, n) for seed, n in ((0, 20), (1, 7), (2, 33))]
    sums = sum((MapSums.over(site) for site in sites), start=MapSums.empty(MAPS))
    mean, deviation = sums.mean_and_deviation()
    together = np.concatenate(sites)
    np.testing.assert_allclose(mean, together.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(deviation, together.std(axis=0), rtol=1e-4)


def test_nobody_and_a_map_that_never_varies_are_left_as_they_are() -> None:
    mean, deviation = MapSums.empty(MAPS).mean_and_deviation()
    assert (mean == 0).all()
    assert (deviation == 1).all()
    mean, deviation = MapSums.over(np.full((9, MAPS), 2.5)).mean_and_deviation()
    assert (mean == 2.5).all()
    assert (deviation == 1).all()


def test_sums_over_few_patients_tell_nothing() -> None:
    sums = MapSums.over(pooled(0, 4))
    assert sums.at_least(4) is sums
    few = sums.at_least(5)
    assert few.patients == 0
    assert not few.total.any()
    assert not few.square.any()


def test_sums_survive_the_wire_and_nonsense_does_not() -> None:
    sums = MapSums.over(pooled(0, 10))
    again = MapSums.from_lists(sums.as_lists(), 10, MAPS)
    assert again.patients == 10
    np.testing.assert_array_equal(again.total, sums.total)
    np.testing.assert_array_equal(again.square, sums.square)
    for wrong in ({"total": [1.0]}, {"patients": [np.nan]}, {"square": [np.inf] * MAPS}):
        with pytest.raises(ValueError, match="finite"):
            MapSums.from_lists({**sums.as_lists(), **wrong}, 10, MAPS)
    for number in (-1.0, 9.5, 11.0):
        with pytest.raises(ValueError, match="whole numbers of at most 10"):
            MapSums.from_lists({**sums.as_lists(), "patients": [number]}, 10, MAPS)
    for number in (-1.0, 1e300, 0.0):
        with pytest.raises(ValueError, match=r"squares must be|larger than any"):
            MapSums.from_lists({**sums.as_lists(), "square": [number] * MAPS}, 10, MAPS)
    with pytest.raises(KeyError):
        MapSums.from_lists({"patients": [1.0]}, 10, MAPS)
