from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from client.imaging.dicom import open_series
from client.imaging.errors import ImagingError
from client.imaging.labels import label_of
from client.imaging.read import read_image, read_mask
from client.imaging.segmentation import read_segmentation
from tests.client.imaging.dicom_files import SERIES, write_segmentation, write_series

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


def test_a_series_tells_how_far_frames_are_apart(tmp_path: Path) -> None:
    """Frames in slices 3 and 5 alone, the distance not told: two slices of 6 mm without the CT."""
    path = tmp_path / "seg.dcm"
    write_segmentation(path, [("HCC 1", boxes()[1])], origin_mm=(5.0, 6.0, 7.0), told=False)
    assert read_segmentation(path).grid.spacing_mm[2] == 6.0
    write_series(tmp_path / "a", np.zeros((12, 20, 20)), origin_mm=(-9.0, 0.0, 1.0))
    write_series(tmp_path / "b", np.zeros((12, 20, 20)), origin_mm=(-9.0, 0.0, 2.0))
    elsewhere, same = open_series(tmp_path / "b"), open_series(tmp_path / "a")
    mask = read_mask(path, [elsewhere, same])
    assert mask.grid.spacing_mm[2] == 3.0
    assert (mask.voxels == 2).any(axis=(1, 2)).tolist() == [True, False, True]
    assert read_mask(path, [elsewhere]).grid.spacing_mm[2] == 6.0


def test_a_segmentation_by_highdicom_is_read_as_highdicom_reads_it(tmp_path: Path) -> None:
    """Oblique, every second slice without a mark, and written by an independent library."""
    axes = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]
    axes *= [1, 1, np.linalg.det(axes)]
    files = write_series(
        tmp_path / "a",
        np.zeros(SHAPE),
        axes=(axes[:, 0].tolist(), axes[:, 1].tolist()),
        origin_mm=(-40.0, 7.5, 120.25),
        change=complete,
    )
    liver, tumour = boxes()
    described = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Neoplasm if number == 1 else codes.SCT.Liver,
            algorithm_type="MANUAL",
        )
        for number, name in ((1, "S1"), (2, "S2"))
    ]
    written = hd.seg.Segmentation(
        source_images=[pydicom.dcmread(file) for file in files],
        pixel_array=np.stack([tumour, liver], axis=-1),
        segmentation_type="BINARY",
        segment_descriptions=described,
        series_instance_uid=generate_uid(),
        series_number=2,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="none",
        manufacturer_model_name="none",
        software_versions="1",
        device_serial_number="1",
    )
    written.save_as(tmp_path / "seg.dcm")
    mask = read_mask(tmp_path / "seg.dcm", [open_series(tmp_path / "a")])
    theirs = hd.seg.segread(tmp_path / "seg.dcm").get_volume(
        combine_segments=True, skip_overlap_checks=True
    )
    marked = np.argwhere(theirs.array > 0).astype(float)
    places = mask.grid.indices(theirs.map_indices_to_reference(marked))
    np.testing.assert_allclose(places, places.round(), atol=1e-3)
    ours = mask.voxels[tuple(places.round().astype(int)[:, ::-1].T)]
    both = (tumour | liver).sum()
    assert len(marked) == both == (mask.voxels > 0).sum()
    assert (ours > 0).all()
    assert (mask.voxels == 2).sum() == tumour.sum()
    assert mask.grid.space == f"{SERIES}.9"


def complete(number: int, header: pydicom.Dataset) -> None:
    """Add what highdicom asks of a CT."""
    header.FrameOfReferenceUID = f"{SERIES}.9"
    for tag in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID"):
        setattr(header, tag, "")
    for tag in ("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"):
        setattr(header, tag, "")
    header.SliceThickness = 3.0


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Liver", 1),
        ("hepatic parenchyma", 1),
        ("Normal liver", 1),
        ("Liver tumor", 2),
        ("liver_lesion_2", 2),
        ("Mass", 2),
        ("HCC-1", 2),
        ("GTV", 2),
        ("PTV", 0),
        ("Portal vein", 0),
        ("peritumoral ring", 0),
        ("massive ascites", 0),
        ("GTV HCC", 2),
        ("GTV1_Leber", 2),
        ("ring-enhancing lesion", 2),
        ("encapsulated HCC", 2),
        ("HCC no. 2", 2),
        ("colorectal liver metastasis", 2),
        ("Leberläsion", 2),
        ("Le\N{COMBINING ACUTE ACCENT}sion", 2),
        ("Lesión", 2),
        ("Lesione 1", 2),
        ("Tumeur", 2),
        ("Tumore", 2),
        ("Herd 1", 2),
        ("Leber", 1),
        ("FOIE", 1),
        ("Hígado", 1),
        ("Fegato", 1),
        ("Lebervene", 0),
        ("Shepherd", 0),
        ("PTV HCC", 0),
        ("CTV Tumor", 0),
        ("ITV liver lesion", 0),
        ("PTV_Liver", 0),
        ("zPTVeval liver", 0),
        ("liver PRV", 0),
        ("Tumor ring 5mm", 0),
        ("GTV+5mm", 0),
        ("GTV_5mm", 0),
        ("liver tumor margin", 0),
        ("Tumor capsule", 0),
        ("Non-tumoral parenchyma", 0),
        ("no residual tumor", 0),
        ("no tumor", 0),
        ("tumour-free parenchyma", 0),
        ("pseudotumor", 0),
        ("Lung metastasis", 0),
        ("Kidney lesion", 0),
        ("extrahepatic metastasis", 0),
    ],
)
def test_names_of_segments(name: str, label: int) -> None:
    assert label_of((name,), 1, Path("seg.dcm")) == label


@pytest.mark.parametrize(
    "name",
    [
        "Liver-GTV",
        "liver minus tumour",
        "Liver without lesions",
        "Nontumorous liver",
        "Foie sans tumeur",
    ],
)
def test_a_name_that_may_mean_either_is_refused(name: str) -> None:
    with pytest.raises(ImagingError, match="both liver and tumour"):
        label_of((name,), 1, Path("seg.dcm"))


def test_a_coded_type_counts_where_the_name_says_nothing() -> None:
    assert label_of(("Segment 1", "Neoplasm"), 1, Path("seg.dcm")) == 2
    assert label_of(("Liver", "Neoplasm"), 1, Path("seg.dcm")) == 1
    assert label_of(("no tumor", "Neoplasm"), 1, Path("seg.dcm")) == 0


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
