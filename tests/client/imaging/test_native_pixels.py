"""Pixels that are read without a decoder are those that decoders return."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless

from client.imaging.dicom import open_series
from client.imaging.dicom_header import read_slices
from client.imaging.dicom_pixels import read_hu
from client.imaging.errors import ImagingError
from tests.client.imaging.dicom_files import write_series

HU: NDArray[np.int16] = np.random.default_rng(0).integers(-1000, 2000, (4, 14, 11)).astype(np.int16)
ROWS, COLUMNS = slice(3, 9), slice(2, 10)
Change = Callable[[int, pydicom.Dataset], None]


def rescaled(slope: float, intercept: float, *, bits: int = 16, signed: int = 1) -> Change:
    def change(_: int, header: pydicom.Dataset) -> None:
        header.RescaleSlope, header.RescaleIntercept = slope, intercept
        header.BitsStored, header.HighBit, header.PixelRepresentation = bits, bits - 1, signed

    return change


KINDS = (
    rescaled(1, -1024),
    rescaled(1, 0),
    rescaled(1, -1024, bits=12, signed=0),
    rescaled(1, -2048, bits=13, signed=0),
    rescaled(1, -32768, signed=0),
    rescaled(1, -50000, signed=0),
    rescaled(2, -1024),
    rescaled(-1, 300),
    rescaled(0.5, -1024),
    rescaled(1.37, -1023.5),
    rescaled(0.0244, 17.3),
)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("change", KINDS)
def test_values_are_those_of_gdcm_to_the_bit(tmp_path: Path, change: Change, syntax: str) -> None:
    files = write_series(tmp_path, HU, change=change, syntax=syntax)
    slices = read_slices(files)
    assert all(one.native for one in slices)
    read = read_hu(slices, ROWS, COLUMNS)
    pixel_id = {"int16": sitk.sitkInt16, "int32": sitk.sitkInt32, "float32": sitk.sitkFloat32}
    decoded = sitk.GetArrayFromImage(
        sitk.ReadImage([str(file) for file in files], pixel_id[read.dtype.name])
    )
    np.testing.assert_array_equal(read, np.maximum(decoded, -1024)[:, ROWS, COLUMNS])


def test_an_inverted_display_leaves_the_values_as_they_are(tmp_path: Path) -> None:
    def change(_: int, header: pydicom.Dataset) -> None:
        header.PhotometricInterpretation = "MONOCHROME1"

    slices = read_slices(write_series(tmp_path, HU, change=change))
    assert all(one.native and one.inverted for one in slices)
    np.testing.assert_array_equal(read_hu(slices, slice(None), slice(None)), HU)


def test_a_file_cut_short_is_refused_though_the_rows_asked_for_are_there(tmp_path: Path) -> None:
    files = write_series(tmp_path, HU)
    files[2].write_bytes(files[2].read_bytes()[:-2])
    series = open_series(tmp_path)
    with pytest.raises(ImagingError, match="cut short") as error:
        series.read((slice(0, 4), slice(0, 2), slice(0, 2)))
    assert error.value.file == files[2]


def test_bits_beyond_those_in_use_are_left_to_decoders(tmp_path: Path) -> None:
    """Old scanners keep an overlay in the four bits that 12-bit values leave."""

    def change(number: int, header: pydicom.Dataset) -> None:
        header.BitsStored, header.HighBit, header.PixelRepresentation = 12, 11, 0

    files = write_series(tmp_path, HU, change=change)
    one = pydicom.dcmread(files[1])
    stored = np.frombuffer(one.PixelData, "<u2").copy()
    stored[::3] |= 0x1000
    one.PixelData = stored.tobytes()
    one.save_as(files[1])
    slices = read_slices(files)
    whole = read_hu(slices, slice(None), slice(None))
    decoded = sitk.GetArrayFromImage(sitk.ReadImage([str(f) for f in files], sitk.sitkInt16))
    np.testing.assert_array_equal(whole, np.maximum(decoded, -1024))


def test_encoded_pixels_and_pixels_of_an_odd_length_are_not_taken_as_they_are(
    tmp_path: Path,
) -> None:
    def longer(_: int, header: pydicom.Dataset) -> None:
        header.Rows += 1

    encoded = write_series(tmp_path / "encoded", HU, syntax=JPEGLSLossless)
    odd = write_series(tmp_path / "odd", HU, change=longer)
    assert not any(one.native for one in read_slices(encoded) + read_slices(odd))


def test_what_differs_between_slices_is_not_taken_over_from_the_first(tmp_path: Path) -> None:
    def change(number: int, header: pydicom.Dataset) -> None:
        header.RescaleSlope = (1, 2, 1, 2)[number]
        header.FrameOfReferenceUID = f"1.2.{number // 2}"
        header.PixelPaddingValue = -2000 - number

    slices = read_slices(write_series(tmp_path, HU, change=change))
    assert [one.slope for one in slices] == [1, 2, 1, 2]
    assert [one.space for one in slices] == ["1.2.0", "1.2.0", "1.2.1", "1.2.1"]
    assert [one.padding for one in slices] == [(-2000.0 - n, -2000.0 - n) for n in range(4)]
    assert [one.position_mm[2] for one in slices] == [0, 3, 6, 9]


@pytest.mark.filterwarnings("ignore:Invalid value for VR DS")
@pytest.mark.parametrize("place", [None, ["nan", 0, 6], [0, 0, 1e9], [0, 6]])
def test_a_position_is_checked_in_every_slice(tmp_path: Path, place: list[object] | None) -> None:
    def change(number: int, header: pydicom.Dataset) -> None:
        if number == 2 and place is None:
            del header.ImagePositionPatient
        elif number == 2:
            header.ImagePositionPatient = place

    files = write_series(tmp_path, HU, change=change)
    with pytest.raises(ImagingError, match=r"posit|geometry|damaged") as error:
        read_slices(files)
    assert error.value.file == files[2]
