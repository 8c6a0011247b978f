"""The federation on a real table: it finds what the Cox model finds with all rows in one place."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lifelines import CoxPHFitter, KaplanMeierFitter
from lifelines.utils import concordance_index
from numpy.typing import NDArray
from scipy.stats import spearmanr

from client.cases import PreparedCase
from client.evaluation import predict_cases
from client.site import Site
from client.split import split_cases
from server.checkpoint import Checkpoint
from server.federation import FederationSettings
from server.terms import Patience, Terms
from shared.losses.multitask import LossSettings
from shared.metrics.bootstrap import c_index_estimate, site_resamples
from shared.model import WINSOR, ModelSettings
from shared.plan import OptimisationSettings, Plan
from shared.weights import Weights
from simulation.evaluation import load_model
from simulation.federate import federate
from simulation.settings import RuntimeSettings
from tests.simulation.small_sites import NO_AUGMENTATION
from tests.simulation.tabular import VARIABLES, lung_sites, lung_table

HAZARD, COX = LossSettings(), LossSettings(survival="cox")
# A batch holds a whole site once, as the partial likelihood compares all its patients: an epoch
# is one step, and a round has five. No penalty: the Cox model that is compared has none either.
OPTIMISATION = OptimisationSettings(
    local_steps=0,
    local_epochs=5,
    batch_size=48,
    head_learning_rate=0.5,
    shared_ridge=0.0,
    own_ridge=0.0,
)
PLAN = Plan(
    rounds=15,
    model=ModelSettings(trunk="none", clinical_variables=VARIABLES),
    optimisation=OPTIMISATION,
    augmentation=NO_AUGMENTATION,  # there is no image to change
)
RESAMPLES = 1000
CHANCE = 0.5
GRADIENT_STEPS = 60
CPU = torch.device("cpu")

Values = NDArray[np.float64]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return lung_table()


@pytest.fixture(scope="module")
def sites(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> list[Site]:
    return lung_sites(table, tmp_path_factory.mktemp("lung"))


def telling_all(sites: Sequence[Site]) -> list[Site]:
    """Return sites that withhold nothing, whose sums are those of the whole table."""
    return [replace(site, minimum_count=1) for site in sites]


def run(sites: Sequence[Site], plan: Plan, state_dir: Path) -> Checkpoint:
    terms = Terms(patience=Patience(minimum_sites=len(sites), attempts=1, gathering_s=0.0))
    return federate(sites, FederationSettings(plan, state_dir, terms), RuntimeSettings())


def cohort(sites: Sequence[Site], part: str) -> tuple[list[PreparedCase], list[str]]:
    """Return the training or internal patients of all sites, and each one's site."""
    split = [(s.name, split_cases(s.cases, PLAN.seed, PLAN.training_fraction)) for s in sites]
    cases = [case for _, own in split for case in getattr(own, part)]
    return cases, [name for name, own in split for _ in getattr(own, part)]


def rows_of(table: pd.DataFrame, cases: Sequence[PreparedCase]) -> pd.DataFrame:
    return table.loc[[case.patient_id for case in cases]]


def pooled_cox(training: pd.DataFrame) -> CoxPHFitter:
    columns = [*VARIABLES, "months", "event"]
    return CoxPHFitter().fit(training[columns], duration_col="months", event_col="event")


def bootstrap_interval(rows: pd.DataFrame, risk: Values) -> tuple[float, float]:
    """Return the 95% interval of lifelines' C-index, patients resampled within their sites."""
    drawn = site_resamples(list(rows["site"]), resamples=RESAMPLES, seed=0).astype(int)
    months, event = rows["months"].to_numpy(), rows["event"].to_numpy()
    index = [np.repeat(np.arange(len(rows)), times) for times in drawn]
    values = [concordance_index(months[i], -risk[i], event[i]) for i in index]
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def test_the_table_is_a_federation(table: pd.DataFrame, sites: list[Site]) -> None:
    assert len(table) == 209
    assert [len(site.cases) for site in sites] == [33, 18, 21, 17, 13, 17, 17, 14, 59]
    known = [dict(case.clinical) for site in sites for case in site.cases]
    assert all(tuple(row) == VARIABLES for row in known)


def test_sites_sums_standardise_as_the_whole_table_would(
    table: pd.DataFrame, sites: list[Site], tmp_path: Path
) -> None:
    weights = run(telling_all(sites), replace(PLAN, rounds=1), tmp_path).weights
    training = rows_of(table, cohort(sites, "training")[0])[list(VARIABLES)]
    v = len(VARIABLES)
    np.testing.assert_allclose(weights["standardise.mean"][-v:], training.mean(), rtol=1e-5)
    np.testing.assert_allclose(
        weights["standardise.deviation"][-v:], training.std(ddof=0), rtol=1e-5
    )
    expected = 0.9 * training.corr().to_numpy() + 0.1 * np.eye(v)
    np.testing.assert_allclose(weights["standardise.correlation"][-v:, -v:], expected, atol=1e-5)


def agreement(
    table: pd.DataFrame, sites: Sequence[Site], plan: Plan, weights: Weights, part: str
) -> float:
    """Compare the federation's risks with the pooled Cox model's on some of the patients.

    By lifelines' C-index over all pairs, and by the project's over pairs of one site. Returns
    the rank correlation of the two: intervals alone are lenient.
    """
    cases, names = cohort(sites, part)
    rows = rows_of(table, cases)
    cox = pooled_cox(rows_of(table, cohort(sites, "training")[0]))
    pooled = cox.predict_log_partial_hazard(rows).to_numpy()
    ours = predict_cases(load_model(plan, weights), plan, cases, names, CPU).os
    low, high = bootstrap_interval(rows, pooled)
    assert low > CHANCE
    assert low <= concordance_index(rows["months"], -ours.risk, rows["event"]) <= high
    within = c_index_estimate(rows["months"], rows["event"], pooled, names)
    own = c_index_estimate(ours.months, ours.event, ours.risk, names)
    assert within.ci95 is not None
    assert own.value is not None
    assert within.ci95[0] <= own.value <= within.ci95[1]
    return float(spearmanr(ours.risk, pooled).statistic)


@pytest.mark.parametrize("loss", [HAZARD, COX], ids=["logistic_hazard", "cox"])
def test_the_federation_reaches_the_pooled_cox_model(
    table: pd.DataFrame, sites: list[Site], tmp_path: Path, loss: LossSettings
) -> None:
    plan = replace(PLAN, loss=loss)
    weights = run(sites, plan, tmp_path).weights
    for part in ("training", "internal"):
        assert agreement(table, sites, plan, weights, part) > 0.95


def test_predicted_curves_come_to_lie_where_kaplan_and_meier_put_them(
    table: pd.DataFrame, sites: list[Site], tmp_path: Path
) -> None:
    """In the default's thirty rounds; at the weights' own rate they end up to 0.37 away."""
    plan = replace(PLAN, rounds=30, optimisation=OptimisationSettings(shared_ridge=0, own_ridge=0))
    weights = run(sites, plan, tmp_path).weights
    cases, names = cohort(sites, "training")
    curves = predict_cases(load_model(plan, weights), plan, cases, names, CPU).os.survival
    rows = rows_of(table, cases)
    observed = KaplanMeierFitter().fit(rows["months"], rows["event"])
    edges = [edge for edge in plan.time_grid.edges_months if edge <= 24]
    expected = observed.survival_function_at_times(edges).to_numpy()
    np.testing.assert_allclose(curves.mean(axis=0)[: len(edges)], expected, atol=0.05)


def test_it_does_so_where_two_sites_lack_a_column(table: pd.DataFrame, tmp_path: Path) -> None:
    """The largest institution and the small ones, 92 of 209 patients, do not know weight loss."""
    lacking = ("institution_1", "small_institutions")
    sites = lung_sites(table, tmp_path, withheld=lacking)
    weights = run(sites, PLAN, tmp_path / "state").weights
    known = [case for s in sites if s.name not in lacking for case in s.cases]
    training = [case for case in cohort(sites, "training")[0] if case in known]
    mean = rows_of(table, training)["wt.loss"].mean()
    assert weights["standardise.mean"][-1] == pytest.approx(mean, rel=1e-5)
    for part in ("training", "internal"):
        agreement(table, sites, PLAN, weights, part)


def test_the_judgement_is_the_c_index_of_the_sites_rows(sites: list[Site], tmp_path: Path) -> None:
    checkpoint = run(telling_all(sites), replace(PLAN, rounds=3), tmp_path)
    cases, names = cohort(sites, "internal")
    rows = predict_cases(load_model(PLAN, checkpoint.weights), PLAN, cases, names, CPU).os
    expected = c_index_estimate(rows.months, rows.event, rows.risk, names).value
    assert checkpoint.history[-1]["metrics"]["os_c_index"] == pytest.approx(expected)


def test_one_full_batch_step_a_round_finds_the_stratified_coefficients(
    table: pd.DataFrame, sites: list[Site], tmp_path: Path
) -> None:
    """With one plain gradient step of rate e at each site a round, FedAvg is gradient descent.

    Site i, of n_i patients, all labelled, has the mean loss L_i / n_i, where L_i is the negative
    log partial likelihood among its own patients. The average by patients of the w - e
    grad(L_i) / n_i is w - e grad(sum L_i) / N: the step of the likelihood stratified by site,
    whose maximum is what lifelines finds. The risk is the sum of the part that all tasks share
    and of the task's own; both get the same gradient.
    """
    step = replace(
        OPTIMISATION,
        local_epochs=1,
        head_learning_rate=0.7,
        final_learning_rate=1.0,
        max_grad_norm=1e6,
    )
    loss = LossSettings(survival="cox", mvi_weight=0.0, rfs_weight=0.0)
    plan = replace(PLAN, rounds=GRADIENT_STEPS, loss=loss, optimisation=step)
    weights = run(telling_all(sites), plan, tmp_path).weights
    found = (weights["heads.shared_risk.weight"] + weights["heads.os.risk.weight"])[0]
    expected = stratified_cox(table, cohort(sites, "training")[0])
    assert np.abs(expected).max() > 0.2
    np.testing.assert_allclose(found[-len(VARIABLES) :], expected, rtol=0, atol=1e-4)


def stratified_cox(table: pd.DataFrame, cases: Sequence[PreparedCase]) -> Values:
    """Return lifelines' coefficients on standardised variables, stratified by site."""
    rows = rows_of(table, cases)
    raw = rows[list(VARIABLES)]
    columns = raw.sub(raw.mean()).div(raw.std(ddof=0)).clip(-WINSOR, WINSOR)
    frame = columns.assign(site=rows["site"], months=rows["months"], event=rows["event"])
    fitter = CoxPHFitter().fit(frame, duration_col="months", event_col="event", strata=["site"])
    return np.asarray(fitter.params_[list(VARIABLES)], dtype=np.float64)
