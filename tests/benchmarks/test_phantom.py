"""The second synthetic cohort."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK
from lifelines.utils import concordance_index
from sklearn.metrics import roc_auc_score

from shared.tasks import LABEL_COLUMNS, LIVER_LABEL, PHASES, TUMOUR_LABEL
from simulation.cohort.folder import find_sites, read_truth
from tests.benchmarks.phantom.patients import enrol
from tests.benchmarks.phantom.sites import SITES
from tests.benchmarks.phantom.write import write_phantom

# Twice the site with the smallest volumes, with two patients each.
FEW = (
    replace(SITES[3], patients=2),
    replace(SITES[3], name="external", code="EX", patients=2),
)


@pytest.fixture(scope="module")
def small_phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantom(1, tmp_path_factory.mktemp("phantom") / "cohort", FEW)


def test_the_folder_follows_the_contract(small_phantom: Path) -> None:
    found = find_sites(small_phantom)
    assert [site.name for site in found.training] == ["site_4"]
    assert found.external is not None
    assert found.truth_csv is not None
    truth = read_truth(found.truth_csv)
    assert len(truth) == 4
    files = {"mask.nii.gz", *(f"{phase}.nii.gz" for phase in PHASES)}
    for site in (*found.training, found.external):
        table = pd.read_csv(site.path / "clinical.csv")
        assert list(table.columns) == ["patient_id", *LABEL_COLUMNS]
        for patient in table["patient_id"]:
            assert (site.name, patient) in truth
            assert {path.name for path in (site.path / patient).iterdir()} == files
    assert [path.name for path in small_phantom.parent.iterdir()] == [small_phantom.name]


def test_volumes_look_like_ct(small_phantom: Path) -> None:
    for folder in (path.parent for path in small_phantom.glob("*/*/mask.nii.gz")):
        mask = SimpleITK.ReadImage(str(folder / "mask.nii.gz"))
        labels = SimpleITK.GetArrayFromImage(mask)
        assert labels.shape == (32, 144, 144)
        assert set(np.unique(labels)) == {0, LIVER_LABEL, TUMOUR_LABEL}
        litres = (labels > 0).sum() * np.prod(mask.GetSpacing()) / 1e6
        assert 0.8 < litres < 3.0
        liver_hu = {}
        for phase in PHASES:
            image = SimpleITK.ReadImage(str(folder / f"{phase}.nii.gz"))
            assert image.GetSpacing() == mask.GetSpacing()
            assert image.GetOrigin() == mask.GetOrigin()
            volume_hu = SimpleITK.GetArrayFromImage(image)
            assert volume_hu.dtype == np.int16
            assert abs(np.median(volume_hu[:, 0, 0]) + 1000) < 20
            liver_hu[phase] = np.median(volume_hu[labels == LIVER_LABEL])
        assert 30 < liver_hu["arterial"] < liver_hu["portal_venous"] < 160


def test_a_cohort_that_is_there_is_not_written_again(small_phantom: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in small_phantom.rglob("*")}
    assert write_phantom(2, small_phantom, FEW) == small_phantom
    assert {path: path.stat().st_mtime_ns for path in small_phantom.rglob("*")} == before


def test_the_true_risk_orders_the_labels() -> None:
    sites = enrol(1)
    patients = pd.concat([site.clinical.merge(site.truth, on="patient_id") for site in sites])
    assert len(patients) == 388
    for task, floor in (("os", 0.73), ("rfs", 0.70)):
        months, event = patients[f"{task}_months"], patients[f"{task}_event"]
        assert concordance_index(months, -patients[f"{task}_log_hazard"], event) > floor
    assert (patients["rfs_months"] <= patients["os_months"]).all()
    known = patients.dropna(subset="mvi")
    assert 0.85 < len(known) / len(patients) < 0.95
    assert roc_auc_score(known["mvi"].astype(int), known["mvi_probability"]) > 0.80


def test_a_seed_says_who_the_patients_are() -> None:
    first, again, other = (enrol(seed, FEW) for seed in (1, 1, 2))
    for one, same, another in zip(first, again, other, strict=True):
        pd.testing.assert_frame_equal(one.clinical, same.clinical)
        pd.testing.assert_frame_equal(one.truth, same.truth)
        assert one.patients == same.patients
        assert not one.truth.equals(another.truth)
