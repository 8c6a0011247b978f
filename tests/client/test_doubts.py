"""What a person should look at is told where a site is prepared and where it is predicted for."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from client.batches import stack_rois
from client.cohort import build_region
from client.imaging.errors import ImagingError
from client.unfamiliar import warnings_for
from shared.tasks import Phase
from tests.client.imaging.dicom_files import write_series
from tests.client.patients import (
    ORIGIN_MM,
    SMALL,
    SPACING_MM,
    TUMOUR_CENTRE_MM,
    as_image,
    label_array,
    phase_array,
    prepare,
    write_good_site,
    write_patient,
)
from tests.shared.model_folders import about_small_model, small_plan, small_weights

PORTAL = "portal_venous.nii.gz"


@pytest.fixture
def patient(tmp_path: Path) -> Path:
    """Write a site of one good patient, and return that patient's folder."""
    return write_good_site(tmp_path / "site", "p") / "p"


def change(patient: Path, by: Callable[[NDArray[np.int16]], NDArray[np.generic]]) -> None:
    """Write other values in the portal venous phase."""
    sitk.WriteImage(as_image(by(phase_array("portal_venous"))), str(patient / PORTAL))


def mark_no_liver(patient: Path) -> None:
    tumour = np.where(label_array() == 2, 2, 0).astype(np.uint8)
    sitk.WriteImage(as_image(tumour), str(patient / "mask.nii.gz"))


def add_150_hu(patient: Path) -> None:
    change(patient, lambda hu: hu + np.int16(150))


def window_to_bytes(patient: Path) -> None:
    change(patient, lambda hu: (np.clip((hu + 160) / 400, 0, 1) * 255).astype(np.uint8))


def cut_the_scan(patient: Path) -> None:
    """Leave 11 of 20 slices, the tumour with a slice below it."""
    sitk.WriteImage(sitk.ReadImage(str(patient / PORTAL))[:, :, 7:18], str(patient / PORTAL))


def mark_to_the_first_slice(patient: Path) -> None:
    labels = label_array(np.array([*TUMOUR_CENTRE_MM[:2], ORIGIN_MM[2] + 8]))
    sitk.WriteImage(as_image(labels), str(patient / "mask.nii.gz"))


@pytest.mark.parametrize(
    ("make", "file", "text"),
    [
        (mark_no_liver, "mask.nii.gz", "the mask marks no liver"),
        (add_150_hu, PORTAL, "the liver measures 260 HU in the portal venous phase"),
        (window_to_bytes, PORTAL, "nothing around the tumour is below 0 HU"),
        (cut_the_scan, PORTAL, "of the region around the tumour lies in the portal venous scan"),
        (mark_to_the_first_slice, PORTAL, "the tumour reaches the edge of the portal venous scan"),
    ],
)
def test_a_doubt_is_told_and_the_patient_used(
    patient: Path, make: Callable[[Path], None], file: str, text: str
) -> None:
    make(patient)
    for prepared in (prepare(patient.parent), prepare(patient.parent)):  # then from the cache
        assert [case.patient_id for case in prepared.cases] == ["p"]
        told = [row for row in prepared.set_aside if text in row.reason]
        assert [(row.patient_id, row.file) for row in told] == [("p", f"p/{file}")]
        assert told[0].reason.startswith("used, though ")
    region, plan = build_region(patient, SMALL), small_plan()
    about = about_small_model(plan, small_weights(plan))
    sentences = warnings_for(region, stack_rois([region.roi]), about)
    assert len([one for one in sentences if text[4:] in one]) == 1, sentences
    assert all(one[0].isupper() and one[-1] in ".?" for one in sentences)


@pytest.mark.parametrize(
    "scale", [lambda hu: (hu + 160) / 400, lambda hu: (hu - hu.mean()) / hu.std()]
)
def test_values_that_can_be_no_hu_are_refused(
    patient: Path, scale: Callable[[NDArray[np.int16]], NDArray[np.generic]]
) -> None:
    change(patient, lambda hu: scale(hu).astype(np.float32))
    prepared = prepare(patient.parent)
    assert prepared.cases[0].present == (True, False, True)
    (row,) = prepared.set_aside
    assert row.file == f"p/{PORTAL}"
    assert "its values are not HU but scaled" in row.reason


def test_one_scan_is_not_two_phases(patient: Path) -> None:
    shutil.copy(patient / PORTAL, patient / "delayed.nii.gz")
    region = build_region(patient, SMALL)
    assert list(region.scans) == ["arterial"]
    told = {file: reason for reason, file in region.problems}
    assert told == {
        PORTAL: "used without this phase: is the same scan as delayed: leave it as the one phase"
        " that it is",
        "delayed.nii.gz": "used without this phase: is the same scan as portal_venous: leave it as"
        " the one phase that it is",
    }
    shutil.copy(patient / PORTAL, patient / "arterial.nii.gz")
    with pytest.raises(ImagingError, match=r"no phase can be used: .*is the same scan as"):
        build_region(patient, SMALL)


def test_one_series_is_not_two_phases_in_whatever_format(tmp_path: Path) -> None:
    patient = write_patient(tmp_path / "p", ("arterial", "portal_venous"))
    phase: Phase = "portal_venous"
    write_series(
        patient / "delayed",
        phase_array(phase),
        spacing_mm=SPACING_MM,
        origin_mm=ORIGIN_MM.tolist(),
    )
    assert list(build_region(patient, SMALL).scans) == ["arterial"]
