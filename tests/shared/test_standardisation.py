from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.measurements import MEASUREMENTS
from shared.model import DIRECT_FEATURES
from shared.standardisation import FeatureSums, add_up


def patients(seed: int, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    generator = np.random.default_rng(seed)
    values = generator.normal(3.0, 2.0, (n, DIRECT_FEATURES))
    known = (generator.random((n, DIRECT_FEATURES)) < 0.8).astype(float)
    return values, known


def test_sums_of_sites_give_the_pooled_mean_and_deviation() -> None:
    sites = [patients(seed, n) for seed, n in ((0, 20), (1, 7), (2, 33))]
    mean, deviation = add_up(FeatureSums.over(*site) for site in sites).mean_and_deviation()
    values, known = (np.concatenate(parts) for parts in zip(*sites, strict=True))
    for feature in range(DIRECT_FEATURES):
        column = values[known[:, feature] == 1, feature]
        assert mean[feature] == pytest.approx(column.mean(), rel=1e-6)
        assert deviation[feature] == pytest.approx(column.std(), rel=1e-6)


def test_what_nobody_has_has_no_deviation_and_what_never_varies_is_centred() -> None:
    values, known = patients(0, 10)
    known[:, 0] = 0
    values[:, 1], known[:, 1] = 5.0, 1
    mean, deviation = FeatureSums.over(values, known).mean_and_deviation()
    assert (mean[0], deviation[0]) == (0, 0)
    assert (mean[1], deviation[1]) == (5, 1)


def test_a_clinical_variable_may_be_of_any_unit() -> None:
    """The same of 30 patients in three units, and one that everybody has alike."""
    generator = np.random.default_rng(0)
    values = generator.normal(3.0, 2.0, (30, DIRECT_FEATURES + 4))
    values[:, -4:] = generator.normal(60, 10, 30)[:, None] * [1.0, 1e-6, 1e6, 0.0] + [0, 0, 0, 0.1]
    sums = FeatureSums.over(values, np.ones_like(values))
    mean, deviation = sums.mean_and_deviation()
    np.testing.assert_allclose(deviation[-3:-1] / deviation[-4], [1e-6, 1e6], rtol=1e-5)
    assert (mean[-1], deviation[-1]) == (pytest.approx(0.1), 1)
    found = sums.correlation()
    assert found[-4, -3] == found[-4, -2] == pytest.approx(0.9)
    assert found[-4, -1] == pytest.approx(0.0, abs=1e-6)


def test_sums_of_sites_give_the_pooled_correlation() -> None:
    """Each pair over the patients who have both, around everybody's mean; shrunk by a tenth."""
    sites = [patients(seed, n) for seed, n in ((0, 20), (1, 7), (2, 33))]
    found = add_up(FeatureSums.over(*site) for site in sites).correlation()
    values, known = (np.concatenate(p)[:, -len(MEASUREMENTS) :] for p in zip(*sites, strict=True))
    have = known == 1
    centred = np.where(have, values - np.nanmean(np.where(have, values, np.nan), axis=0), 0)
    deviation = np.nanstd(np.where(have, values, np.nan), axis=0)
    for i, j in ((0, 1), (3, 9), (14, 2)):
        both = have[:, i] & have[:, j]
        expected = (centred[both, i] * centred[both, j]).mean() / (deviation[i] * deviation[j])
        assert found[i, j] == pytest.approx(0.9 * expected, abs=1e-6)
    np.testing.assert_array_equal(np.diag(found), 1)


def test_measurements_that_go_together_are_found_to() -> None:
    values, known = patients(0, 200)
    first = values[:, -len(MEASUREMENTS)]
    values[:, -len(MEASUREMENTS) + 1] = -3 * first + 1
    found = FeatureSums.over(values, np.ones_like(known)).correlation()
    assert found[0, 1] == pytest.approx(-0.9, abs=1e-6)


def test_sums_survive_the_wire_and_nonsense_does_not() -> None:
    sums = FeatureSums.over(*patients(0, 10))
    again = FeatureSums.from_lists(sums.as_lists(), 10)
    np.testing.assert_array_equal(again.square, sums.square)
    np.testing.assert_array_equal(again.pair_product, sums.pair_product)
    with pytest.raises(ValueError, match="finite"):
        FeatureSums.from_lists({**sums.as_lists(), "total": [1.0]}, 10)


@pytest.mark.parametrize(
    ("key", "number", "why"),
    [
        ("count", -1.0, "whole numbers of at most 10"),
        ("count", 7.5, "whole numbers of at most 10"),
        ("count", 11.0, "whole numbers of at most 10"),
        ("count", 0.0, "larger than any"),
        ("total", 1e300, "larger than any"),
        ("total", -1e3, "larger than any"),
        ("square", -1.0, ">= 0"),
        ("square", 1e300, "larger than any"),
        ("pair_count", 0.5, "whole numbers"),
        ("pair_count", 11.0, "more patients than have"),
        ("pair_total", 1e4, "larger than any"),
        ("pair_product", -1e300, "larger than any"),
    ],
)
def test_sums_that_no_ten_patients_can_have_are_refused(key: str, number: float, why: str) -> None:
    lists = FeatureSums.over(*patients(0, 10)).as_lists()
    lists[key] = [number, *lists[key][1:]]
    with pytest.raises(ValueError, match=why):
        FeatureSums.from_lists(lists, 10)


def test_pairs_that_do_not_fit_together_give_what_can_be_inverted() -> None:
    """Three measurements, each pair opposed: no patients have that, and -0.5 has no inverse."""
    values, known = patients(0, 60)
    known[:] = 1
    sums = FeatureSums.over(values, known)
    square = np.diag(sums.pair_product)
    product = sums.pair_product.copy()
    for i, j in ((0, 1), (0, 2), (1, 2)):
        product[i, j] = product[j, i] = -np.sqrt(square[i] * square[j])
    opposed = replace(sums, pair_product=product).correlation()
    assert np.linalg.eigvalsh(opposed)[0] == pytest.approx(0.1, abs=1e-4)
    np.testing.assert_allclose(np.diag(opposed), 1)


def test_a_study_with_clinical_variables_sums_more_features() -> None:
    values = np.random.default_rng(0).normal(60, 10, (30, DIRECT_FEATURES + 2))
    sums = [FeatureSums.over(part, np.ones_like(part)) for part in (values[:12], values[12:])]
    pooled = add_up(sums, DIRECT_FEATURES + 2)
    mean, _ = pooled.mean_and_deviation()
    assert mean[-1] == pytest.approx(values[:, -1].mean())
    assert pooled.correlation().shape == (len(MEASUREMENTS) + 2,) * 2
    again = FeatureSums.from_lists(sums[0].as_lists(), 12, DIRECT_FEATURES + 2)
    np.testing.assert_array_equal(again.pair_product, sums[0].pair_product)
    with pytest.raises(ValueError, match="finite"):
        FeatureSums.from_lists(sums[0].as_lists(), 12)
