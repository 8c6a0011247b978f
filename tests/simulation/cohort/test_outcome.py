"""What the truth allows, on 5,000 drawn patients of the default federation."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from lifelines.utils import concordance_index
from sklearn.metrics import f1_score, precision_recall_curve
from sksurv.metrics import concordance_index_censored

from simulation.cohort.patient import draw_patients
from simulation.cohort.settings import SyntheticCohortSettings
from simulation.cohort.signs import standardise

PATIENTS = 5000


@pytest.fixture(scope="module")
def drawn(default_settings: SyntheticCohortSettings) -> pd.DataFrame:
    share = PATIENTS / sum(default_settings.patients.values())
    patients = {site: round(n * share) for site, n in default_settings.patients.items()}
    settings = replace(default_settings, seed=7, patients=patients)
    rows = []
    for patient in draw_patients(settings):
        labels, risk = patient.labels, patient.risk
        assert labels.os is not None
        rows.append(
            {
                "patient_id": patient.patient_id,
                "site": patient.site,
                **vars(risk),
                "mvi": None if labels.mvi is None else float(labels.mvi),
                "os_months": labels.os.months,
                "os_event": labels.os.event,
                "rfs_months": None if labels.rfs is None else labels.rfs.months,
                "rfs_event": None if labels.rfs is None else float(labels.rfs.event),
                **{f"sign_{name}": value for name, value in standardise(patient.signs).items()},
            }
        )
    return pd.DataFrame(rows)


def c_index(table: pd.DataFrame, task: str, risk: str) -> float:
    known = table.dropna(subset=[f"{task}_months"])
    return float(concordance_index(known[f"{task}_months"], -known[risk], known[f"{task}_event"]))


def same_site_c_index(table: pd.DataFrame, task: str, risk: str) -> float:
    """Add up scikit-survival's counts of each site's pairs."""
    concordant = comparable = 0
    for _, site in table.dropna(subset=[f"{task}_months"]).groupby("site"):
        event = site[f"{task}_event"].astype(bool)
        _, *counts = concordance_index_censored(event, site[f"{task}_months"], site[risk])
        concordant += counts[0] + counts[2] / 2
        comparable += sum(counts[:3])
    return concordant / comparable


def test_true_risk_ranks_survival_as_designed(drawn: pd.DataFrame) -> None:
    assert len(drawn) == pytest.approx(PATIENTS, abs=5)
    for count in (c_index, same_site_c_index):
        assert count(drawn, "os", "os_log_hazard") == pytest.approx(0.83, abs=0.02)
        assert count(drawn, "rfs", "rfs_log_hazard") == pytest.approx(0.79, abs=0.02)


def test_true_probability_calls_mvi_as_designed(drawn: pd.DataFrame) -> None:
    known = drawn.dropna(subset=["mvi"])
    precision, recall, thresholds = precision_recall_curve(known["mvi"], known["mvi_probability"])
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    called = known["mvi_probability"] >= thresholds[int(np.argmax(f1[:-1]))]
    assert f1_score(known["mvi"], called) == pytest.approx(0.80, abs=0.02)


def test_probabilities_of_mvi_are_calibrated(drawn: pd.DataFrame) -> None:
    known = drawn.dropna(subset=["mvi"])
    tenth = pd.qcut(known["mvi_probability"], 10)
    groups = known.groupby(tenth, observed=True)[["mvi", "mvi_probability"]].mean()
    np.testing.assert_allclose(groups["mvi"], groups["mvi_probability"], atol=0.06)


def test_no_single_sign_comes_near_the_truth(drawn: pd.DataFrame) -> None:
    signs = [name for name in drawn if str(name).startswith("sign_")]
    alone = [max(value, 1 - value) for value in (c_index(drawn, "os", str(s)) for s in signs)]
    assert max(alone) < 0.70
    assert sum(value > 0.55 for value in alone) >= 6


def test_outcomes_are_coherent(drawn: pd.DataFrame) -> None:
    known = drawn.dropna(subset=["rfs_months"])
    assert (known["rfs_months"] <= known["os_months"]).all()
    assert (drawn["os_months"] > 0).all()
    # A death, with or without a recurrence before it, ends recurrence-free survival.
    assert (known.loc[known["os_event"], "rfs_event"] == 1).all()
    # Who is free of events is censored for both at the same time.
    free = known[known["rfs_event"] == 0]
    assert (free["rfs_months"] == free["os_months"]).all()


def test_sites_differ_as_real_ones_do(drawn: pd.DataFrame) -> None:
    sites = drawn.groupby("site")
    prevalence, deaths = sites["mvi"].mean(), sites["os_event"].mean()
    known = sites["mvi"].apply(lambda column: column.notna().mean())
    assert known["site_5"] < 0.3 < 0.7 < known.drop("site_5").min()
    assert prevalence["site_1"] < 0.32
    assert prevalence["site_4"] > 0.45
    assert deaths["site_3"] < 0.3 < 0.45 < deaths["site_5"]
    assert sites["os_months"].median()["site_5"] < 12 < sites["os_months"].median()["site_1"]


def test_patient_codes_are_unique_and_tell_no_order(drawn: pd.DataFrame) -> None:
    assert drawn["patient_id"].is_unique
    codes = drawn.loc[drawn["site"] == "site_1", "patient_id"]
    assert codes.str.startswith("S1-").all()
    position = np.arange(len(codes))
    assert abs(np.corrcoef(position, codes.rank())[0, 1]) < 0.1
