"""Methods side by side."""

import pytest

from shared.results import Estimate
from simulation.comparison import mean_estimate


def test_a_mean_has_the_mean_of_all_intervals_or_none() -> None:
    """Of (0.4, 0.6) around 0.5 alone the mean of 0.5 and 0.9 would lie outside."""
    one, other = Estimate(0.5, (0.4, 0.6), 30), Estimate(0.9, (0.7, 1.0), 30)
    found = mean_estimate([one, other])
    assert found.value == pytest.approx(0.7)
    assert found.n == 30
    assert found.ci95 == pytest.approx((0.55, 0.8))
    assert mean_estimate([one, Estimate(0.9, None, 4)]).ci95 is None
    assert mean_estimate([one, Estimate(None, None, 0)]) == one
    assert mean_estimate([Estimate(None, None, 0)]).value is None
