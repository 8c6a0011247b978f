"""Series as scanners and archives write them, each with one defect."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, HTJ2KLossless, JPEGLSLossless, RLELossless

from client.imaging.dicom import open_files, open_series
from client.imaging.errors import ImagingError
from client.imaging.frame import extract_roi
from client.imaging.read import open_scan, read_image
from shared.preprocessing import PreprocessingSettings
from tests.client.imaging.dicom_files import SYNTAXES, Change, write_enhanced, write_series
from tests.memory import megabytes

HU: NDArray[np.int16] = np.random.default_rng(0).integers(-200, 300, (9, 12, 14)).astype(np.int16)


def read(folder: Path) -> NDArray[Any]:
    return np.asarray(sitk.GetArrayFromImage(read_image(folder)))


def test_slices_are_ordered_by_place_whatever_they_are_called(tmp_path: Path) -> None:
    names = [f"IM{n}" for n in np.random.default_rng(1).permutation(len(HU))]

    def number_backwards(number: int, header: pydicom.Dataset) -> None:
        header.InstanceNumber = len(HU) - number

    write_series(tmp_path / "a", HU, names=names, change=number_backwards)
    np.testing.assert_array_equal(read(tmp_path / "a"), HU)


@pytest.mark.parametrize(
    "axes",
    [
        ((1, 0, 0), (0, 1, 0)),
        ((1, 0, 0), (0, -1, 0)),
        ((0, 1, 0), (0, 0, -1)),
        ((0.8, 0.6, 0.0), (0.0, 0.0, -1.0)),
    ],
)
def test_a_series_lies_where_simpleitk_puts_it(tmp_path: Path, axes: Any) -> None:
    origin_mm = (-31.5, 12.25, 400.0)
    write_series(tmp_path / "a", HU, axes=axes, origin_mm=origin_mm)
    expected = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path / "a")))
    image = read_image(tmp_path / "a")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(expected))
    for name in ("GetOrigin", "GetSpacing", "GetDirection"):
        np.testing.assert_allclose(
            getattr(image, name)(), getattr(expected, name)(), atol=1e-6, err_msg=name
        )


def test_every_slice_has_its_own_rescaling(tmp_path: Path) -> None:
    """Halves of a HU in the later slices survive an integer first slice."""

    def halve(number: int, header: pydicom.Dataset) -> None:
        header.RescaleSlope = 1 if number < 4 else 0.5

    hu = HU.astype(np.float32)
    hu[4:] += 0.5
    write_series(tmp_path / "a", hu, change=halve)
    np.testing.assert_array_equal(read(tmp_path / "a"), hu)


def test_positions_rounded_by_a_header_are_regular(tmp_path: Path) -> None:
    def round_position(number: int, header: pydicom.Dataset) -> None:
        header.ImagePositionPatient = [0, 0, round(number * 0.625, 1)]

    write_series(tmp_path / "a", HU, spacing_mm=(0.7, 0.7, 0.625), change=round_position)
    assert read_image(tmp_path / "a").GetSpacing()[2] == pytest.approx(0.625, rel=0.01)


def test_what_archives_leave_beside_slices_is_passed_over(tmp_path: Path) -> None:
    write_series(tmp_path / "a", HU)
    for name in ("DICOMDIR", "Thumbs.db", ".DS_Store", "readme.txt"):
        (tmp_path / "a" / name).write_bytes(b"no image")
    np.testing.assert_array_equal(read(tmp_path / "a"), HU)


def test_a_series_is_opened_from_its_files_among_others(tmp_path: Path) -> None:
    def another(number: int, header: pydicom.Dataset) -> None:
        header.SeriesInstanceUID = "1.2.3"

    names = [f"other{n}" for n in range(len(HU))]
    write_series(tmp_path, HU + 1, names=names, change=another)
    files = write_series(tmp_path, HU)
    scan = open_files(files[::-1])
    np.testing.assert_array_equal(scan.read(scan.grid.whole), HU)


def set_tag(name: str, value: object, *, first: int = 0) -> Change:
    """Return a change that sets a tag from a slice on."""

    def change(number: int, header: pydicom.Dataset) -> None:
        if number >= first:
            setattr(header, name, value)

    return change


def drop_tag(name: str) -> Change:
    def change(number: int, header: pydicom.Dataset) -> None:
        delattr(header, name)

    return change


def slide(number: int, header: pydicom.Dataset) -> None:
    """46 degrees: the table did not move as the slices say."""
    header.ImagePositionPatient = [0, number * 3 * np.tan(np.radians(46)), number * 3]


def jolt(number: int, header: pydicom.Dataset) -> None:
    header.ImagePositionPatient = [0, 0 if number < 4 else 1.2, number * 3]


def double(number: int, header: pydicom.Dataset) -> None:
    header.ImagePositionPatient = [0, 0, 3 * max(number, 1)]


def crowd(number: int, header: pydicom.Dataset) -> None:
    header.ImagePositionPatient = [0, 0, 3 * number if number != 4 else 9.4]


def stray(number: int, header: pydicom.Dataset) -> None:
    header.ImagePositionPatient = [0, 0, 3 * number + 0.4 * (number == 4)]


def thin_out(number: int, header: pydicom.Dataset) -> None:
    header.ImagePositionPatient = [0, 0, 3 * number if number < 5 else 12 + 1.5 * (number - 4)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_tag("SeriesInstanceUID", "1.2.3", first=5), "2 series in one folder"),
        (set_tag("PixelSpacing", [1.2, 1.2], first=5), "several sizes or pixel spacings"),
        (set_tag("ImageOrientationPatient", [1, 0, 0, 0, 0, -1], first=5), "orientations"),
        (set_tag("ImageOrientationPatient", [1, 0, 0, 1, 0, 0]), "perpendicular"),
        (set_tag("Modality", "MR"), "not a CT"),
        (drop_tag("ImagePositionPatient"), "no position in space"),
        (drop_tag("RescaleIntercept"), "not HU"),
        (drop_tag("RescaleSlope"), "not HU"),
        (drop_tag("ImageOrientationPatient"), "no orientation in space"),
        (drop_tag("PixelSpacing"), "no pixel spacing"),
        (set_tag("RescaleType", "MGML"), "not HU"),
        (set_tag("SamplesPerPixel", 3), "colour"),
        (set_tag("FrameOfReferenceUID", "1.2.3", first=5), "frames of reference"),
        (set_tag("NumberOfFrames", 2), "without a place for each"),
        (slide, "more than 45 degrees"),
        (jolt, "not as a tilted gantry"),
        (double, r"0001.dcm: two different slices lie at \(0.0, 0.0, 3.0\) mm"),
        (crowd, "0004.dcm: .* lie 0.40 mm apart"),
        (stray, r"0004.dcm: .* 0.40 mm off its place in a stack of 3.00 mm"),
        (thin_out, "1.50 to 3.00 mm apart; 4 are missing"),
    ],
)
def test_a_series_that_is_no_volume_is_refused(tmp_path: Path, change: Change, reason: str) -> None:
    write_series(tmp_path / "a", HU, change=change)
    with pytest.raises(ImagingError, match=reason):
        read_image(tmp_path / "a")


@pytest.mark.parametrize("missing", [1, 4, 7])
def test_a_missing_slice_is_refused_where_it_is_needed_and_only_there(
    tmp_path: Path, missing: int
) -> None:
    write_series(tmp_path / "a", HU)[missing].unlink()
    below, above = (f"(0.0, 0.0, {3.0 * place}) mm" for place in (missing - 1, missing + 1))
    between = f"between {below} and {above}"
    with pytest.raises(ImagingError, match=f"1 slice is missing .* {re.escape(between)}"):
        read_image(tmp_path / "a")
    scan = open_series(tmp_path / "a")
    assert scan.notes == ((f"a slice is missing {between}", tmp_path / "a"),)
    for box in (
        (slice(0, missing), *scan.grid.whole[1:]),
        (slice(missing + 1, 9), *scan.grid.whole[1:]),
    ):
        np.testing.assert_array_equal(scan.read(box), HU[box])


def test_an_exact_double_is_passed_over_with_a_note(tmp_path: Path) -> None:
    files = write_series(tmp_path / "a", HU)
    (tmp_path / "a" / "copy.dcm").write_bytes(files[3].read_bytes())
    scan = open_series(tmp_path / "a")
    np.testing.assert_array_equal(scan.read(scan.grid.whole), HU)
    assert scan.notes == (
        (
            "an exact double of the slice at (0.0, 0.0, 9.0) mm was passed over",
            tmp_path / "a" / "copy.dcm",
        ),
    )


def test_two_phases_in_one_series_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "a", HU)
    write_series(tmp_path / "a", HU + 5, names=[f"late{n}" for n in range(len(HU))])
    with pytest.raises(ImagingError, match="several phases or reconstructions in one series"):
        read_image(tmp_path / "a")


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless])
@pytest.mark.parametrize("signed", [0, 1])
def test_a_photometric_interpretation_changes_no_hu(
    tmp_path: Path, syntax: str, signed: int
) -> None:
    """MONOCHROME1 tells how to display; GDCM inverts its values, which would turn air to bone."""

    def invert(number: int, header: pydicom.Dataset) -> None:
        header.PhotometricInterpretation = "MONOCHROME1"
        header.PixelRepresentation = signed

    write_series(tmp_path / "a", HU, change=invert, syntax=syntax)
    np.testing.assert_array_equal(read(tmp_path / "a"), HU)


def test_a_type_that_holds_one_slice_holds_all(tmp_path: Path) -> None:
    """The first slice alone would fit into unsigned bytes."""
    hu = HU.copy()
    hu[0] = np.abs(hu[0]) % 200

    def small(number: int, header: pydicom.Dataset) -> None:
        header.RescaleIntercept = 0 if number == 0 else -1024
        header.PixelRepresentation = 0
        if number == 0:
            header.BitsStored, header.HighBit = 8, 7

    write_series(tmp_path / "a", hu, change=small)
    np.testing.assert_array_equal(read(tmp_path / "a"), hu)


def test_padding_is_air(tmp_path: Path) -> None:
    """Padding of -2000 and -3024 HU, and padding that has the value of a tissue.

    The last has the same value within the body, where it is not padding.
    """
    for name, padding_hu in (("a", -2000), ("b", -3024), ("c", 40)):
        hu, expected = HU.copy(), HU.copy()
        hu[hu == 40] = expected[expected == 40] = 41
        hu[:, :3], expected[:, :3] = padding_hu, -1024
        hu[:, 7, 6] = expected[:, 7, 6] = 40

        def declare(number: int, header: pydicom.Dataset, value: int = padding_hu) -> None:
            header.PixelPaddingValue = value + 1024

        write_series(tmp_path / name, hu, change=declare)
        np.testing.assert_array_equal(read(tmp_path / name), expected)


def test_padding_does_not_darken_the_edge_of_a_region(tmp_path: Path) -> None:
    """Voxels averaged across the edge of the field of view count it as air, not as -3024 HU."""
    labels = np.ones((16, 32, 32), np.uint8)
    labels[6:10, 12:20, 3:11] = 2
    settings = PreprocessingSettings(shape=(8, 16, 16), spacing_mm=4.0, margin_mm=4.0)
    regions = []
    for outside in (-1024, -3024):
        hu = np.full(labels.shape, 60, np.int16)
        hu[:, :, :4] = outside
        write_series(tmp_path / f"{outside}", hu, spacing_mm=(2.0, 2.0, 2.0))
        image = read_image(tmp_path / f"{outside}")
        mask = sitk.GetImageFromArray(labels)
        mask.CopyInformation(image)
        regions.append(extract_roi({"arterial": image}, mask, settings).phases)
    np.testing.assert_array_equal(regions[0], regions[1])


def test_an_encoding_that_nothing_decodes_is_named(tmp_path: Path) -> None:
    for file in write_series(tmp_path / "a", HU):
        header = pydicom.dcmread(file)
        header.file_meta.TransferSyntaxUID = HTJ2KLossless
        header.PixelData = encapsulate([b"\xff\x4f\xff\x51" + b"\0" * 60])
        header["PixelData"].VR = "OB"
        header.save_as(file)
    with pytest.raises(ImagingError, match=r"0000.dcm: .*High-Throughput JPEG 2000"):
        read_image(tmp_path / "a")


def test_an_enhanced_file_has_a_rescaling_for_each_frame(tmp_path: Path) -> None:
    slopes = [1, 1, 2, 1, 0.5, 1, 1, 1, 1]
    hu = HU - HU % 2
    write_enhanced(tmp_path / "a" / "enhanced", hu, slopes=slopes)
    np.testing.assert_array_equal(read(tmp_path / "a"), hu)


def test_an_enhanced_file_of_two_phases_is_refused(tmp_path: Path) -> None:
    """A dynamic acquisition: every place twice."""
    write_enhanced(tmp_path / "a" / "enhanced", HU, order=[*range(9), *range(8)])
    assert len(open_series(tmp_path / "a").notes) == 8

    def brighten(header: pydicom.Dataset) -> None:
        frames = np.frombuffer(header.PixelData, "<i2").reshape(-1, *HU.shape[1:]).copy()
        frames[9:] += 7
        header.PixelData = frames.tobytes()

    write_enhanced(tmp_path / "b" / "enhanced", HU, order=[*range(9), *range(8)], change=brighten)
    with pytest.raises(ImagingError, match="several phases or reconstructions"):
        open_series(tmp_path / "b")


def test_an_enhanced_file_whose_frames_are_not_all_described_is_refused(tmp_path: Path) -> None:
    def forget(header: pydicom.Dataset) -> None:
        del header.PerFrameFunctionalGroupsSequence[-1]

    write_enhanced(tmp_path / "a" / "enhanced", HU, change=forget)
    with pytest.raises(ImagingError, match="9 frames, 8 of them described"):
        open_series(tmp_path / "a")


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("slice_number", [0, 4, 8])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.4, 0.9, 0.99])
def test_a_slice_cut_short_is_named(
    tmp_path: Path, slice_number: int, kept: float, syntax: str
) -> None:
    """Also the first or last one, without which the rest would still make a volume."""
    file = write_series(tmp_path / "a", HU, syntax=syntax)[slice_number]
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(ImagingError) as caught:
        read_image(tmp_path / "a")
    assert caught.value.file == file


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells peak memory")
def test_a_slice_cut_short_takes_no_memory(tmp_path: Path) -> None:
    """GDCM looks for the rest of a run-length encoded slice in gigabytes."""
    file = write_series(tmp_path / "a", HU, syntax=RLELossless)[8]
    file.write_bytes(file.read_bytes()[:-80])
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew, proc_pid_clear_refs(5)
    before = megabytes("VmRSS")
    with pytest.raises(ImagingError):
        read_image(tmp_path / "a")
    assert megabytes("VmHWM") - before < 200


def empty(folder: Path) -> None:
    folder.mkdir()


def single(folder: Path) -> None:
    write_series(folder, HU[:1])


def foreign(folder: Path) -> None:
    folder.mkdir()
    (folder / "slice.dcm").write_bytes(b"this is no DICOM" * 100)


@pytest.mark.parametrize(
    ("make", "reason"),
    [(empty, "no readable DICOM"), (single, "single slice"), (foreign, "not readable DICOM")],
)
def test_a_folder_without_a_volume_is_refused(
    tmp_path: Path, make: Callable[[Path], None], reason: str
) -> None:
    make(tmp_path / "a")
    with pytest.raises(ImagingError, match=reason):
        read_image(tmp_path / "a")


def test_only_the_slices_of_a_part_are_decoded(tmp_path: Path) -> None:
    files = write_series(tmp_path / "a", HU)
    scan = open_scan(tmp_path / "a")
    files[0].unlink()
    box = slice(2, 6), slice(1, 8), slice(3, 14)
    np.testing.assert_array_equal(scan.read(box), HU[box])
