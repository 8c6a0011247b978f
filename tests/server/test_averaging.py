import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.averaging import MOST_SITES, ExactSum, RunningAverage
from shared.judgement import Judgement
from shared.protocol import LARGEST_WEIGHT, MOST_PATIENTS, Update
from shared.weights import Weights

TRUNK, MVI, OS = "trunk.conv0.weight", "heads.mvi.weight", "heads.os.baseline"


def update(site: str, value: float, patients: int, mvi: int, os: int) -> Update:
    weights: Weights = {key: np.full(2, value, np.float32) for key in (TRUNK, MVI, OS)}
    return Update(
        site=site,
        weights=weights,
        patients=patients,
        labelled={"mvi": mvi, "rfs": 0, "os": os},
        loss=0.0,
        seconds=0.0,
        judgement=Judgement.empty(),
    )


CURRENT: Weights = {key: np.full(2, -1.0, np.float32) for key in (TRUNK, MVI, OS)}


def average(*updates: Update) -> Weights:
    running = RunningAverage(CURRENT)
    for one in updates:
        running.add(one)
    return running.average()


def test_trunk_by_patients_and_heads_by_labelled_patients() -> None:
    """Trunk (1 * 30 + 4 * 10) / 40 = 1.75; MVI (1 * 5 + 4 * 10) / 15 = 3; OS only site b: 4."""
    averaged = average(update("a", 1.0, 30, mvi=5, os=0), update("b", 4.0, 10, mvi=10, os=8))
    np.testing.assert_allclose(averaged[TRUNK], 1.75)
    np.testing.assert_allclose(averaged[MVI], 3.0)
    np.testing.assert_allclose(averaged[OS], 4.0)


def test_a_head_without_any_label_stays_as_it_is() -> None:
    averaged = average(update("a", 1.0, 30, mvi=0, os=3))
    np.testing.assert_array_equal(averaged[MVI], CURRENT[MVI])


def test_who_has_no_label_at_all_moves_nothing() -> None:
    """Its update is what the penalties draw towards zero, with the weight of all its patients."""
    alone = average(update("b", 4.0, 10, mvi=10, os=8))
    beside = average(update("a", 1.0, 300, mvi=0, os=0), update("b", 4.0, 10, mvi=10, os=8))
    assert all((beside[key] == alone[key]).all() for key in CURRENT)
    nobody = average(update("a", 1.0, 300, mvi=0, os=0))
    assert all((nobody[key] == CURRENT[key]).all() for key in CURRENT)


def test_one_site_or_equal_sites_give_back_their_model_to_the_bit() -> None:
    third = float(np.float32(1 / 3))
    alone = average(update("a", third, 30, mvi=7, os=3))
    equal = average(*(update(name, third, n, mvi=n, os=n) for name, n in (("a", 30), ("b", 77))))
    for averaged in (alone, equal):
        assert all((value == np.float32(third)).all() for value in averaged.values())


def test_no_order_of_arrival_changes_a_bit_where_plain_sums_change() -> None:
    generator = np.random.default_rng(0)
    values = generator.standard_normal((6, 500)) * 10.0 ** generator.integers(-8, 4, (6, 500))
    terms = [(row.astype(np.float32), int(generator.integers(3, 90))) for row in values]
    exact, plain = set(), set()
    for order in itertools.permutations(terms):
        total = ExactSum((500,))
        for row, times in order:
            total.add(row, times)
        exact.add(total.mean().tobytes())
        plain.add(sum(row.astype(np.float64) * times for row, times in order).tobytes())
    assert len(plain) > 1
    assert len(exact) == 1


term = st.tuples(
    st.floats(-(2.0**22), 2.0**22, width=32), st.integers(min_value=1, max_value=MOST_PATIENTS)
)


@settings(deadline=None)
@given(st.lists(term, min_size=1, max_size=20))
def test_the_mean_is_the_exact_one_rounded(terms: list[tuple[float, int]]) -> None:
    """Against Python's own fractions; at most the last bit of float32 may differ in a tie."""
    total = ExactSum((1,))
    for value, times in terms:
        total.add(np.array([value], np.float32), times)
    exact = sum((Fraction(v) * n for v, n in terms), Fraction(0)) / total.total
    assert abs(Fraction(float(total.mean()[0])) - exact) <= max(
        abs(exact) * Fraction(1, 2**24) * Fraction(1001, 1000), Fraction(1, 2**60)
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_federation_of_the_largest_numbers_does_not_overflow(sign: int) -> None:
    largest = np.nextafter(np.float32(LARGEST_WEIGHT), np.float32(0)) * sign
    total = ExactSum((1,))
    for _ in range(MOST_SITES):
        total.add(np.array([largest], np.float32), MOST_PATIENTS)
    assert total.mean()[0] == largest
