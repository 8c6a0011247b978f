"""The federation on a real table: it finds what the Cox model finds with all rows in one place."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lifelines import CoxPHFitter
from lifelines.utils import concordance_index
from numpy.typing import NDArray
from scipy.stats import spearmanr

from client.batches import collate
from client.cohort import PreparedCase
from client.evaluation import predict_cases
from client.site import Site
from client.split import split_cases
from server.averaging import RunningAverage
from server.checkpoint import Checkpoint
from server.federation import FederationSettings
from server.terms import Patience, Terms
from shared.judgement import Judgement
from shared.losses.multitask import LossSettings, multitask_loss, targets_from_labels
from shared.metrics.bootstrap import c_index_estimate, site_resamples
from shared.model import WINSOR, ModelSettings
from shared.plan import OptimisationSettings, Plan, new_model
from shared.protocol import Update
from shared.tasks import TASKS
from shared.weights import Weights, weights_of
from simulation.evaluation import load_model
from simulation.federate import federate
from simulation.settings import RuntimeSettings
from tests.simulation.tabular import VARIABLES, lung_sites, lung_table

HAZARD, COX = LossSettings(), LossSettings(survival="cox")
# A batch holds a whole site: the partial likelihood compares all its patients.
OPTIMISATION = OptimisationSettings(batch_size=64)
PLAN = Plan(
    model=ModelSettings(trunk="none", clinical_variables=VARIABLES), optimisation=OPTIMISATION
)
RESAMPLES = 1000
CPU = torch.device("cpu")

Values = NDArray[np.float64]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return lung_table()


@pytest.fixture(scope="module")
def sites(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> list[Site]:
    return lung_sites(table, tmp_path_factory.mktemp("lung"))


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
    weights = run(sites, replace(PLAN, rounds=1), tmp_path).weights
    training = rows_of(table, cohort(sites, "training")[0])[list(VARIABLES)]
    v = len(VARIABLES)
    np.testing.assert_allclose(weights["standardise.mean"][-v:], training.mean(), rtol=1e-5)
    np.testing.assert_allclose(
        weights["standardise.deviation"][-v:], training.std(ddof=0), rtol=1e-5
    )
    expected = 0.9 * training.corr().to_numpy() + 0.1 * np.eye(v)
    np.testing.assert_allclose(weights["standardise.correlation"][-v:, -v:], expected, atol=1e-5)


@pytest.mark.parametrize("loss", [HAZARD, COX], ids=["logistic_hazard", "cox"])
def test_the_federation_reaches_the_pooled_cox_model(
    table: pd.DataFrame, sites: list[Site], tmp_path: Path, loss: LossSettings
) -> None:
    """On patients trained on and on others, by lifelines' C-index and by the project's.

    The interval alone would be lenient: the risks must also rank patients alike, and chance,
    where the heads begin, must lie outside where the patients are those trained on.
    """
    plan = replace(PLAN, loss=loss)
    checkpoint = run(sites, plan, tmp_path)
    model = load_model(plan, checkpoint.weights)
    cox = pooled_cox(rows_of(table, cohort(sites, "training")[0]))
    for part in ("training", "internal"):
        cases, names = cohort(sites, part)
        rows = rows_of(table, cases)
        pooled = cox.predict_log_partial_hazard(rows).to_numpy()
        ours = predict_cases(model, plan, cases, names, CPU).os
        low, high = bootstrap_interval(rows, pooled)
        assert low <= concordance_index(rows["months"], -ours.risk, rows["event"]) <= high
        assert spearmanr(ours.risk, pooled).statistic > 0.9
        within = c_index_estimate(rows["months"], rows["event"], pooled, names)
        own = c_index_estimate(ours.months, ours.event, ours.risk, names)
        assert within.ci95 is not None and own.value is not None
        assert within.ci95[0] <= own.value <= within.ci95[1]
        print(part, low, high, concordance_index(rows["months"], -ours.risk, rows["event"]), concordance_index(rows["months"], -pooled, rows["event"]), spearmanr(ours.risk, pooled).statistic, within, own)
        if part == "training":
            assert low > 0.5
    assert checkpoint.history[-1]["metrics"]["os_c_index"] == pytest.approx(own.value)
