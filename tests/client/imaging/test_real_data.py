"""Every number that the README of the real data gives of an image, through the public functions."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from matplotlib import pyplot as plt
from numpy.typing import NDArray

from client.imaging.dicom import open_files, open_series
from client.imaging.errors import ImagingError
from client.imaging.read import read_image
from client.imaging.segmentation import read_segmentation

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "ct"
TOTAL = DATA / "totalsegmentator"
LIVER, AORTA = 5, 52  # TotalSegmentator's labels
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="../shared/data is not beside the project"
)


def on_image(labels: sitk.Image, label: int, image: sitk.Image) -> NDArray[np.bool_]:
    """Bring one label over in world space."""
    moved = sitk.Resample(labels == label, image, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    return np.asarray(sitk.GetArrayFromImage(moved) > 0)


@pytest.mark.parametrize(
    ("scan", "mask", "size", "spacing_mm", "voxels", "hu", "tolerance_hu"),
    [
        (
            *("example_ct_dicom", "example_seg_dicom.nii.gz"),
            *((512, 512, 20), (0.977, 0.977, 2.0), 366_708, 89, 0.5),
        ),
        (
            *("example_ct.nii.gz", "example_seg_fast_force_split.nii.gz"),
            *((122, 101, 112), (3, 3, 3), 41_692, 44.5, 0.05),
        ),
        (
            *("example_ct_sm.nii.gz", "example_seg.nii.gz"),
            *((122, 101, 30), (3, 3, 3), 38_634, 45, 0.5),
        ),
    ],
)
def test_sizes_spacings_voxels_and_attenuation_of_the_liver(
    scan: str,
    mask: str,
    size: tuple[int, ...],
    spacing_mm: tuple[float, ...],
    voxels: int,
    hu: float,
    tolerance_hu: float,
) -> None:
    image, labels = read_image(TOTAL / scan), read_image(TOTAL / mask)
    assert image.GetSize() == size
    np.testing.assert_allclose(image.GetSpacing(), spacing_mm, atol=1e-3)
    assert int((sitk.GetArrayFromImage(labels) == LIVER).sum()) == voxels
    inside = on_image(labels, LIVER, image)
    assert int(inside.sum()) == voxels
    assert sitk.GetArrayFromImage(image)[inside].mean() == pytest.approx(hu, abs=tolerance_hu)


def test_the_series_is_jpeg_2000_and_its_aorta_and_liver_measure_as_told() -> None:
    folder = TOTAL / "example_ct_dicom"
    series = open_series(folder)
    assert len(series.files) == 20
    header = pydicom.dcmread(series.files[0], stop_before_pixels=True)
    assert header.file_meta.TransferSyntaxUID == pydicom.uid.JPEG2000Lossless
    assert header.Manufacturer == "SIEMENS"
    image, labels = read_image(folder), read_image(TOTAL / "example_seg_dicom.nii.gz")
    hu = sitk.GetArrayFromImage(image).astype(float)
    assert hu[on_image(labels, AORTA, image)].mean() == pytest.approx(177, abs=0.5)
    assert hu[on_image(labels, LIVER, image)].std() == pytest.approx(22, abs=0.5)


def test_the_mask_is_stored_the_other_way_round() -> None:
    """Laid on the series voxel for voxel, the liver would measure -75 HU on average.

    Its median would still be that of soft tissue: attenuation alone does not tell a flipped mask.
    """
    image = read_image(TOTAL / "example_ct_dicom")
    labels = read_image(TOTAL / "example_seg_dicom.nii.gz")
    assert image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert labels.GetDirection() == (1, 0, 0, 0, -1, 0, 0, 0, 1)
    hu = sitk.GetArrayFromImage(image).astype(float)
    by_index = hu[sitk.GetArrayFromImage(labels) == LIVER]
    assert by_index.mean() < 0 < 80 < np.median(by_index)
    assert (
        np.percentile(by_index, 20) < -50 < np.percentile(hu[on_image(labels, LIVER, image)], 0.5)
    )


def test_a_genuine_segmentation_has_the_voxels_told() -> None:
    folder = DATA / "dcmqi_liver_seg"
    series = open_files([folder / name for name in ("01.dcm", "02.dcm", "03.dcm")])
    segmentation = read_segmentation(folder / "liver.seg.dcm", [series])
    assert segmentation.voxels.shape[0] == 3
    assert int((segmentation.voxels == 1).sum()) == 107_098
    assert series.grid.holds(segmentation.grid)
    assert series.grid.space == segmentation.grid.space


def test_slices_of_six_patients_are_real_headers_and_no_volumes() -> None:
    files = sorted((DATA / "hcc_tace_seg_slices").iterdir())
    assert len(files) == 6
    uids = {str(pydicom.dcmread(f, stop_before_pixels=True).SeriesInstanceUID) for f in files}
    assert len(uids) == 6
    for file in files:
        with pytest.raises(ImagingError, match="single slice: not a volume"):
            open_files([file])
    with pytest.raises(ImagingError, match="6 series in one folder"):
        open_series(files[0].parent)


def draw_overlay(path: Path) -> None:
    """Draw the JPEG 2000 series with the liver and aorta of the flipped mask, to be looked at."""
    image = read_image(TOTAL / "example_ct_dicom")
    labels = read_image(TOTAL / "example_seg_dicom.nii.gz")
    hu = sitk.GetArrayFromImage(image)
    mpl.use("Agg")
    figure, axes = plt.subplots(1, 3, figsize=(15, 5.2), layout="constrained")
    for axis, place in zip(axes, (3, 10, 17), strict=True):
        axis.imshow(hu[place], cmap="gray", vmin=-100, vmax=250)
        for label, colour in ((LIVER, "tab:green"), (AORTA, "tab:red")):
            axis.contour(on_image(labels, label, image)[place], [0.5], colors=colour)
        axis.set_title(f"slice {place}: liver green, aorta red")
        axis.axis("off")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def test_an_overlay_can_be_drawn(tmp_path: Path) -> None:
    draw_overlay(tmp_path / "overlay.png")
    assert (tmp_path / "overlay.png").stat().st_size > 50_000
