"""A volume written as DICOM lies where the standard's equation says, however it is stored."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from client.imaging.dicom import open_series
from client.imaging.grid import Scan
from client.imaging.read import read_image
from tests.client.imaging.dicom_files import SYNTAXES, write_enhanced, write_series

# GDCM's JPEG 2000 encoder, which only the tests use, crashes on slices of 6 x 7 pixels.
HU: NDArray[np.int16] = np.random.default_rng(0).integers(-900, 900, (5, 12, 14)).astype(np.int16)
SPACING_MM = (1.25, 0.75, 2.5)
ORIGIN_MM = (-31.5, 12.25, 400.0)

# Every order and sign of the three axes: as columns, where x, y and z of the array point to.
ORIENTATIONS = [
    np.eye(3)[:, order] * signs
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]
# Shift of a slice against the one before it, along rows and columns: 0, 12 and -21 degrees and
# both at once.
TILTS_MM = [(0.0, 0.0), (0.0, 0.53), (-0.96, 0.0), (0.4, -0.7)]
OBLIQUE = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]


def where(axes: NDArray[Any], tilt_mm: tuple[float, float]) -> NDArray[np.float64]:
    """Return the place of every voxel of `HU`, shape (n, 3): PS3.3, C.7.6.2.1.1, by hand."""
    z, y, x = (index.reshape(-1, 1) for index in np.indices(HU.shape))
    along_rows = axes[:, 0] * (x * SPACING_MM[0] + z * tilt_mm[0])
    along_columns = axes[:, 1] * (y * SPACING_MM[1] + z * tilt_mm[1])
    along_slices = axes[:, 2] * z * SPACING_MM[2]
    return np.asarray(np.array(ORIGIN_MM) + along_rows + along_columns + along_slices)


def write(folder: Path, axes: NDArray[Any], tilt_mm: tuple[float, float], syntax: str) -> None:
    advance = axes @ (*tilt_mm, SPACING_MM[2])
    write_series(
        folder,
        HU,
        spacing_mm=SPACING_MM,
        origin_mm=ORIGIN_MM,
        axes=(axes[:, 0].tolist(), axes[:, 1].tolist()),
        advance_mm=advance.tolist(),
        syntax=syntax,
    )


def check(scan: Scan, places_mm: NDArray[np.float64], hu: NDArray[Any] = HU) -> None:
    """Every voxel is at its place with its value, and there are no others."""
    voxels = scan.read(scan.grid.whole)
    indices = scan.grid.indices(places_mm)
    nearest = indices.round().astype(int)
    np.testing.assert_allclose(indices, nearest, atol=1e-3)
    np.testing.assert_array_equal(voxels[tuple(nearest[:, ::-1].T)], hu.ravel())
    assert voxels.size == hu.size
    np.testing.assert_allclose(scan.grid.points_mm(indices), places_mm, atol=1e-6)


@pytest.mark.parametrize("number", range(len(ORIENTATIONS)))
def test_any_orientation_and_tilt_comes_back_voxel_for_voxel(tmp_path: Path, number: int) -> None:
    """Each of 48 with each tilt; the syntaxes by turns."""
    axes = ORIENTATIONS[number]
    assert len({orientation.tobytes() for orientation in ORIENTATIONS}) == 48
    for turn, tilt_mm in enumerate(TILTS_MM):
        folder = tmp_path / f"{turn}"
        write(folder, axes, tilt_mm, SYNTAXES[(number + turn) % len(SYNTAXES)])
        check(open_series(folder), where(axes, tilt_mm))


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("tilt_mm", TILTS_MM)
def test_any_syntax_of_an_oblique_series(
    tmp_path: Path, syntax: str, tilt_mm: tuple[float, float]
) -> None:
    write(tmp_path / "a", OBLIQUE, tilt_mm, syntax)
    for path in (tmp_path / "a").iterdir():
        assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == syntax
    check(open_series(tmp_path / "a"), where(OBLIQUE, tilt_mm))


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"])
@pytest.mark.parametrize("number", [0, 11, 23, 37])
def test_frames_of_an_enhanced_file_in_any_order(tmp_path: Path, number: int, syntax: str) -> None:
    axes = ORIENTATIONS[number] * [1, 1, np.linalg.det(ORIENTATIONS[number])]
    write_enhanced(
        tmp_path / "a" / "enhanced.dcm",
        HU,
        spacing_mm=SPACING_MM,
        origin_mm=ORIGIN_MM,
        axes=(axes[:, 0].tolist(), axes[:, 1].tolist()),
        order=[3, 0, 4, 1, 2],
        syntax=syntax,
    )
    check(open_series(tmp_path / "a"), where(axes, (0.0, 0.0)))


def test_a_tilted_series_is_put_upright(tmp_path: Path) -> None:
    """A field that is linear in space is kept by linear interpolation, wherever slices lie."""
    axes, tilt_mm = np.eye(3), (0.0, 0.9)
    gradient = np.array([3.0, -2.0, 5.0])
    field = (where(axes, tilt_mm) @ gradient).reshape(HU.shape)
    offset = field.mean().round()
    write_series(
        tmp_path / "a",
        field - offset,
        spacing_mm=SPACING_MM,
        origin_mm=ORIGIN_MM,
        advance_mm=(*tilt_mm, SPACING_MM[2]),
    )
    image = read_image(tmp_path / "a")
    values = sitk.GetArrayFromImage(image)
    inside = 0
    for z, y, x in np.argwhere(values > -1024):
        point = np.array(image.TransformIndexToPhysicalPoint((int(x), int(y), int(z))))
        # Half of a HU is rounded away by the file, and another half by the result.
        assert values[z, y, x] == pytest.approx(point @ gradient - offset, abs=1.01)
        inside += 1
    assert inside > 0.7 * HU.size
