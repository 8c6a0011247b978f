from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from client.imaging.grid import Volume
from client.imaging.read import open_scan, read_image
from client.series.enhancement import Enhancement, measure, seen_phase
from tests.client.series.mixed_folder import HU, ORIGIN_MM, SPACING_MM, labels, trunk

REAL = Path(__file__).resolve().parents[4] / "shared/data/ct/totalsegmentator"
LIVER, AORTA, PORTAL_VEIN = 5, 52, 64


def volume(voxels: NDArray[np.generic]) -> Volume:
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(SPACING_MM)
    image.SetOrigin(ORIGIN_MM)
    return Volume.of(image)


@pytest.mark.parametrize("seen", HU)
def test_liver_and_aorta_are_measured_and_the_phase_is_seen(seen: str) -> None:
    found = measure(volume(trunk(seen)), volume(labels()))
    assert found.aorta_hu == pytest.approx(HU[seen][0], abs=4)
    assert found.liver_hu == pytest.approx(HU[seen][1], abs=2)
    assert seen_phase(found) == (None if seen == "unclear" else seen)


def test_a_mask_on_another_grid_measures_the_same() -> None:
    turned = sitk.DICOMOrient(
        volume(labels()).grid.place(labels(), volume(labels()).grid.whole), "RAI"
    )
    one = measure(volume(trunk("arterial")), Volume.of(turned))
    assert one == measure(volume(trunk("arterial")), volume(labels()))


def test_what_cannot_be_told_is_not_guessed() -> None:
    scan = volume(trunk("arterial"))
    no_liver = volume(np.where(labels() == 1, 0, labels()).astype(np.uint8))
    assert measure(scan, no_liver) == Enhancement(None, None)
    soft = trunk("arterial")
    soft[soft > 310] = 50  # no bone: no spine to find the aorta by
    assert measure(volume(soft), volume(labels())).aorta_hu is None
    fat = trunk("arterial")
    fat[:, :50] = np.minimum(fat[:, :50], 60)  # no vessel stands out
    assert seen_phase(measure(volume(fat), volume(labels()))) != "arterial"
    assert seen_phase(Enhancement(60.0, None)) is None


@pytest.mark.parametrize(
    ("aorta", "liver", "expected"),
    [
        (45, 55, "native"),
        (310, 65, "arterial"),
        (200, 70, "arterial"),
        (165, 110, "portal_venous"),
        (105, 92, "delayed"),
        # Between two phases, and where contrast is poor, nothing is decided.
        *((130, 95, None), (190, 95, None), (175, 66, None), (78, 70, None), (120, 75, None)),
    ],
)
def test_limits_leave_gaps(aorta: float, liver: float, expected: str | None) -> None:
    assert seen_phase(Enhancement(liver, aorta)) == expected


@pytest.mark.skipif(not REAL.is_dir(), reason="the real series are not beside the project")
def test_a_real_series_shows_its_phase() -> None:
    """Acquired 96 s after the injection; the aorta of its own segmentation is the reference."""
    ct = read_image(REAL / "example_ct_dicom")
    organs = sitk.ReadImage(str(REAL / "example_seg_dicom.nii.gz"))
    liver = sitk.Cast(organs == LIVER, sitk.sitkUInt8)
    found = measure(open_scan(REAL / "example_ct_dicom"), Volume.of(liver))
    on_ct = sitk.Resample(organs, ct, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    hu, marks = sitk.GetArrayFromImage(ct), sitk.GetArrayFromImage(on_ct)
    assert found.aorta_hu == pytest.approx(np.median(hu[marks == AORTA]), rel=0.07)
    assert found.liver_hu == pytest.approx(np.median(hu[marks == LIVER]), abs=4)
    assert seen_phase(found) == "portal_venous"
    assert found.portal_hu == pytest.approx(np.median(hu[marks == PORTAL_VEIN]), rel=0.07)
    assert found.others == {"portal vein": {"portal_venous", "delayed"}}
    assert found.kidneys is None  # they lie below the series


@pytest.mark.skipif(not REAL.is_dir(), reason="the real series are not beside the project")
@pytest.mark.parametrize(
    ("scan", "organs"),
    [
        ("example_ct.nii.gz", "example_seg_fast_force_split.nii.gz"),
        ("example_ct_sm.nii.gz", "example_seg.nii.gz"),
    ],
)
def test_a_real_native_scan_is_called_no_phase(scan: str, organs: str) -> None:
    liver = sitk.Cast(sitk.ReadImage(str(REAL / organs)) == LIVER, sitk.sitkUInt8)
    found = measure(open_scan(REAL / scan), Volume.of(liver))
    assert found.liver_hu == pytest.approx(45, abs=4)
    assert seen_phase(found) in (None, "native")
    assert found.others == {}
