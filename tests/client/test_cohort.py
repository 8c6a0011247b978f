import csv
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from threadpoolctl import threadpool_info, threadpool_limits

from client.cohort import (
    SiteFolderError,
    build_region,
    prepare_site,
    write_set_aside,
)
from client.evidence.describe import measure
from client.evidence.reasons import reason_code
from client.imaging.cache import load_roi
from client.imaging.lesion import Lesion
from shared.preprocessing import PreprocessingSettings
from shared.tasks import Phase
from tests.client.imaging.dicom_files import write_segmentation, write_series
from tests.client.patients import (
    GOOD_ROW,
    ORIGIN_MM,
    SMALL,
    SPACING_MM,
    as_image,
    label_array,
    phase_array,
    prepare,
    write_clinical,
    write_good_site,
    write_patient,
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Write a site of one good patient, ``good``, and one that a test may break, ``bad``."""
    return write_good_site(tmp_path / "site", "good", "bad")


def test_the_scans_own_spacing_is_kept_with_the_region(tmp_path: Path) -> None:
    write_patient(tmp_path / "site" / "p")
    write_clinical(tmp_path / "site", {"p": GOOD_ROW})
    for _ in range(2):  # made, then from the cache
        (case,) = prepare(tmp_path / "site").cases
        # `tests.client.patients.SPACING_MM`: 2 x 2 x 4.
        assert load_roi(case.roi_path).native_spacing_mm == (2.0, 4.0)
    measured = measure(case)
    assert (measured["in_plane_spacing_mm"], measured["slice_spacing_mm"]) == (2.0, 4.0)


def test_a_good_site_is_prepared_whole(site: Path) -> None:
    prepared = prepare(site)
    assert [case.patient_id for case in prepared.cases] == ["bad", "good"]
    assert prepared.set_aside == ()
    assert prepared.cases[0].present == (True, True, True)
    assert load_roi(prepared.cases[0].roi_path).phases.shape == (3, *SMALL.shape)


def test_clinical_variables_are_kept_with_their_patients(site: Path) -> None:
    table = site / "clinical.csv"
    header, *rows = table.read_text().splitlines()
    aged = [f"{row},{age}" for row, age in zip(rows, ("63", "unknown"), strict=True)]
    table.write_text("\n".join([f"{header},age", *aged]))
    prepared = prepare_site(
        site, SMALL, site.parent / "cache", workers=1, progress=False, clinical_variables=["age"]
    )
    known = {case.patient_id: case.clinical for case in prepared.cases}
    assert known == {rows[0].split(",")[0]: (("age", 63.0),), rows[1].split(",")[0]: ()}
    assert all(case.clinical == () for case in prepare(site).cases)


def as_dicom(patient: Path) -> list[Path]:
    """Put a DICOM series in the place of the arterial file; return its slices."""
    (patient / "arterial.nii.gz").unlink()
    return write_series(
        patient / "arterial",
        phase_array("arterial", seed=9),
        spacing_mm=SPACING_MM,
        origin_mm=ORIGIN_MM.tolist(),
    )


def test_an_exact_double_is_noted_and_the_phase_is_used(site: Path) -> None:
    slices = as_dicom(site / "bad")
    shutil.copy(slices[10], site / "bad" / "arterial" / "copy.dcm")
    prepared = prepare(site)
    assert [case.present for case in prepared.cases] == [(True, True, True)] * 2
    (row,) = prepared.set_aside
    where = "(-44.0, -30.0, -40.0) mm"
    assert row.reason == f"used, though an exact double of the slice at {where} was passed over"
    assert row.file == "bad/arterial/copy.dcm"


@pytest.mark.parametrize(("missing", "used"), [(1, True), (11, False)])
def test_a_missing_slice_matters_where_the_region_is(site: Path, missing: int, used: bool) -> None:
    """The region has 40 mm around slice 11 of 4 mm: slice 1 is outside."""
    as_dicom(site / "bad")[missing].unlink()
    settings = PreprocessingSettings(shape=(8, 8, 8), spacing_mm=5.0, margin_mm=2.0)
    prepared = prepare_site(site, settings, site.parent / "cache", workers=1, progress=False)
    assert [case.present for case in prepared.cases] == [(used, True, True), (True, True, True)]
    (row,) = prepared.set_aside
    assert row.reason.startswith("used, though" if used else "used without this phase")
    assert f"between (-44.0, -30.0, {-80.0 + 4 * (missing - 1)}) mm and" in row.reason
    assert row.file == "bad/arterial"


@pytest.mark.parametrize("stray", [False, True])
def test_one_persons_images_are_used_once(site: Path, stray: bool) -> None:
    """Whatever lies beside them: a person who trains and is judged too flatters a model."""
    shutil.copytree(site / "bad", site / "twin")
    if stray:
        for patient in ("bad", "twin"):
            as_dicom(site / patient)
        (site / "twin" / "arterial" / "note.txt").write_text("second opinion")
    write_clinical(site, dict.fromkeys(("bad", "good", "twin"), GOOD_ROW))
    for _ in range(2):  # made, then from the cache
        prepared = prepare(site)
        assert [case.patient_id for case in prepared.cases] == ["bad", "good"]
        (row,) = prepared.set_aside
        assert row.patient_id == "twin"
        assert row.reason == "has the images of bad: leave one of the two"
        assert reason_code(row.reason) == "ambiguous"


def test_one_image_of_another_is_enough(site: Path) -> None:
    """A second folder with fewer phases, another outline and another scan is still one person's."""
    shutil.copytree(site / "bad", site / "twin")
    (site / "twin" / "arterial.nii.gz").unlink()
    shutil.copy(site / "good" / "delayed.nii.gz", site / "twin")
    labels = label_array()
    labels[-5, 3, 3] = 0
    sitk.WriteImage(as_image(labels), str(site / "twin" / "mask.nii.gz"))
    (site / "good" / "delayed.nii.gz").unlink()
    write_clinical(site, dict.fromkeys(("bad", "good", "twin"), GOOD_ROW))
    prepared = prepare(site)
    assert [case.patient_id for case in prepared.cases] == ["bad", "good"]
    (row,) = prepared.set_aside
    assert row.reason == "has the images of bad: leave one of the two"


def test_nobody_knows_whose_images_they_are_where_labels_differ(site: Path) -> None:
    shutil.copytree(site / "bad", site / "twin")
    write_clinical(site, {"bad": GOOD_ROW, "good": GOOD_ROW, "twin": "0,10.5,1,22,0"})
    prepared = prepare(site)
    assert [case.patient_id for case in prepared.cases] == ["good"]
    assert [(row.patient_id, row.reason) for row in prepared.set_aside] == [
        ("bad", "has the images of twin, and other labels: leave one of the two"),
        ("twin", "has the images of bad, and other labels: leave one of the two"),
    ]


def test_phases_of_two_patients_are_no_scan_of_one(site: Path) -> None:
    for phase in ("arterial", "delayed"):

        def name_patient(_: int, header: pydicom.Dataset, phase: Phase = phase) -> None:
            header.PatientID = f"patient of {phase}"

        (site / "bad" / f"{phase}.nii.gz").unlink()
        write_series(
            site / "bad" / phase,
            phase_array(phase),
            spacing_mm=SPACING_MM,
            origin_mm=ORIGIN_MM.tolist(),
            change=name_patient,
        )
    prepared = prepare(site)
    assert [case.patient_id for case in prepared.cases] == ["good"]
    (row,) = prepared.set_aside
    assert row.reason == "series of 2 patients in one folder: leave those of this patient"
    assert row.file == "bad"


def test_labels_that_may_be_swapped_are_told(site: Path) -> None:
    labels = label_array()
    swapped = np.array([0, 2, 1], np.uint8)[labels]
    sitk.WriteImage(as_image(swapped), str(site / "bad" / "mask.nii.gz"))
    told = [row for row in prepare(site).set_aside if "swapped" in row.reason]
    assert [(row.patient_id, row.file) for row in told] == [("bad", "bad/mask.nii.gz")]


def cut_all_short(patient: Path) -> None:
    for path in patient.glob("*.nii.gz"):
        if path.name != "mask.nii.gz":
            path.write_bytes(path.read_bytes()[:200])


def remove_mask(patient: Path) -> None:
    (patient / "mask.nii.gz").unlink()


def erase_tumour(patient: Path) -> None:
    labels = label_array()
    labels[labels == 2] = 1
    sitk.WriteImage(as_image(labels), str(patient / "mask.nii.gz"))


def move_mask(patient: Path) -> None:
    mask = as_image(label_array())
    mask.SetOrigin((700.0, 0.0, 0.0))
    sitk.WriteImage(mask, str(patient / "mask.nii.gz"))


def put_other_labels(patient: Path) -> None:
    labels = label_array() * np.uint8(5)
    sitk.WriteImage(as_image(labels), str(patient / "mask.nii.gz"))


def put_nan(patient: Path) -> None:
    for path in patient.glob("*.nii.gz"):
        if path.name != "mask.nii.gz":
            array = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).astype(np.float32)
            array[3, 3, 3] = np.nan
            sitk.WriteImage(as_image(array), str(path))


def add_second_mask(patient: Path) -> None:
    (patient / "seg.dcm").write_bytes(b"")


def put_stray_mark(patient: Path) -> None:
    labels = label_array()
    labels[labels == 2] = 1
    labels[10, 18, 20] = 2
    sitk.WriteImage(as_image(labels), str(patient / "mask.nii.gz"))


def remove_phases(patient: Path) -> None:
    for path in patient.glob("*.nii.gz"):
        if path.name != "mask.nii.gz":
            path.unlink()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut_all_short, "cut short"),
        (remove_mask, "no mask"),
        (erase_tumour, "no voxel is tumour"),
        (move_mask, "outside this scan"),
        (put_other_labels, "labels other than"),
        (put_nan, "not numbers"),
        (add_second_mask, "leave one"),
        (put_stray_mark, "smaller than a voxel"),
        (remove_phases, "no phase can be used"),
    ],
)
def test_a_broken_patient_is_set_aside_and_the_rest_go_on(
    site: Path, damage: Callable[[Path], None], reason: str
) -> None:
    damage(site / "bad")
    prepared = prepare(site)
    assert [case.patient_id for case in prepared.cases] == ["good"]
    (row,) = prepared.set_aside
    assert row.patient_id == "bad"
    assert reason in row.reason
    assert row.file.startswith("bad")


def test_one_bad_phase_costs_only_itself(site: Path) -> None:
    path = site / "bad" / "delayed.nii.gz"
    path.write_bytes(path.read_bytes()[:200])
    for prepared in (prepare(site), prepare(site)):  # the second comes from the cache
        assert prepared.cases[0].present == (True, True, False)
        (row,) = prepared.set_aside
        assert (row.patient_id, row.file) == ("bad", "bad/delayed.nii.gz")
        assert "used without this phase" in row.reason


def test_a_phase_that_is_there_twice_is_not_guessed(site: Path) -> None:
    shutil.copy(site / "bad" / "delayed.nii.gz", site / "bad" / "delayed.nii")
    prepared = prepare(site)
    assert prepared.cases[0].present == (True, True, False)
    assert "delayed.nii.gz and delayed.nii: leave one" in prepared.set_aside[0].reason


def unmount(path: Path, archive: Path) -> Path:
    """Put a link into an archive in a path's place, and move the archive away; return where to."""
    archive.mkdir()
    path.rename(archive / path.name)
    path.symlink_to(archive / path.name)
    return archive.rename(archive.with_name("unmounted"))


def test_a_phase_in_an_archive_that_is_not_mounted_is_not_absent(site: Path) -> None:
    prepare(site)
    archive = site.parent / "archive"
    elsewhere = unmount(site / "bad" / "arterial.nii.gz", archive)
    for _ in range(2):
        prepared = prepare(site)
        assert prepared.cases[0].present == (False, True, True)
        (row,) = prepared.set_aside
        assert (row.patient_id, row.file) == ("bad", "bad/arterial.nii.gz")
        assert row.reason.startswith("used without this phase: cannot be reached")
        assert "is the archive mounted?" in row.reason
    elsewhere.rename(archive)
    again = prepare(site)
    assert (again.cases[0].present, again.set_aside) == ((True, True, True), ())
    (site / "bad" / "arterial.nii.gz").unlink()
    without = prepare(site)
    assert (without.cases[0].present, without.set_aside) == ((False, True, True), ())


@pytest.mark.parametrize("place", ["arterial", "arterial/0010.dcm"])
def test_a_series_and_a_slice_that_are_not_mounted_are_told(site: Path, place: str) -> None:
    as_dicom(site / "bad")
    unmount(site / "bad" / place, site.parent / "archive")
    prepared = prepare(site)
    assert prepared.cases[0].present == (False, True, True)
    (row,) = prepared.set_aside
    assert row.file == f"bad/{place}"
    assert "a link leads nowhere" in row.reason


def test_a_mask_that_is_not_mounted_is_told(site: Path) -> None:
    unmount(site / "bad" / "mask.nii.gz", site.parent / "archive")
    (row,) = prepare(site).set_aside
    assert row.file == "bad/mask.nii.gz"
    assert "a link leads nowhere" in row.reason


@pytest.mark.parametrize("name", ["Arterial.nii.gz", "arterial_phase.nii.gz", "arterial.NRRD"])
def test_a_volume_that_is_not_called_a_phase_is_told_and_not_guessed(site: Path, name: str) -> None:
    (site / "bad" / "arterial.nii.gz").rename(site / "bad" / name)
    for _ in range(2):  # told again where the region is taken from the cache
        prepared = prepare(site)
        assert prepared.cases[0].present == (False, True, True)
        (row,) = prepared.set_aside
        assert row.file == f"bad/{name}"
        assert row.reason.startswith("used, though this is not looked at")


def test_a_folder_of_other_volumes_is_told_once(site: Path) -> None:
    (site / "bad" / "organs").mkdir()
    for organ in ("spleen", "stomach", "aorta"):
        shutil.copy(site / "bad" / "mask.nii.gz", site / "bad" / "organs" / f"{organ}.nii.gz")
    assert [row.file for row in prepare(site).set_aside] == ["bad/organs"]


def write_dicom_patient(folder: Path) -> None:
    """Write the good patient as a hospital has it: series under arbitrary names and a SEG."""
    folder.mkdir(parents=True)
    for phase in ("arterial", "portal_venous", "delayed"):
        write_series(
            folder / phase, phase_array(phase), spacing_mm=SPACING_MM, origin_mm=ORIGIN_MM.tolist()
        )
    labels = label_array()
    segments = [("Liver", labels == 1), ("Tumor", labels == 2)]
    write_segmentation(
        folder / "seg.dcm", segments, spacing_mm=SPACING_MM, origin_mm=ORIGIN_MM.tolist()
    )


def test_dicom_and_nifti_of_one_patient_give_one_region(tmp_path: Path) -> None:
    for form, write in (("dicom", write_dicom_patient), ("nifti", write_patient)):
        write_clinical(tmp_path / form, {"a": GOOD_ROW})
        write(tmp_path / form / "a")
    sites = [prepare(tmp_path / form) for form in ("dicom", "nifti")]
    assert [site.set_aside for site in sites] == [(), ()]
    one, two = (load_roi(site.cases[0].roi_path) for site in sites)
    np.testing.assert_array_equal(one.mask, two.mask)
    np.testing.assert_array_equal(one.phases, two.phases)


def test_a_damaged_slice_is_named(tmp_path: Path) -> None:
    site = tmp_path / "site"
    write_clinical(site, {"a": GOOD_ROW})
    write_dicom_patient(site / "a")
    file = site / "a" / "arterial" / "0010.dcm"
    file.write_bytes(file.read_bytes()[:-200])
    prepared = prepare(site)
    assert prepared.cases[0].present == (False, True, True)
    assert prepared.set_aside[0].file == "a/arterial/0010.dcm"


def test_a_wrong_label_is_told_and_the_patient_used(site: Path) -> None:
    write_clinical(site, {"good": GOOD_ROW, "bad": "1,10,1,-3,1"})
    prepared = prepare(site)
    assert prepared.cases[0].labels.os is None
    (row,) = prepared.set_aside
    assert (
        row.reason
        == "used in part: os_months must be a number > 0 and at most 600, so os is unknown"
    )


def test_survival_that_contradicts_itself_is_told_and_used(site: Path) -> None:
    write_clinical(site, {"good": GOOD_ROW, "bad": "1,40,1,24,1"})
    prepared = prepare(site)
    assert prepared.cases[0].labels.rfs is not None
    (row,) = prepared.set_aside
    assert (row.patient_id, row.file) == ("bad", "clinical.csv")
    assert row.reason.startswith("used, though rfs goes on after os ends")
    assert reason_code(row.reason) == "used-with-a-note"


def test_folders_and_rows_without_their_other_half_are_told(site: Path) -> None:
    write_clinical(site, {"good": GOOD_ROW, "ghost": GOOD_ROW})
    reasons = {row.patient_id: row.reason for row in prepare(site).set_aside}
    assert reasons == {"bad": "no row in clinical.csv", "ghost": "no folder of this name"}


def test_a_folder_that_is_no_site_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SiteFolderError, match="no such folder"):
        prepare(tmp_path / "absent")
    write_clinical(tmp_path / "empty", {})
    with pytest.raises(SiteFolderError, match="holds no patient's folder"):
        prepare(tmp_path / "empty")


def test_a_file_that_cannot_be_opened_is_told_without_a_name_in_the_log(
    site: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from client.imaging import cache

    whole = cache.content_digest

    def deny(files: tuple[Path, ...], folder: Path) -> str:
        if folder.name == "bad":
            raise PermissionError(13, "Permission denied", str(files[0]))
        return whole(files, folder)

    def fail(*_: object) -> None:
        raise ValueError(f"something about {site / 'good'}")

    monkeypatch.setattr(cache, "content_digest", deny)
    monkeypatch.setattr("client.cohort.build_region", fail)
    with caplog.at_level(logging.DEBUG):
        prepared = prepare(site)
    reasons = {row.patient_id: row.reason for row in prepared.set_aside}
    assert reasons["bad"] == "cannot be opened: Permission denied"
    assert reasons["good"] == "unexpected ValueError: see the log"
    assert "ValueError" in caplog.text
    assert str(site) not in caplog.text


def test_a_region_is_made_with_one_thread_of_linear_algebra(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = next(path for path in sorted(site.iterdir()) if path.is_dir())
    during: list[int] = []

    def look(self: Lesion) -> float:
        during.extend(_blas_threads())
        return 0.0

    monkeypatch.setattr(Lesion, "roughness", look)
    with threadpool_limits(2, user_api="blas"):
        build_region(patient, PreprocessingSettings())
        after = _blas_threads()
    assert during == [1] * len(after)
    assert set(after) == {2}


def _blas_threads() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_workers_change_nothing(site: Path, tmp_path: Path) -> None:
    alone = prepare(site)
    together = prepare_site(site, SMALL, tmp_path / "other", workers=2, progress=False)
    for one, two in zip(alone.cases, together.cases, strict=True):
        assert one.roi_path.read_bytes() == two.roi_path.read_bytes()


def test_set_aside_is_written_as_the_contract_says(site: Path, tmp_path: Path) -> None:
    erase_tumour(site / "bad")
    write_set_aside(prepare(site).set_aside, tmp_path / "set_aside.csv")
    with (tmp_path / "set_aside.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert row == {
        "patient_id": "bad",
        "reason": "no voxel is tumour (label 2)",
        "file": "bad/mask.nii.gz",
    }
