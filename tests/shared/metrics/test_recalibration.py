"""Recalibration against scikit-learn's logistic regression, and what its priors hold back."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from shared.metrics.recalibration import Recalibration, recalibrate


def drawn(patients: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(4)
    said = expit(generator.normal(0, 1.5, patients))
    return said, (generator.random(patients) < expit(0.6 + 0.7 * logit(said))).astype(float)


def test_without_priors_it_is_logistic_regression() -> None:
    said, label = drawn(400)
    found = recalibrate(np.ones(400), label, said, shift_sd=1e4, log_slope_sd=1e4)
    expected = LogisticRegression(C=np.inf, tol=1e-10).fit(logit(said)[:, None], label)
    assert found.shift == pytest.approx(expected.intercept_[0], abs=1e-4)
    assert found.slope == pytest.approx(expected.coef_[0, 0], abs=1e-4)


def test_priors_hold_few_patients_back() -> None:
    said, label = np.array([0.2, 0.3, 0.6]), np.array([1.0, 0.0, 0.0])
    near, far = (
        recalibrate(np.ones(3), label, said, shift_sd=sd, log_slope_sd=sd) for sd in (0.1, 1.0)
    )
    assert abs(near.shift) < 0.05
    assert abs(near.slope - 1) < 0.05
    assert far.slope < near.slope < 1


def test_one_class_and_certain_predictions_give_finite_numbers() -> None:
    found = recalibrate([3, 2], [3, 2], [1.0, 0.0], shift_sd=1.0, log_slope_sd=1.0)
    assert np.isfinite([found.shift, found.slope]).all()
    assert found.shift > 0


def test_there_and_back() -> None:
    meaning = Recalibration(shift=-0.4, slope=1.3)
    assert meaning.predicted(float(meaning.chance(0.37))) == pytest.approx(0.37, abs=1e-12)
    assert meaning.chance([0.1, 0.5]) == pytest.approx(expit(-0.4 + 1.3 * logit([0.1, 0.5])))
