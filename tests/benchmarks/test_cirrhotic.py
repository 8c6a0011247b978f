"""The third synthetic cohort: tumours in livers of all degrees of cirrhosis."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import SimpleITK
from lifelines.utils import concordance_index
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, gaussian_filter
from sklearn.metrics import roc_auc_score

from client.cohort import prepare_site
from shared.preprocessing import PreprocessingSettings
from shared.tasks import LABEL_COLUMNS, LIVER_LABEL, PHASES, TUMOUR_LABEL
from simulation.cohort.folder import find_sites, read_truth
from simulation.cohort.render import Scan
from tests.benchmarks.cirrhotic.patients import enrol
from tests.benchmarks.cirrhotic.render import render
from tests.benchmarks.cirrhotic.sites import SITES
from tests.benchmarks.cirrhotic.write import write_cirrhotic

# Two sites with two patients each; of this seed's, one lacks a phase.
FEW = (replace(SITES[1], patients=2), replace(SITES[5], patients=2))
SEED = 4
ROUGHNESS_MM = 4


@pytest.fixture(scope="module")
def small_cirrhotic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cirrhotic(SEED, tmp_path_factory.mktemp("cirrhotic") / "cohort", FEW)


def voxels(path: Path) -> NDArray[np.integer[Any]]:
    image = SimpleITK.ReadImage(str(path))
    return np.asarray(SimpleITK.GetArrayFromImage(image))


def roughness(scan: Scan) -> float:
    """Return what smoothing changes of the liver, in voxels for each voxel of its surface."""
    inside: NDArray[np.bool_] = scan.mask > 0
    sigma = [ROUGHNESS_MM / spacing_mm for spacing_mm in scan.spacing_mm[::-1]]
    smooth = gaussian_filter(inside.astype(np.float32), sigma) > 0.5
    surface = inside & ~binary_erosion(inside)
    return float((inside != smooth).sum() / surface.sum())


def test_the_folder_follows_the_contract(small_cirrhotic: Path) -> None:
    found = find_sites(small_cirrhotic)
    assert [site.name for site in found.training] == ["site_2"]
    assert found.external is not None
    assert found.truth_csv is not None
    truth = read_truth(found.truth_csv)
    assert len(truth) == 4
    missing = []
    for site, enrolment in zip((*found.training, found.external), enrol(SEED, FEW), strict=True):
        table = pd.read_csv(site.path / "clinical.csv")
        assert list(table.columns) == ["patient_id", *LABEL_COLUMNS]
        assert set(table["patient_id"]) == {patient.patient_id for patient in enrolment.patients}
        for patient in enrolment.patients:
            assert (site.name, patient.patient_id) in truth
            taken = [phase for phase in PHASES if phase != patient.missing_phase]
            files = {"mask.nii.gz", *(f"{phase}.nii.gz" for phase in taken)}
            folder = site.path / patient.patient_id
            assert {path.name for path in folder.iterdir()} == files
            missing.append(patient.missing_phase)
    assert missing == ["arterial", None, None, None]
    assert [path.name for path in small_cirrhotic.parent.iterdir()] == [small_cirrhotic.name]


def test_volumes_look_like_ct(small_cirrhotic: Path) -> None:
    for mask_path in small_cirrhotic.glob("*/*/mask.nii.gz"):
        mask = SimpleITK.ReadImage(str(mask_path))
        labels = SimpleITK.GetArrayFromImage(mask)
        assert set(np.unique(labels)) == {0, LIVER_LABEL, TUMOUR_LABEL}
        litres = (labels > 0).sum() * np.prod(mask.GetSpacing()) / 1e6
        assert 0.6 < litres < 3.0
        for path in set(mask_path.parent.iterdir()) - {mask_path}:
            image = SimpleITK.ReadImage(str(path))
            assert image.GetSpacing() == mask.GetSpacing()
            assert image.GetOrigin() == mask.GetOrigin()
            volume_hu = SimpleITK.GetArrayFromImage(image)
            assert volume_hu.dtype == np.int16
            assert volume_hu.shape == labels.shape
            assert abs(np.median(volume_hu[:, 0, 0]) + 1000) < 20
            assert 30 < np.median(volume_hu[labels == LIVER_LABEL]) < 160


@pytest.mark.parametrize("name", ["site_2", "external"])
def test_nobody_is_set_aside(small_cirrhotic: Path, tmp_path: Path, name: str) -> None:
    site = small_cirrhotic / name
    prepared = prepare_site(site, PreprocessingSettings(), tmp_path, workers=1, progress=False)
    assert len(prepared.cases) == 2
    assert not prepared.set_aside


def test_a_cohort_that_is_there_is_not_written_again(small_cirrhotic: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in small_cirrhotic.rglob("*")}
    assert write_cirrhotic(SEED + 1, small_cirrhotic, FEW) == small_cirrhotic
    assert {path: path.stat().st_mtime_ns for path in small_cirrhotic.rglob("*")} == before


def test_a_seed_says_who_the_patients_are() -> None:
    first, again, other = (enrol(seed, FEW) for seed in (SEED, SEED, SEED + 1))
    for one, same, another in zip(first, again, other, strict=True):
        pd.testing.assert_frame_equal(one.clinical, same.clinical)
        pd.testing.assert_frame_equal(one.truth, same.truth)
        assert one.patients == same.patients
        assert not one.truth.equals(another.truth)


def test_a_small_site_has_the_first_patients_of_a_large_one() -> None:
    few, many = enrol(SEED, FEW[:1]), enrol(SEED, SITES[1:2])
    assert few[0].patients == many[0].patients[:2]


def test_a_scan_is_the_same_wherever_it_is_made(small_cirrhotic: Path) -> None:
    enrolment = enrol(SEED, FEW)[0]
    patient = enrolment.patients[0]
    scan = render(patient, enrolment.site)
    folder = small_cirrhotic / enrolment.site.name / patient.patient_id
    np.testing.assert_array_equal(voxels(folder / "mask.nii.gz"), scan.mask)
    for phase, volume_hu in scan.phases.items():
        np.testing.assert_array_equal(voxels(folder / f"{phase}.nii.gz"), volume_hu)


def test_the_true_risk_orders_the_labels() -> None:
    sites = enrol(1)
    patients = pd.concat([site.clinical.merge(site.truth, on="patient_id") for site in sites])
    assert len(patients) == 388
    for task, floor in (("os", 0.77), ("rfs", 0.70)):
        months, event = patients[f"{task}_months"], patients[f"{task}_event"]
        assert concordance_index(months, -patients[f"{task}_log_hazard"], event) > floor
        assert 0.4 < event.mean() < 0.75
    assert (patients["rfs_months"] <= patients["os_months"]).all()
    known = patients.dropna(subset="mvi")
    assert 0.9 < len(known) / len(patients) < 1
    assert 0.3 < known["mvi"].mean() < 0.5
    assert roc_auc_score(known["mvi"].astype(int), known["mvi_probability"]) > 0.83


def test_a_cirrhotic_liver_is_rougher_than_a_healthy_one() -> None:
    for enrolment in enrol(SEED, FEW):
        for patient in enrolment.patients:
            healthy, ill = (
                roughness(render(replace(patient, traits=traits), enrolment.site))
                for traits in (
                    replace(patient.traits, cirrhosis=0.05),
                    replace(patient.traits, cirrhosis=0.95),
                )
            )
            assert ill > 1.15 * healthy
