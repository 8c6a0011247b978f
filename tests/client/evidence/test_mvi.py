"""MVI statistics from sites' sums against scikit-learn on the pooled rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from shared.evidence import mvi
from shared.metrics.bootstrap import auc_estimate, f1_estimate, percentile_estimate
from shared.metrics.f1_threshold import f1_threshold
from shared.seeds import derive_seed
from tests.client.evidence.cohorts import mvi_parts

rows = st.lists(
    st.tuples(st.integers(0, 1), st.floats(0, 1, width=32), st.integers(0, 2)),
    min_size=1,
    max_size=60,
)


def cohort(patients: int, seed: int, sites: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    label = generator.random(patients) < 0.4
    score = 1 / (1 + np.exp(-(generator.normal(size=patients) + 1.2 * label - 0.6)))
    return label.astype(float), score.round(2), generator.integers(0, sites, patients)


@pytest.mark.parametrize("seed", range(4))
def test_confusion_and_brier_are_the_pooled_ones(seed: int) -> None:
    label, score, site = cohort(90, seed, 4)
    parts = mvi_parts(label, score, site, threshold=0.47)
    table = mvi.confusion(parts)
    error = mvi.brier(parts)
    assert table is not None
    assert error is not None
    called = score >= 0.47
    expected = {
        "f1": f1_score(label, called),
        "sensitivity": recall_score(label, called),
        "specificity": recall_score(label, called, pos_label=0),
        "ppv": precision_score(label, called),
        "npv": precision_score(label, called, pos_label=0),
        "accuracy": accuracy_score(label, called),
    }
    assert {k: v[0] for k, v in table.rates().items()} == pytest.approx(expected, abs=1e-9)
    assert error[0][0] == pytest.approx(brier_score_loss(label, score), abs=1e-9)
    assert table.patients == error[1] == 90


@settings(max_examples=60, deadline=None)
@given(rows, st.sampled_from([1, 2, 5]))
def test_the_auc_is_within_its_stated_error(
    drawn: list[tuple[int, float, int]], minimum_count: int
) -> None:
    label, score, site = (np.array(column) for column in zip(*drawn, strict=True))
    parts = mvi_parts(label, score, site, minimum_count=minimum_count)
    found = mvi.auc(parts)
    told = [p.scores is not None for p in parts]
    kept = np.isin(site, np.unique(site)[told])
    if not 0 < label[kept].sum() < kept.sum():
        assert found is None or np.isnan(found.values[0])
        return
    assert found is not None
    assert found.error is not None
    exact = roc_auc_score(label[kept], score[kept])
    assert abs(found.values[0] - exact) <= found.error + 1e-9
    assert found.patients == kept.sum()


@pytest.mark.parametrize("minimum_count", [1, 5])
def test_the_auc_of_one_site_is_exact_ties_included(minimum_count: int) -> None:
    label, score, site = cohort(80, 7, 1)
    found = mvi.auc(mvi_parts(label, score.round(1), site, minimum_count=minimum_count))
    assert found is not None
    assert found.values[0] == pytest.approx(roc_auc_score(label, score.round(1)), abs=1e-9)
    assert found.error == 0


def test_the_auc_of_five_sites_is_near_the_exact_one() -> None:
    label, score, site = cohort(116, 3, 5)
    exact = roc_auc_score(label, score)
    fine = mvi.auc(mvi_parts(label, score, site))
    coarse = mvi.auc(mvi_parts(label, score, site, minimum_count=5))
    assert fine is not None
    assert coarse is not None
    assert fine.error is not None
    assert fine.error < 0.01
    assert abs(fine.values[0] - exact) < 0.005
    assert abs(coarse.values[0] - exact) < 0.03


def test_intervals_are_those_of_patients_rows() -> None:
    """Each site draws its own resamples; one site's AUC and F1 then agree to the last digit."""
    label, score, site = cohort(60, 11, 1)
    parts = mvi_parts(label, score, site, threshold=0.4, resamples=50)
    names = ["site_0"] * 60
    seed = derive_seed(0, "internal/mvi")
    found, table = mvi.auc(parts), mvi.confusion(parts)
    assert found is not None
    assert table is not None
    expected = auc_estimate(label, score, names, resamples=50, seed=seed)
    assert percentile_estimate(found.values, n=60) == expected
    f1 = f1_estimate(label, score, names, 0.4, resamples=50, seed=seed)
    assert percentile_estimate(table.rates()["f1"], n=60) == f1


def auc_error(label: np.ndarray, score: np.ndarray, site: np.ndarray) -> float:
    """Return the AUC of careful sites' cells less that of the rows of the sites that tell any."""
    parts = mvi_parts(label, score, site, minimum_count=5)
    kept = np.isin(site, np.flatnonzero([part.scores is not None for part in parts]))
    found = mvi.auc(parts)
    assert found is not None
    return float(found.values[0] - roc_auc_score(label[kept], score[kept]))


def test_across_sites_cells_are_placed_without_bias() -> None:
    """Evenly over its bins, a cell of five patients costs 0.016 of the AUC on average here."""
    generator = np.random.default_rng(8)
    off = []
    for _ in range(60):
        patients = generator.integers(15, 46, 5)
        site = np.repeat(np.arange(5), patients)
        log_odds = generator.normal(-0.75 + generator.normal(0, 0.35, 5)[site], 1.8)
        score = 1 / (1 + np.exp(-log_odds))
        label = (generator.random(len(site)) < score).astype(float)
        off.append(auc_error(label, score, site))
    assert abs(np.mean(off)) < 0.005
    assert np.sqrt(np.mean(np.square(off))) < 0.012


def test_scores_that_tell_nothing_are_not_flattered() -> None:
    """Within a cell those with MVI are placed higher only as far as the cells bear it out."""
    generator = np.random.default_rng(2)
    off = []
    for _ in range(40):
        site, score = np.repeat(np.arange(5), 24), generator.random(120)
        label = (generator.random(120) < 0.35).astype(float)
        off.append(auc_error(label, score, site))
    assert abs(np.mean(off)) < 0.01


@pytest.mark.parametrize("seed", range(3))
def test_the_threshold_is_that_of_patients_rows(seed: int) -> None:
    """Two decimals: no bin holds two scores, and the cells of a careful site are near."""
    label, score, site = cohort(110, seed, 3)
    expected = f1_threshold(label, score)
    fine = mvi.f1_threshold(mvi_parts(label, score, site))
    coarse = mvi.f1_threshold(mvi_parts(label, score, site, minimum_count=5))
    assert fine == pytest.approx(expected, abs=1e-6)
    assert coarse == pytest.approx(expected, abs=0.02)


def test_roc_and_net_benefit_at_the_edges() -> None:
    label, score, site = cohort(70, 5, 3)
    parts = mvi_parts(label, score, site)
    curve, benefit = mvi.roc(parts), mvi.net_benefit(parts)
    assert curve is not None
    assert benefit is not None
    edge = 48 / 128  # the 80th step from the right
    called = score >= edge
    assert curve[0][80] == pytest.approx(called[label == 0].mean(), abs=1e-9)
    assert curve[1][80] == pytest.approx(called[label == 1].mean(), abs=1e-9)
    index = int(np.flatnonzero(benefit[0] == edge)[0])
    expected = ((called & (label == 1)).sum() - 0.6 * (called & (label == 0)).sum()) / 70
    assert benefit[1][index] == pytest.approx(expected, abs=1e-9)
    assert benefit[2][index] == pytest.approx(label.mean() - 0.6 * (1 - label.mean()), abs=1e-9)


def test_calibration_groups_hold_everybody() -> None:
    label, score, site = cohort(120, 9, 4)
    found = mvi.calibration(mvi_parts(label, score, site, minimum_count=5))
    assert found is not None
    predicted, observed, patients = found
    assert patients.sum() == 120
    assert predicted @ patients / 120 == pytest.approx(score.mean(), abs=1e-9)
    assert observed @ patients / 120 == pytest.approx(label.mean(), abs=1e-9)
    assert (np.diff(predicted) > 0).all()


@pytest.mark.parametrize(
    ("label", "told"),
    [([1, 1, 1, 1, 1], True), ([0] * 5, True), ([1] * 4 + [0] * 20, False), ([1] * 4, False)],
)
def test_a_class_of_too_few_is_withheld(label: list[int], told: bool) -> None:
    (part,) = mvi_parts(label, np.linspace(0.1, 0.9, len(label)), [0] * len(label), minimum_count=5)
    assert (part.scores is not None) == told
    assert part.labelled == (len(label) if len(label) >= 5 else None)


def test_a_call_of_too_few_withholds_the_table_alone() -> None:
    label, score = [1] * 6 + [0] * 6, [0.9] * 3 + [0.1] * 9
    (part,) = mvi_parts(label, score, [0] * 12, minimum_count=5)
    assert part.confusion is None
    assert part.pairs is not None


def test_no_cell_of_too_few_is_told() -> None:
    label, score, site = cohort(200, 1, 4)
    for part in mvi_parts(label, score, site, minimum_count=7, resamples=3):
        assert part.scores is not None
        assert part.scores.values[0].sum(axis=1).min() >= 7


def test_one_class_and_one_patient_and_nobody() -> None:
    one = mvi.auc(mvi_parts([1.0], [0.3], [0]))
    assert one is not None
    assert np.isnan(one.values[0])
    assert mvi.roc(mvi_parts([1.0], [0.3], [0])) is None
    assert mvi.auc(mvi_parts([np.nan], [0.3], [0])) is None
    assert mvi.confusion([]) is None
    assert mvi.brier([]) is None
    assert mvi.f1_threshold(mvi_parts([0.0, 0.0], [0.3, 0.4], [0, 0])) is None


def test_a_whole_site_withheld_leaves_the_others_exact() -> None:
    """Site 1 has 3 patients with MVI only: every number is that of site 0's rows."""
    label, score, _ = cohort(80, 4, 1)
    site = np.arange(80) % 2
    label[site == 1] = np.arange(40) < 3
    parts = mvi_parts(label, score, site, threshold=0.4, minimum_count=5)
    assert parts[1].scores is None
    own = site == 0
    area, table, error = mvi.auc(parts), mvi.confusion(parts), mvi.brier(parts)
    assert area is not None
    assert table is not None
    assert error is not None
    assert area.values[0] == pytest.approx(roc_auc_score(label[own], score[own]), abs=1e-9)
    assert table.rates()["f1"][0] == pytest.approx(
        f1_score(label[own], score[own] >= 0.4), abs=1e-9
    )
    assert error[0][0] == pytest.approx(brier_score_loss(label[own], score[own]), abs=1e-9)
    assert area.patients == 40
