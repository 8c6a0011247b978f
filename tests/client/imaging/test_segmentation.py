from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from client.imaging.errors import ImagingError
from client.imaging.read import read_image, read_mask
from client.imaging.segmentation import read_segmentation
from tests.client.imaging.dicom_files import write_segmentation

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "ct" / "dcmqi_liver_seg"
SHAPE = (8, 10, 12)


def boxes() -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.bool_]], ...]:
    """Return a liver in slices 1 to 6 and a tumour within it, of which slice 4 was not drawn."""
    liver, tumour = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    liver[1:7, 2:9, 2:10] = True
    tumour[[3, 5], 4:6, 5:8] = True
    return liver, tumour


def test_segments_become_labels_at_their_place(tmp_path: Path) -> None:
    liver, tumour = boxes()
    path = tmp_path / "seg.dcm"
    segments = [("Tumor", tumour), ("Spleen", liver[::-1]), ("Liver", liver)]
    write_segmentation(path, segments, origin_mm=(5.0, 6.0, 7.0))
    mask = read_mask(path)
    expected = np.where(tumour, 2, liver)
    # The spleen is no label, but its frames lengthen the grid by slices without liver.
    np.testing.assert_array_equal(mask.voxels, expected[1:7])
    assert mask.grid.origin_mm == (5.0, 6.0, 10.0)
    assert mask.grid.spacing_mm == (1.5, 1.5, 3.0)


def test_frames_that_were_left_out_are_empty_slices(tmp_path: Path) -> None:
    """Frames in slices 3 and 5 alone: two slices of 3 mm with an empty one, not two of 6 mm."""
    path = tmp_path / "seg.dcm"
    write_segmentation(path, [("HCC 1", boxes()[1])])
    mask = read_segmentation(path)
    assert mask.grid.spacing_mm[2] == 3.0
    assert (mask.voxels == 2).any(axis=(1, 2)).tolist() == [True, False, True]


def test_a_single_frame_has_the_thickness_that_is_told(tmp_path: Path) -> None:
    _, tumour = boxes()
    tumour[5] = False
    path = tmp_path / "seg.dcm"
    write_segmentation(path, [("lesion", tumour)])
    assert read_segmentation(path).grid.size == (12, 10, 1)
    assert read_segmentation(path).grid.spacing_mm[2] == 3.0


def test_probabilities_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "seg.dcm"
    write_segmentation(path, [("Tumor", boxes()[1])], kind="FRACTIONAL")
    with pytest.raises(ImagingError, match="not a binary"):
        read_mask(path)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.7, 0.98])
def test_a_segmentation_cut_short_is_refused(tmp_path: Path, kept: float) -> None:
    path = tmp_path / "seg.dcm"
    write_segmentation(path, [("Tumor", boxes()[1]), ("Liver", boxes()[0])])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(ImagingError):
        read_mask(path)


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not beside the project")
def test_a_real_segmentation_lies_where_its_series_is(tmp_path: Path) -> None:
    """The README of the data: 107,098 voxels in 3 frames; soft tissue under them."""
    segmentation = read_segmentation(DATA / "liver.seg.dcm")
    assert int((segmentation.voxels == 1).sum()) == 107_098
    for name in ("01.dcm", "02.dcm", "03.dcm"):
        (tmp_path / name).write_bytes((DATA / name).read_bytes())
    image = read_image(tmp_path)
    np.testing.assert_allclose(segmentation.grid.origin_mm, image.GetOrigin(), atol=1e-3)
    np.testing.assert_allclose(segmentation.grid.spacing_mm, image.GetSpacing(), atol=1e-3)
    np.testing.assert_allclose(segmentation.grid.direction, image.GetDirection(), atol=1e-4)
    hu = np.asarray(sitk.GetArrayFromImage(image), float)[segmentation.voxels == 1]
    assert 0 < np.median(hu) < 200
    assert pydicom.dcmread(DATA / "01.dcm", stop_before_pixels=True).Modality == "CT"
