"""An attacker who subtracts sums of features from each other finds nobody alone."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from client.evidence.features import tellable, tellable_pairs
from shared.measurements import MEASUREMENTS
from shared.model import DIRECT_FEATURES, IMAGE_STATISTICS
from shared.standardisation import FeatureSums

MINIMUM = 3
Array = NDArray[np.float64]


@st.composite
def tables(draw: st.DrawFn) -> tuple[Array, Array]:
    """Draw a small table: columns of two values, mostly zeros and measurements, with holes."""
    n, features = draw(st.integers(1, 14)), draw(st.integers(2, 5))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    values = generator.normal(0, 1, (n, features))
    values[:, 0] = generator.random(n) < 0.3
    values[:, 1] *= generator.random(n) < 0.5
    known = generator.random((n, features)) < draw(st.sampled_from([0.5, 0.8, 0.95, 1.0]))
    return values, known.astype(float)


@given(tables())
@settings(max_examples=300, deadline=None)
def test_nothing_that_can_be_added_or_subtracted_counts_few_patients(
    table: tuple[Array, Array],
) -> None:
    """All told counts, their differences, and whatever intersections of their groups leave."""
    values, known = table
    told = tellable(values, known, MINIMUM)
    assert (told <= known).all()
    pairs = tellable_pairs(values, told, MINIMUM)
    have = told.T == 1
    groups = [have[i] & have[j] for i in range(len(have)) for j in range(len(have)) if pairs[i, j]]
    for one, other in combinations([*have, *groups], 2):
        for left in (one & other, one & ~other, other & ~one):
            assert left.sum() == 0 or left.sum() >= MINIMUM
    # The finest parts that sums can be brought down to, by adding and subtracting any of them.
    _, size = np.unique(told[told.any(axis=1)], axis=0, return_counts=True)
    assert (size >= MINIMUM).all()


@given(tables())
@settings(max_examples=300, deadline=None)
def test_no_sum_rests_on_few_who_differ_from_a_common_value(table: tuple[Array, Array]) -> None:
    """A column of two values cuts every sum of another in two."""
    values, known = table
    told = tellable(values, known, MINIMUM)
    pairs = tellable_pairs(values, told, MINIMUM)
    marked, zero = values[:, 0] == 1, values[:, 1] == 0
    for j in range(values.shape[1]):
        both = (told[:, 0] == 1) & (told[:, j] == 1) & pairs[0, j]
        parts = [both & marked, both & ~marked]
        if j == 1 and (zero & both).sum() >= MINIMUM:
            parts += [part & ~zero for part in parts]
        assert all(part.sum() == 0 or part.sum() >= MINIMUM for part in parts)


@given(tables())
def test_a_site_that_withholds_nothing_tells_all(table: tuple[Array, Array]) -> None:
    values, known = table
    np.testing.assert_array_equal(tellable(values, known, 1), known)
    assert tellable_pairs(values, known, 1).all()


def patients(n: int) -> tuple[Array, Array]:
    values = np.random.default_rng(0).normal(3.0, 2.0, (n, DIRECT_FEATURES))
    return values, np.ones_like(values)


def told_sums(values: Array, known: Array, minimum_count: int = 5) -> FeatureSums:
    told = tellable(values, known, minimum_count)
    read = values[:, IMAGE_STATISTICS:], told[:, IMAGE_STATISTICS:]
    return FeatureSums.over(values, told).of_pairs(tellable_pairs(*read, minimum_count))


def test_where_no_group_is_small_sums_are_what_they_were() -> None:
    values, known = patients(12)
    known[:5, -3:] = 0
    sums, whole = told_sums(values, known), FeatureSums.over(values, known)
    for name, numbers in whole.as_lists().items():
        assert sums.as_lists()[name] == numbers


def test_the_one_patient_who_lacks_a_phase_is_in_no_sum() -> None:
    """Else a sum over everybody less that over those who have the phase would be the row."""
    values, known = patients(26)
    known[7, -3:] = 0
    sums = told_sums(values, known)
    others = np.delete(values, 7, axis=0)
    assert set(sums.count) == {25}
    np.testing.assert_allclose(sums.total, others.sum(axis=0))
    np.testing.assert_allclose(sums.total[IMAGE_STATISTICS:], sums.pair_total[:, -1])


def test_those_who_lack_different_things_tell_what_they_share() -> None:
    """Three lack one measurement, three another: together they are six who tell the rest."""
    values, known = patients(40)
    known[:3, -1] = 0
    known[3:6, -2] = 0
    count = told_sums(values, known).count
    assert count[-2:].tolist() == [34, 34]
    assert set(count[:-2]) == {40}


def test_a_column_that_is_one_for_one_patient_is_not_told() -> None:
    """Its products with the others would be that patient's row."""
    values, known = patients(26)
    values[:, -1] = 0
    values[3, -1] = 1
    sums = told_sums(values, known)
    assert sums.count[-1] == sums.total[-1] == sums.square[-1] == 0
    assert not sums.pair_product[-1].any()
    assert sums.count[0] == 26


def test_a_pair_of_rare_signs_is_not_told_where_few_have_both() -> None:
    """Six have one sign, six the other, two have both: each is told, their product is not."""
    values, known = patients(26)
    values[:, -2:] = 0
    values[:6, -2] = 1
    values[4:10, -1] = 1
    sums = told_sums(values, known)
    assert sums.total[-2:].tolist() == [6, 6]
    assert sums.pair_count[-1, -2] == sums.pair_product[-1, -2] == 0
    assert sums.pair_product[-1, 0] == pytest.approx(values[4:10, IMAGE_STATISTICS].sum())


def test_fewer_patients_than_the_minimum_tell_nothing() -> None:
    assert not told_sums(*patients(4)).count.any()
    assert len(MEASUREMENTS) == len(told_sums(*patients(4)).pair_count)
