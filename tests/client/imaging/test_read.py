"""Files as they should be, cut short at every place, and real ones."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from client.imaging.errors import ImagingError
from client.imaging.frame import extract_roi
from client.imaging.read import open_scan, read_image, read_mask
from shared.preprocessing import PreprocessingSettings

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "ct"
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="../shared/data is not beside the project"
)


def array(dtype: str) -> NDArray[Any]:
    return (np.random.default_rng(0).random((9, 10, 11)) * 1000 - 200).astype(dtype)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_a_volume_is_read_voxel_for_voxel(tmp_path: Path, suffix: str, dtype: str) -> None:
    path = tmp_path / f"arterial{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(array(dtype)), str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_image(path)), array(dtype))


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_a_file_cut_anywhere_is_never_another_volume(tmp_path: Path, suffix: str) -> None:
    """Refused, or, where no more than a byte of the trailer is gone, read as it was."""
    path = tmp_path / f"arterial{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(array("int16")), str(path), useCompression=True)
    whole = path.read_bytes()
    for kept in np.linspace(0, len(whole) - 1, 25).astype(int):
        path.write_bytes(whole[:kept])
        try:
            image = read_image(path)
        except ImagingError:
            continue
        assert kept >= len(whole) - 8
        np.testing.assert_array_equal(sitk.GetArrayFromImage(image), array("int16"))


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_a_damaged_byte_is_found(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"arterial{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(array("int16")), str(path), useCompression=True)
    whole = bytearray(path.read_bytes())
    # The text headers of NRRD and MetaImage have no checksum; what is packed has one.
    for position in range(20 if suffix == ".nii.gz" else 400, len(whole), 97):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(ImagingError):
            read_image(path)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_a_part_is_that_part_of_the_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"arterial{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(array("int16")), str(path), useCompression=True)
    box = slice(2, 7), slice(0, 4), slice(5, 11)
    np.testing.assert_array_equal(open_scan(path).read(box), array("int16")[box])


def test_damage_outside_the_part_is_found(tmp_path: Path) -> None:
    path = tmp_path / "arterial.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(array("int16")), str(path))
    damaged = bytearray(path.read_bytes())
    damaged[-30] ^= 0x10
    path.write_bytes(damaged)
    with pytest.raises(ImagingError):
        open_scan(path).read((slice(0, 1), slice(0, 2), slice(0, 2)))


@pytest.mark.parametrize("rest", [b"", b"more than the header promises"])
def test_a_file_of_several_members_is_read_and_its_damage_found(
    tmp_path: Path, rest: bytes
) -> None:
    """As block-wise packers write them: each member has a checksum of its own."""
    plain, packed = tmp_path / "arterial.nii", tmp_path / "arterial.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(array("int16")), str(plain))
    raw = plain.read_bytes()
    members = [gzip.compress(part) for part in (raw[:700], raw[700:1500], raw[1500:] + rest)]
    packed.write_bytes(b"".join(members))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_image(packed)), array("int16"))
    for member in range(3):
        damaged = bytearray(members[member])
        damaged[-6] ^= 0x10  # in the checksum
        packed.write_bytes(b"".join([*members[:member], damaged, *members[member + 1 :]]))
        with pytest.raises(ImagingError, match="damaged"):
            read_image(packed)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_header_that_promises_a_million_times_what_is_there(tmp_path: Path, suffix: str) -> None:
    plain, path = tmp_path / "plain.nii", tmp_path / f"arterial{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(array("int16")), str(plain))
    raw = bytearray(plain.read_bytes())
    raw[42:48] = np.full(3, 32767, "<i2").tobytes()
    path.write_bytes(gzip.compress(bytes(raw)) if suffix == ".nii.gz" else bytes(raw))
    with pytest.raises(ImagingError, match=r"cut short|cannot be held"):
        open_scan(path).read((slice(0, 1), slice(0, 2), slice(0, 2)))


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_big_endian_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"arterial{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(array("int16")), str(path))
    raw = path.read_bytes()
    start = len(raw) - array("int16").nbytes
    header = raw[:start].replace(b"little", b"big").replace(b"MSB = False", b"MSB = True")
    path.write_bytes(header + array("int16").astype(">i2").tobytes())
    np.testing.assert_array_equal(sitk.GetArrayFromImage(read_image(path)), array("int16"))


def test_voxels_in_another_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "volume.mhd"
    sitk.WriteImage(sitk.GetImageFromArray(array("int16")), str(path))
    path.rename(tmp_path / "arterial.mha")
    with pytest.raises(ImagingError, match="its own voxels"):
        read_image(tmp_path / "arterial.mha")


@pytest.mark.parametrize(("stored", "label"), [(1.9999, 2), (2.0001, 2), (0.9999, 1)])
def test_a_label_stored_as_a_rounded_number_is_that_label(
    tmp_path: Path, stored: float, label: int
) -> None:
    values = np.zeros((4, 5, 6), np.float64)
    values[2, 3, 4] = stored
    path = tmp_path / "mask.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(values), str(path))
    assert read_mask(path).voxels[2, 3, 4] == label


@pytest.mark.parametrize("value", [1.5, 3.0, -1.0])
def test_other_labels_are_refused(tmp_path: Path, value: float) -> None:
    path = tmp_path / "mask.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.full((4, 5, 6), value, np.float32)), str(path))
    with pytest.raises(ImagingError, match="labels other than"):
        read_mask(path)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_voxels_that_are_no_numbers_are_refused(tmp_path: Path, suffix: str, value: float) -> None:
    volume = array("float32")
    volume[4, 5, 6] = value
    path = tmp_path / f"arterial{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(volume), str(path))
    with pytest.raises(ImagingError, match="not numbers"):
        read_image(path)


def test_scaled_integers_are_read_as_hu(tmp_path: Path) -> None:
    """Slope 0.5 and intercept -100 in the header; the checksum cannot serve, the values must."""
    path = tmp_path / "arterial.nii"
    sitk.WriteImage(sitk.GetImageFromArray(array("int16")), str(path))
    raw = bytearray(path.read_bytes())
    raw[112:120] = np.array([0.5, -100.0], "<f4").tobytes()
    packed = tmp_path / "arterial.nii.gz"
    packed.write_bytes(gzip.compress(bytes(raw)))
    np.testing.assert_allclose(
        sitk.GetArrayFromImage(read_image(packed)), array("int16") * 0.5 - 100.0
    )
    packed.write_bytes(gzip.compress(bytes(raw[:-40])))
    with pytest.raises(ImagingError, match="cut short"):
        read_image(packed)


def test_a_colour_or_flat_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "arterial.mha"
    sitk.WriteImage(sitk.Image([5, 5, 5], sitk.sitkVectorUInt8, 3), str(path))
    with pytest.raises(ImagingError, match="grey values"):
        read_image(path)


@needs_data
def test_a_real_jpeg2000_series_equals_an_independent_decoder() -> None:
    folder = DATA / "totalsegmentator" / "example_ct_dicom"
    image = read_image(folder)
    slices = sorted(
        (pydicom.dcmread(path) for path in folder.iterdir()),
        key=lambda dataset: float(dataset.ImagePositionPatient[2]),
    )
    expected = [s.pixel_array * float(s.RescaleSlope) + float(s.RescaleIntercept) for s in slices]
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), np.stack(expected))
    assert image.GetSize() == (512, 512, 20)
    np.testing.assert_allclose(image.GetSpacing(), (0.977, 0.977, 2.0), atol=1e-3)


@needs_data
def test_a_missing_slice_in_a_real_series_is_refused(tmp_path: Path) -> None:
    source = sorted((DATA / "totalsegmentator" / "example_ct_dicom").iterdir())
    positions = {
        path: float(pydicom.dcmread(path, stop_before_pixels=True).ImagePositionPatient[2])
        for path in source
    }
    ordered = sorted(source, key=positions.__getitem__)
    for path in ordered[:7] + ordered[8:]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ImagingError, match="1 slice is missing"):
        read_image(tmp_path)


@needs_data
def test_a_real_mask_stored_the_other_way_round_lies_on_the_liver() -> None:
    """The README of the data: liver 366,708 voxels, 89 HU with a deviation of 22."""
    image = read_image(DATA / "totalsegmentator" / "example_ct_dicom")
    organs = read_image(DATA / "totalsegmentator" / "example_seg_dicom.nii.gz")
    liver = organs == 5
    assert int(sitk.GetArrayFromImage(liver).sum()) == 366_708
    on_image = sitk.Resample(liver, image, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    inside = sitk.GetArrayFromImage(image)[sitk.GetArrayFromImage(on_image) > 0].astype(float)
    assert inside.mean() == pytest.approx(89, abs=1)
    assert inside.std() == pytest.approx(22, abs=1)


@needs_data
def test_a_region_from_the_real_series_agrees_with_its_scan() -> None:
    """A stand-in tumour in the real liver, drawn in the mask's own flipped grid."""
    image = read_image(DATA / "totalsegmentator" / "example_ct_dicom")
    mask = real_mask_with_tumour()
    settings = PreprocessingSettings(shape=(20, 32, 32), spacing_mm=2.0, margin_mm=4.0)
    roi = extract_roi({"portal_venous": image}, mask, settings)
    liver_hu = roi.phases[1][roi.mask > 0].astype(float) * settings.scale_hu
    # Everything labelled is the patient's own liver, which is the reference: 0 up to texture.
    assert abs(liver_hu.mean()) < 10
    assert (roi.mask == 2).sum() * 8 == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.1)


def real_mask_with_tumour() -> sitk.Image:
    """Return the real liver as label 1 with a sphere of 12 mm in its middle as label 2."""
    organs = read_image(DATA / "totalsegmentator" / "example_seg_dicom.nii.gz")
    liver = sitk.GetArrayFromImage(organs) == 5
    centre = np.argwhere(liver).mean(axis=0).round().astype(int)
    step = np.array(organs.GetSpacing())[::-1]
    distance = np.linalg.norm((np.indices(liver.shape).T - centre) * step, axis=-1).T
    labels = liver.astype(np.uint8)
    labels[(distance <= 12) & liver] = 2
    mask = sitk.GetImageFromArray(labels)
    mask.CopyInformation(organs)
    return mask
