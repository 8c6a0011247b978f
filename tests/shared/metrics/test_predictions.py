"""A cohort's predictions and the metrics made from them."""

import math

import numpy as np
import pytest
from lifelines.utils import concordance_index
from sklearn.metrics import f1_score, roc_auc_score

from shared.metrics.predictions import Predictions, SurvivalPredictions, concatenate, evaluate


def cohort(site: str, n: int, seed: int, intervals: int = 4) -> Predictions:
    rng = np.random.default_rng(seed)

    def survival() -> SurvivalPredictions:
        return SurvivalPredictions(
            months=rng.exponential(20, n),
            event=(rng.random(n) < 0.7).astype(float),
            risk=rng.normal(size=n),
            survival=np.sort(rng.random((n, intervals)))[:, ::-1],
        )

    return Predictions(
        patient_id=tuple(f"{site}-{k}" for k in range(n)),
        site=(site,) * n,
        mvi_label=np.where(rng.random(n) < 0.2, math.nan, np.arange(n) % 2),
        mvi_probability=rng.random(n),
        rfs=survival(),
        os=survival(),
    )


def test_metrics_are_those_of_the_libraries() -> None:
    p = cohort("a", 40, 0)
    metrics = evaluate(p, 0.4, resamples=50)
    known = ~np.isnan(p.mvi_label)
    assert list(metrics) == ["os_c_index", "rfs_c_index", "mvi_f1", "mvi_auc"]
    for name, labels in (("os_c_index", p.os), ("rfs_c_index", p.rfs)):
        expected = concordance_index(labels.months, -labels.risk, labels.event)
        assert metrics[name].value == pytest.approx(expected, abs=1e-12)  # type: ignore[index]
    label, probability = p.mvi_label[known], p.mvi_probability[known]
    assert metrics["mvi_f1"].value == pytest.approx(f1_score(label, probability >= 0.4))
    assert metrics["mvi_auc"].value == pytest.approx(roc_auc_score(label, probability))
    assert metrics["mvi_auc"].n == known.sum() < 40


def test_without_a_threshold_there_is_no_f1() -> None:
    p = cohort("a", 40, 0)
    f1 = evaluate(p, None, resamples=5)["mvi_f1"]
    assert (f1.value, f1.ci95, f1.n) == (None, None, int((~np.isnan(p.mvi_label)).sum()))


def test_concatenation_keeps_patients_in_order_and_pairs_within_sites() -> None:
    one, other = cohort("a", 5, 1), cohort("b", 7, 2)
    both = concatenate([one, other])
    assert len(both) == 12
    assert both.patient_id == one.patient_id + other.patient_id
    assert both.site == ("a",) * 5 + ("b",) * 7
    np.testing.assert_array_equal(both.survival("os").risk[5:], other.os.risk)
    np.testing.assert_array_equal(both.survival("rfs").survival[:5], one.rfs.survival)


def test_refuses_to_concatenate_nothing_or_different_grids() -> None:
    with pytest.raises(ValueError, match="nothing"):
        concatenate([])
    with pytest.raises(ValueError, match="different time grids"):
        concatenate([cohort("a", 3, 0, intervals=4), cohort("b", 3, 0, intervals=5)])


def test_refuses_columns_of_different_lengths() -> None:
    p = cohort("a", 4, 0)
    with pytest.raises(ValueError, match="differ in length"):
        Predictions(p.patient_id, p.site, p.mvi_label[:3], p.mvi_probability, p.rfs, p.os)
    with pytest.raises(ValueError, match="differ in length"):
        Predictions(p.patient_id[:2], p.site, p.mvi_label, p.mvi_probability, p.rfs, p.os)
