"""RTSTRUCT: contours in space become the voxels inside them."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from matplotlib.path import Path as Outline
from numpy.typing import NDArray

from client.imaging.contours import inside_polygons, read_contours
from client.imaging.dicom import DicomSeries, open_series
from client.imaging.errors import ImagingError
from client.imaging.read import read_mask
from tests.client.imaging.dicom_files import SERIES, write_series, write_structures

SPACING_MM = (1.5, 1.25, 3.0)
SHAPE = (6, 40, 44)
OBLIQUE = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))[0]


def star(centre: tuple[float, float], radius: float, corners: int = 23) -> NDArray[np.float64]:
    """Return a ragged outline, shape (n, 2), in pixels."""
    generator = np.random.default_rng(corners)
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    lengths = radius * generator.uniform(0.5, 1, corners)
    return np.asarray(centre + lengths[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1))


def by_matplotlib(outline: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    y, x = np.indices(shape)
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    return np.asarray(Outline(outline).contains_points(points).reshape(shape))


def write_scan(folder: Path, axes: NDArray[Any], tilt_mm: tuple[float, float]) -> DicomSeries:
    def place(number: int, header: pydicom.Dataset) -> None:
        header.FrameOfReferenceUID = f"{SERIES}.9"

    hu = np.full(SHAPE, 60, np.int16)
    write_series(
        folder,
        hu,
        spacing_mm=SPACING_MM,
        axes=(axes[:, 0].tolist(), axes[:, 1].tolist()),
        advance_mm=(axes @ (*tilt_mm, SPACING_MM[2])).tolist(),
        change=place,
    )
    return open_series(folder)


def in_space(
    outline: NDArray[np.float64], place: int, axes: NDArray[Any], tilt_mm: tuple[float, float]
) -> NDArray[np.float64]:
    """Return an outline of pixels in a slice as points in mm, by hand."""
    x = outline[:, :1] * SPACING_MM[0] + place * tilt_mm[0]
    y = outline[:, 1:] * SPACING_MM[1] + place * tilt_mm[1]
    return np.asarray(axes[:, 0] * x + axes[:, 1] * y + axes[:, 2] * place * SPACING_MM[2])


@pytest.mark.parametrize("corners", [3, 4, 7, 23, 200])
def test_pixels_inside_an_outline_agree_with_matplotlib(corners: int) -> None:
    outline = star((20.3, 18.9), 17.0, corners)
    np.testing.assert_array_equal(
        inside_polygons([outline], SHAPE[1:]), by_matplotlib(outline, SHAPE[1:])
    )


def test_an_outline_may_pass_the_edge_of_the_slice() -> None:
    for centre in ((0.0, 0.0), (43.0, 20.0), (20.0, 39.0), (-3.0, 20.0)):
        outline = star(centre, 15.0)
        np.testing.assert_array_equal(
            inside_polygons([outline], SHAPE[1:]), by_matplotlib(outline, SHAPE[1:])
        )


def test_neighbouring_outlines_share_no_pixel_and_leave_none() -> None:
    """Corners on pixel centres: every pixel of both squares belongs to exactly one."""
    left = np.array([[2, 2], [6, 2], [6, 9], [2, 9]], float)
    right = left + np.array([4, 0])
    both = inside_polygons([left], (12, 14)).astype(int) + inside_polygons([right], (12, 14))
    assert both.max() == 1
    assert both.sum() == 8 * 7


@pytest.mark.parametrize("axes", [np.eye(3), np.diag([-1.0, -1, 1]), OBLIQUE])
@pytest.mark.parametrize("tilt_mm", [(0.0, 0.0), (0.3, -0.9)])
@pytest.mark.parametrize("referred", [True, False])
def test_contours_fill_the_voxels_of_their_series(
    tmp_path: Path, axes: NDArray[Any], tilt_mm: tuple[float, float], referred: bool
) -> None:
    """A liver with a hole and a tumour in it, on an oblique and a tilted series."""
    axes = axes * [1, 1, np.linalg.det(axes)]
    scan = write_scan(tmp_path / "arterial", axes, tilt_mm)
    outer, hole, tumour = star((21.4, 19.2), 17.6), star((21, 19), 5.0, 9), star((30, 21), 4.0, 8)
    regions = [
        (
            "Liver",
            [in_space(o, place, axes, tilt_mm) for place in (1, 2, 3) for o in (outer, hole)],
        ),
        ("GTV 1", [in_space(tumour, 2, axes, tilt_mm)]),
        ("Kidney_L", [in_space(outer, 4, axes, tilt_mm)]),
    ]
    path = tmp_path / "rtstruct.dcm"
    write_structures(
        path, regions, series=scan.uid if referred else "", space=scan.grid.space or ""
    )
    mask = read_mask(path, [scan])
    assert mask.grid == scan.grid
    inside = [by_matplotlib(outline, SHAPE[1:]) for outline in (outer, hole, tumour)]
    expected = np.zeros(SHAPE, np.uint8)
    expected[1:4] = inside[0] ^ inside[1]
    expected[2][inside[2]] = 2
    np.testing.assert_array_equal(mask.voxels, expected)


def test_a_keyhole_is_a_hole(tmp_path: Path) -> None:
    """The outer outline runs to the inner one and back along the same line."""
    scan = write_scan(tmp_path / "arterial", np.eye(3), (0.0, 0.0))
    outer = np.array([[4, 4], [30, 4], [30, 30], [4, 30]], float) + 0.3
    inner = np.array([[10, 10], [10, 20], [20, 20], [20, 10]], float) + 0.3
    keyhole = np.concatenate([outer, outer[:1], inner, inner[:1]])
    for name, outlines in (("a", [keyhole]), ("b", [outer, inner])):
        contours = [in_space(o, 2, np.eye(3), (0.0, 0.0)) for o in outlines]
        write_structures(tmp_path / name, [("HCC", contours)], series=scan.uid)
    first, second = (read_contours(tmp_path / name, [scan]).voxels for name in "ab")
    np.testing.assert_array_equal(first, second)
    assert first[2].sum() == 2 * (26 * 26 - 10 * 10)


def test_a_contour_written_twice_counts_once(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "arterial", np.eye(3), (0.0, 0.0))
    contour = in_space(star((20, 20), 9.0), 2, np.eye(3), (0.0, 0.0))
    write_structures(tmp_path / "a", [("tumour", [contour, contour])], series=scan.uid)
    assert (read_contours(tmp_path / "a", [scan]).voxels[2] == 2).sum() > 50


def test_without_its_series_contours_make_their_own_grid(tmp_path: Path) -> None:
    """A disc of 20 mm in slices of 3 mm: its volume in space is kept to the pixels' edge."""
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    disc = np.stack([20 * np.cos(angles) + 5, 20 * np.sin(angles) - 40], axis=1)
    contours = [np.column_stack([disc, np.full(90, z)]) for z in (30.0, 33.0, 36.0, 42.0)]
    write_structures(tmp_path / "a", [("Tumor", contours)], series="1.2.3")
    mask = read_contours(tmp_path / "a", [])
    assert mask.grid.spacing_mm[2] == 3.0
    volume = float((mask.voxels == 2).sum()) * float(np.prod(mask.grid.spacing_mm))
    assert volume == pytest.approx(np.pi * 20**2 * 3 * 4, rel=0.01)
    middle = mask.grid.points_mm(np.argwhere(mask.voxels)[:, ::-1].astype(float)).mean(axis=0)
    np.testing.assert_allclose(middle, (5, -40, 35.25), atol=0.1)


def test_what_cannot_be_placed_is_refused(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "arterial", np.eye(3), (0.0, 0.0))
    contour = in_space(star((20, 20), 9.0), 2, np.eye(3), (0.0, 0.0))
    path = tmp_path / "rtstruct.dcm"
    between, above, beside = (
        contour + np.array(way) for way in ([0, 0, 1.5], [0, 0, 300], [300, 0, 0])
    )
    cases: list[tuple[str, list[NDArray[np.float64]], dict[str, str], str]] = [
        ("Tumor", [between], {"series": scan.uid}, "do not lie on the slices"),
        (
            "Tumor",
            [above],
            {"series": scan.uid},
            "do not lie on the slices",
        ),
        (
            "Tumor",
            [beside],
            {"series": scan.uid},
            "do not lie on the slices",
        ),
        ("Tumor", [between], {}, "in one plane"),
        ("Tumor", [contour @ OBLIQUE.T], {}, "is absent"),
        ("Tumor", [contour], {"kind": "OPEN_PLANAR"}, "region 1 has contours that are not closed"),
        ("Tumor", [contour[:2]], {}, "no area"),
        ("Spleen", [contour], {}, "no region in it is called liver or tumour"),
        ("Liver-GTV", [contour], {}, "segment 1 is called both liver and tumour"),
    ]
    for name, contours, options, reason in cases:
        write_structures(path, [(name, contours)], **options)
        with pytest.raises(ImagingError, match=reason) as caught:
            read_mask(path, [scan])
        assert caught.value.file == path


@pytest.mark.parametrize("kept", [0.0, 0.2, 0.5, 0.8, 0.98])
def test_a_structure_set_cut_short_is_refused(tmp_path: Path, kept: float) -> None:
    contours = [in_space(star((20, 20), 9.0), place, np.eye(3), (0.0, 0.0)) for place in range(5)]
    path = tmp_path / "rtstruct.dcm"
    write_structures(path, [("Tumor", contours)])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(ImagingError):
        read_mask(path)
