import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import SimpleITK

from shared.tasks import PHASES
from simulation.cohort.folder import find_sites, read_truth
from simulation.cohort.patient import draw_patients
from simulation.cohort.settings import SyntheticCohortSettings
from simulation.cohort.writer import CohortWriterError, write_cohort

CLINICAL = ["patient_id", "mvi", "rfs_months", "rfs_event", "os_months", "os_event"]


def files_of(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def patients_of(root: Path) -> list[Path]:
    return sorted(path.parent for path in root.glob("*/*/mask.nii.gz"))


def test_the_folder_follows_the_contract(
    small_cohort: Path, small_settings: SyntheticCohortSettings
) -> None:
    found = find_sites(small_cohort)
    assert [site.name for site in found.training] == ["site_1", "site_3", "site_5"]
    assert found.external is not None
    assert found.truth_csv is not None
    truth = read_truth(found.truth_csv)
    for site in (*found.training, found.external):
        table = pd.read_csv(site.path / "clinical.csv")
        assert list(table.columns) == CLINICAL
        assert len(table) == small_settings.patients[site.name]
        folders = {path.name for path in site.path.iterdir() if path.is_dir()}
        assert set(table["patient_id"]) == folders
        assert {(site.name, patient) for patient in folders} <= set(truth)
    assert len(truth) == sum(small_settings.patients.values())
    allowed = {f"{phase}.nii.gz" for phase in PHASES} | {"mask.nii.gz"}
    for folder in patients_of(small_cohort):
        names = {path.name for path in folder.iterdir()}
        assert "mask.nii.gz" in names
        assert 2 <= len(names) <= 4
        assert names <= allowed


def test_tables_hold_what_was_drawn(
    small_cohort: Path, small_settings: SyntheticCohortSettings
) -> None:
    truth = read_truth(small_cohort / "truth.csv")
    for patient in draw_patients(small_settings):
        row = pd.read_csv(small_cohort / patient.site / "clinical.csv", index_col="patient_id")
        cells = row.loc[patient.patient_id]
        assert patient.labels.os is not None
        assert cells["os_months"] == pytest.approx(patient.labels.os.months)
        assert cells["os_event"] == patient.labels.os.event
        assert (patient.labels.mvi is None) == bool(np.isnan(cells["mvi"]))
        assert (patient.labels.rfs is None) == bool(np.isnan(cells["rfs_months"]))
        written = truth[patient.site, patient.patient_id]
        assert written.os_log_hazard == pytest.approx(patient.risk.os_log_hazard, abs=1e-5)


def test_volumes_are_hounsfield_units_on_the_grid_of_their_mask(small_cohort: Path) -> None:
    for folder in patients_of(small_cohort):
        mask = SimpleITK.ReadImage(str(folder / "mask.nii.gz"))
        labels = SimpleITK.GetArrayFromImage(mask)
        assert set(np.unique(labels)) == {0, 1, 2}
        for path in folder.glob("[!m]*.nii.gz"):
            image = SimpleITK.ReadImage(str(path))
            assert image.GetPixelID() == SimpleITK.sitkInt16
            assert image.GetSize() == mask.GetSize()
            assert image.GetOrigin() == mask.GetOrigin()
            assert image.GetSpacing() == mask.GetSpacing()
            volume = SimpleITK.GetArrayFromImage(image)
            assert volume.min() < -900
            assert volume.max() > 250
            assert 20 < np.median(volume[labels == 1]) < 160


def test_the_patient_lies_as_patients_do(small_cohort: Path) -> None:
    for folder in patients_of(small_cohort):
        header = nibabel.load(folder / "mask.nii.gz")
        assert nibabel.aff2axcodes(header.affine) == ("L", "P", "S")
        image = SimpleITK.ReadImage(str(folder / "mask.nii.gz"))
        middle = np.array(image.TransformContinuousIndexToPhysicalPoint(
            [(size - 1) / 2 for size in image.GetSize()]
        ))  # fmt: skip
        liver = _centre_lps(image > 0)
        assert liver[0] < middle[0] - 20  # on the patient's right
        volume = SimpleITK.ReadImage(str(next(folder.glob("[!m]*.nii.gz"))))
        bone = _centre_lps(volume > 350)
        assert bone[1] > middle[1] + 20  # the spine is behind
        lung = SimpleITK.GetArrayFromImage(volume) < -600
        inner = lung[:, lung.shape[1] // 3 : -lung.shape[1] // 3, :]
        assert inner[-3:].mean() > inner[:3].mean() + 0.1  # lung is at the top


def _centre_lps(mask: SimpleITK.Image) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    shape = SimpleITK.LabelShapeStatisticsImageFilter()
    shape.Execute(mask)
    return np.array(shape.GetCentroid(1))


def test_any_number_of_workers_writes_the_same_bytes(
    small_cohort: Path, small_settings: SyntheticCohortSettings, tmp_path: Path
) -> None:
    again = write_cohort(small_settings, tmp_path, workers=1)
    assert again.name == small_cohort.name
    assert files_of(again) == files_of(small_cohort)


def test_a_whole_cohort_is_left_alone(
    small_cohort: Path, small_settings: SyntheticCohortSettings
) -> None:
    before = {path: path.stat().st_mtime_ns for path in small_cohort.rglob("*")}
    assert write_cohort(small_settings, small_cohort.parent, workers=2) == small_cohort
    assert {path: path.stat().st_mtime_ns for path in small_cohort.rglob("*")} == before


def test_a_partial_cohort_is_completed(
    small_cohort: Path, small_settings: SyntheticCohortSettings, tmp_path: Path
) -> None:
    broken = tmp_path / small_cohort.name
    shutil.copytree(small_cohort, broken)
    lost, kept = patients_of(broken)[0], patients_of(broken)[1]
    shutil.rmtree(lost)
    (broken / "cohort.json").unlink()
    leftover = lost.with_name(f".{lost.name}.1.partial")
    leftover.mkdir()
    untouched = (kept / "mask.nii.gz").stat().st_mtime_ns
    write_cohort(small_settings, tmp_path, workers=2)
    assert files_of(broken) == files_of(small_cohort)
    assert (kept / "mask.nii.gz").stat().st_mtime_ns == untouched
    assert not leftover.exists()


def test_other_settings_go_to_another_folder(
    small_cohort: Path, small_settings: SyntheticCohortSettings
) -> None:
    other = replace(small_settings, seed=small_settings.seed + 1, patients={"site_1": 1})
    root = write_cohort(other, small_cohort.parent, workers=1)
    assert root != small_cohort
    assert root.parent == small_cohort.parent
    manifest = json.loads((root / "cohort.json").read_text())
    assert manifest["settings"]["patients"] == {"site_1": 1}
    assert manifest["fingerprint"].startswith(root.name.removeprefix("synthetic-"))


def test_a_failing_worker_is_told(
    small_settings: SyntheticCohortSettings,
    small_cohort: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    root = tmp_path / small_cohort.name
    root.mkdir()
    (root / "site_1").write_text("a file where a site's folder must go")
    with pytest.raises(CohortWriterError, match="a patient could not be written"):
        write_cohort(small_settings, tmp_path, workers=2)
    assert "site_1" in capfd.readouterr().err
