"""The rival fitted on lesion features: which penalty, and where nothing can be fitted."""

from pathlib import Path

import numpy as np
import pytest
from lifelines import CoxPHFitter
from lifelines.exceptions import ConvergenceError

from client.cases import PreparedCase
from shared.tasks import Labels, Survival
from simulation.evaluation import evaluate_radiomics
from simulation.methods import FederationData
from simulation.radiomics import RIDGE_PENALTIES, fit_radiomics
from tests.simulation.small_sites import PLAN, labelled_sites


def patients(count: int) -> tuple[list[PreparedCase], np.ndarray]:
    """Draw patients of whose features the first one decides over survival."""
    generator = np.random.default_rng(0)
    features = generator.normal(size=(count, 3))
    months = np.exp(2 - features[:, 0] + 0.3 * generator.normal(size=count))
    cases = [
        PreparedCase(
            str(k), Path(), (True,) * 3, Labels(os=Survival(float(each), k % 4 > 0), rfs=None)
        )
        for k, each in enumerate(months)
    ]
    return cases, features


def test_the_model_is_lifelines_of_the_penalty_that_validates_best() -> None:
    cases, features = patients(80)
    fitted = fit_radiomics(cases, features)
    model = fitted.survival["os"]
    assert model is not None
    assert model.penalizer in RIDGE_PENALTIES
    assert fitted.survival["rfs"] is None
    risk = fitted.risk("os", features)
    assert np.corrcoef(risk, features[:, 0])[0, 1] > 0.9
    assert np.isnan(fitted.risk("rfs", features)).all()


def test_a_feature_that_is_the_same_for_all_changes_nothing() -> None:
    """As of a phase that no site acquires."""
    cases, features = patients(80)
    absent = np.full((80, 1), np.nan)
    with_constant = fit_radiomics(cases, np.hstack([absent, features]))
    risk = with_constant.risk("os", np.hstack([absent, features]))
    expected = fit_radiomics(cases, features).risk("os", features)
    np.testing.assert_allclose(risk, expected, atol=1e-6)


def test_a_penalty_that_cannot_be_fitted_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = CoxPHFitter.fit

    def weak_ones_diverge(self: CoxPHFitter, *given: object, **named: object) -> CoxPHFitter:
        if self.penalizer < worst:
            raise ConvergenceError("delta contains nan value(s)")
        return fit(self, *given, **named)

    monkeypatch.setattr(CoxPHFitter, "fit", weak_ones_diverge)
    cases, features = patients(80)
    worst = 0.5
    model = fit_radiomics(cases, features).survival["os"]
    assert model is not None
    assert model.penalizer == 1.0
    worst = np.inf
    assert fit_radiomics(cases, features).survival["os"] is None


def test_a_cohort_without_patients_has_no_figures_and_stops_nothing(tmp_path: Path) -> None:
    """A federation's folder needs no external site."""
    sites = labelled_sites(tmp_path, {"a": 4})
    data = FederationData(tuple(sites), None, PLAN.seed, PLAN.training_fraction)
    found = evaluate_radiomics(data, PLAN, resamples=2, seed=0)
    assert found.metrics["external"]["os_c_index"].n == 0
    assert found.metrics["external"]["os_c_index"].value is None
    assert len(found.predictions["training"]) > 0
