import numpy as np
import pandas as pd
import pytest

from simulation.cohort.settings import PatientMixSettings
from simulation.cohort.signs import REFERENCE_DIAMETER_MM, draw_signs, standardise

REFERENCE = PatientMixSettings(
    severity=0.0,
    diameter_mm=REFERENCE_DIAMETER_MM,
    follow_up_months=(12, 60),
    loss_per_year=0.1,
)


@pytest.fixture(scope="module")
def reference_signs() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame([vars(draw_signs(REFERENCE, rng)) for _ in range(6000)])


def test_signs_are_standardised_in_the_reference_mix() -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame([standardise(draw_signs(REFERENCE, rng)) for _ in range(6000)])
    np.testing.assert_allclose(table.mean(), 0, atol=0.05)
    # The diameter is clipped, all else is exact.
    np.testing.assert_allclose(table.std(), 1, atol=0.06)


def test_diameters_are_those_of_resected_tumours(reference_signs: pd.DataFrame) -> None:
    diameter_mm = reference_signs["diameter_mm"]
    assert diameter_mm.min() >= 8
    assert diameter_mm.max() <= 120
    assert diameter_mm.median() == pytest.approx(45, abs=2)


def test_no_sign_stands_in_for_another(reference_signs: pd.DataFrame) -> None:
    correlation = reference_signs.corr(method="spearman").to_numpy()
    assert np.abs(correlation - np.eye(len(correlation))).max() < 0.3


def test_counts_of_tumours(reference_signs: pd.DataFrame) -> None:
    assert set(reference_signs["lesions"]) == {1, 2, 3}
    assert set(reference_signs["satellites"]) == {0, 1, 2, 3}
