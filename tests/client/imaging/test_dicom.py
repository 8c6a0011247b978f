"""Series as scanners and archives write them, each with one defect."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from client.imaging.dicom import open_files
from client.imaging.errors import ImagingError
from client.imaging.read import open_scan, read_image
from tests.client.imaging.dicom_files import Change, write_series

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


def tilt(number: int, header: pydicom.Dataset) -> None:
    header.ImagePositionPatient = [0, number * 3 * np.tan(np.radians(12)), number * 3]


def double(number: int, header: pydicom.Dataset) -> None:
    header.ImagePositionPatient = [0, 0, 3 * max(number, 1)]


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
        (tilt, "gantry was tilted"),
        (double, "not evenly spaced"),
        (thin_out, "not evenly spaced"),
    ],
)
def test_a_series_that_is_no_volume_is_refused(tmp_path: Path, change: Change, reason: str) -> None:
    write_series(tmp_path / "a", HU, change=change)
    with pytest.raises(ImagingError, match=reason):
        read_image(tmp_path / "a")


@pytest.mark.parametrize("missing", [1, 4, 7])
def test_a_missing_slice_is_refused(tmp_path: Path, missing: int) -> None:
    write_series(tmp_path / "a", HU)[missing].unlink()
    with pytest.raises(ImagingError, match="missing or doubled"):
        read_image(tmp_path / "a")


@pytest.mark.parametrize("slice_number", [0, 4, 8])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.4, 0.9, 0.999])
def test_a_slice_cut_short_is_named(tmp_path: Path, slice_number: int, kept: float) -> None:
    """Also the first or last one, without which the rest would still make a volume."""
    file = write_series(tmp_path / "a", HU)[slice_number]
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(ImagingError) as caught:
        read_image(tmp_path / "a")
    assert caught.value.file == file


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
