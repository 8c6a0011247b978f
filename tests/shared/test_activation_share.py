"""Shares of activation, by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.activation_share import ActivationShares, activation_shares


def tumour() -> NDArray[np.bool_]:
    inside = np.zeros((1, 20, 20, 20), bool)
    inside[:, 8:12, 8:12, 8:12] = True
    return inside


def test_an_even_map_is_exactly_chance() -> None:
    shares = activation_shares(np.ones((1, 20, 20, 20), np.float32), tumour())
    assert shares.patients == 1
    assert shares.in_tumour == pytest.approx(shares.tumour_volume)
    assert shares.tumour_volume == pytest.approx(4**3 / 20**3)
    # The ring reaches four voxels beyond the tumour.
    assert shares.margin_volume == pytest.approx(12**3 / 20**3)
    assert shares.in_margin == pytest.approx(shares.margin_volume)


def test_shares_follow_the_map_and_add_up() -> None:
    inside, outside = np.zeros((1, 20, 20, 20), np.float32), np.zeros((1, 20, 20, 20), np.float32)
    inside[0, 10, 10, 10] = 0.5
    outside[0, 0, 0, 0] = 1.0
    total = activation_shares(inside, tumour()) + activation_shares(outside, tumour())
    assert total == activation_shares(np.concatenate([inside, outside]), np.repeat(tumour(), 2, 0))
    assert total.mean(total.in_tumour) == pytest.approx(0.5)
    assert total.mean(total.in_margin) == pytest.approx(0.5)


def test_an_empty_map_is_not_counted() -> None:
    empty = activation_shares(np.zeros((1, 20, 20, 20), np.float32), tumour())
    assert empty == ActivationShares()
    assert empty.mean(empty.in_tumour) is None
