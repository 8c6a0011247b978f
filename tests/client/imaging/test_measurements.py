"""Measurements of phantoms whose signs are known."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from client.imaging.grid import Grid, Volume
from client.imaging.lesion import Lesion, signed_depth
from client.imaging.measurements import measure, smooth_inside
from client.imaging.tumours import Tumours
from shared.measurements import MEASUREMENTS

EDGE_MM = 80.0
NODULARITY_MM = 0.4
LIVER_HU = {"arterial": 65.0, "portal_venous": 110.0, "delayed": 90.0}
Array = NDArray[np.float64]


def grid(spacing_mm: tuple[float, float, float] = (1.5, 1.5, 3.0)) -> Grid:
    x, y, z = (int(EDGE_MM / edge) for edge in spacing_mm)
    return Grid((x, y, z), spacing_mm, (-40.0, -40.0, -40.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))


def positions(on: Grid) -> Array:
    """Return the place of every voxel from the middle, shape (3, D, H, W), as (x, y, z)."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in on.size[::-1]), indexing="ij")
    points = on.points_mm(np.stack([x, y, z], -1).reshape(-1, 3).astype(float))
    return points.T.reshape(3, *x.shape)


def ball(on: Grid, radius_mm: float, centre: tuple[float, float, float] = (0, 0, 0)) -> Array:
    """Return the depth below a sphere's surface."""
    offsets = positions(on) - np.array(centre).reshape(3, 1, 1, 1)
    return np.asarray(radius_mm - np.sqrt((offsets**2).sum(0)))


def lesion_of(inside: NDArray[np.bool_], on: Grid) -> Lesion:
    labels = np.where(inside, 2, 1).astype(np.uint8)
    return Lesion.of(Volume(labels, on), Tumours.find(labels, Path("mask")))


def measured(lesion: Lesion, hu: dict[str, Array], on: Grid) -> dict[str, float]:
    phases = {
        phase: lesion.sample(Volume(values.astype(np.float32), on), (-100.0, 300.0))
        for phase, values in hu.items()
    }
    values = measure(lesion, NODULARITY_MM, phases)  # type: ignore[arg-type]
    return dict(zip(MEASUREMENTS, values.tolist(), strict=True))


def plain(on: Grid) -> dict[str, Array]:
    return {phase: np.full(on.size[::-1], level) for phase, level in LIVER_HU.items()}


def test_a_sphere_has_its_diameter_and_a_smooth_full_margin() -> None:
    on = grid()
    found = measured(lesion_of(ball(on, 20) > 0, on), plain(on), on)
    assert found["log_diameter_mm"] == pytest.approx(np.log(40), abs=0.02)
    # Voxels alone make a margin stray by about a third of their edge: 0.7 of 20 mm.
    assert np.exp(found["margin_roughness"]) < 0.01 + 0.05
    assert found["log_solidity"] == pytest.approx(0, abs=0.12)
    assert found["satellites"] == found["other_tumours"] == 0


def test_an_ellipsoid_is_smooth_and_a_lobulated_body_is_not() -> None:
    on = grid((1.5, 1.5, 1.5))
    x, y, z = positions(on)
    ellipsoid = lesion_of((x / 24) ** 2 + (y / 18) ** 2 + (z / 18) ** 2 < 1, on)
    radius = np.sqrt(x**2 + y**2 + z**2)
    waves = np.sin(5 * np.arctan2(y, x)) * (1 - (z / np.maximum(radius, 1)) ** 2)
    rough = {a: lesion_of(radius < 20 * (1 + a * waves), on).roughness() for a in (0.1, 0.2)}
    assert ellipsoid.roughness() < rough[0.1] - 0.3
    # Twice the amplitude is twice the deviation.
    deviations = {a: np.exp(value) - 0.01 for a, value in rough.items()}
    assert deviations[0.2] / deviations[0.1] == pytest.approx(2, rel=0.2)


def test_the_margin_does_not_depend_on_the_thickness_of_slices() -> None:
    def roughness(spacing_mm: tuple[float, float, float]) -> float:
        on = grid(spacing_mm)
        x, y, _ = positions(on)
        lobes = 1 + 0.15 * np.sin(5 * np.arctan2(y, x))
        return lesion_of(ball(on, 0) + 22 * lobes > 0, on).roughness()

    assert roughness((1.5, 1.5, 5.0)) == pytest.approx(roughness((1.5, 1.5, 1.5)), abs=0.25)


def test_depth_is_the_distance_to_the_margin() -> None:
    on = grid((1.5, 1.5, 1.5))
    true = ball(on, 20)
    depth = signed_depth(true > 0, np.array([1.5, 1.5, 1.5]), 0)
    near = np.abs(true) < 15
    assert np.abs(depth - true)[near].max() < 1.5


@pytest.mark.parametrize("first", [(0, 0, 0), (5, 9, 7), (18, 26, 23)])
def test_depth_is_the_same_as_measured_over_the_whole_crop(first: tuple[int, int, int]) -> None:
    """Within a tumour only its own box is measured, also where it touches the crop's edges."""
    inside = np.zeros((24, 34, 31), bool)
    z, y, x = first
    inside[z : z + 6, y : y + 8, x : x + 8] = np.random.default_rng(0).random((6, 8, 8)) < 0.9
    edges_mm = np.array([2.5, 0.7, 0.7])
    within = ndimage.distance_transform_edt(inside, sampling=edges_mm) - 0.35
    beyond = ndimage.distance_transform_edt(~inside, sampling=edges_mm) - 0.35
    depth = signed_depth(inside, edges_mm, 0)
    np.testing.assert_array_equal(depth, np.where(inside, within, -beyond))


@pytest.mark.parametrize("first", [(0, 0, 0), (5, 9, 7), (18, 26, 23)])
def test_smoothing_is_the_same_as_over_the_whole_crop(first: tuple[int, int, int]) -> None:
    """Only the tumour and the filter's reach around it are smoothed."""
    on = Grid((31, 34, 24), (1.5, 1.5, 2.5), (0, 0, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    inside = np.zeros((24, 34, 31), bool)
    z, y, x = first
    inside[z : z + 6, y : y + 8, x : x + 8] = True
    lesion = lesion_of(inside, on)
    hu = np.random.default_rng(0).normal(60, 20, lesion.tumour.shape).astype(np.float32)
    sigma = (1.2 / 2.5, 1.2 / 1.5, 1.2 / 1.5)
    weight = ndimage.gaussian_filter(lesion.tumour.astype(float), sigma)
    total = ndimage.gaussian_filter(hu * lesion.tumour.astype(float), sigma)
    expected = (total / np.maximum(weight, 1e-3))[lesion.tumour]
    np.testing.assert_array_equal(smooth_inside(lesion, {"arterial": hu})["arterial"], expected)


def test_the_order_in_which_a_file_stores_its_axes_changes_nothing() -> None:
    """Slices of 5 mm blur a margin that they cut at a slant, wherever they stand in the array."""
    on = grid((1.5, 1.5, 5.0))
    depth = ball(on, 25)
    hu = {"arterial": 60 + 30 * np.clip(depth / 5, -1, 1)}
    stored = Grid(on.size[::-1], on.spacing_mm[::-1], on.origin_mm, (0, 0, 1, 0, 1, 0, 1, 0, 0))
    turned = {phase: np.transpose(values) for phase, values in hu.items()}
    expected = measured(lesion_of(depth > 0, on), hu, on)
    found = measured(lesion_of(np.transpose(depth) > 0, stored), turned, stored)
    assert (on.slice_axis, stored.slice_axis) == (0, 2)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-4, abs=1e-4, nan_ok=True), name


@pytest.mark.parametrize(("spacing_mm", "axis"), [((0.8, 0.8, 0.6), 0), ((0.8, 0.8, 0.8), 1)])
def test_slices_are_told_by_their_spacing_or_else_by_the_body(
    spacing_mm: tuple[float, float, float], axis: int
) -> None:
    """Stored as (x, z, y): the patient's long axis is the array's second."""
    stored = Grid((9, 9, 9), spacing_mm, (0, 0, 0), (1, 0, 0, 0, 0, 1, 0, 1, 0))
    assert stored.slice_axis == axis


def test_nodules_within_two_centimetres_are_satellites() -> None:
    on = grid((1.5, 1.5, 1.5))
    inside = ball(on, 12, (-20, 0, 0)) > 0
    near, far = ball(on, 5, (5, 0, 0)) > 0, ball(on, 5, (33, 0, 0)) > 0
    stray = ball(on, 1.6, (-20, 30, 0)) > 0
    lesion = lesion_of(inside | near | far | stray, on)
    # 25 mm between the centres less both radii; 53 mm likewise. The stray mark has 0.02 ml.
    assert sorted(lesion.gaps_mm) == pytest.approx([8, 36], abs=1.6)
    found = measured(lesion, plain(on), on)
    assert (found["satellites"], found["other_tumours"]) == (1, 1)


def test_contrasts_are_those_of_the_enhancing_part() -> None:
    """Necrosis of a third of the volume, which any mean over the tumour would mix in."""
    on = grid()
    depth = ball(on, 25)
    hu = plain(on)
    contrast = {"arterial": 40.0, "portal_venous": -10.0, "delayed": -25.0}
    for phase, values in hu.items():
        values[depth > 0] += contrast[phase]
        values[depth > 25 * (1 - (1 / 3) ** (1 / 3))] = 20.0
    found = measured(lesion_of(depth > 0, on), hu, on)
    assert found["non_enhancing_fraction"] == pytest.approx(1 / 3, abs=0.06)
    for phase, expected in contrast.items():
        assert found[f"{phase}_solid_hu"] == pytest.approx(expected, abs=4)
        assert found[f"{phase}_band_hu"] == pytest.approx(0, abs=6)
        assert found[f"{phase}_corona_hu"] == pytest.approx(0, abs=2)


def test_a_rim_and_a_corona_are_seen_apart() -> None:
    on = grid((1.5, 1.5, 1.5))
    depth = ball(on, 20)
    hu = plain(on)
    hu["arterial"] += np.where(depth > 0, 20 + 50 * np.exp(-(((depth - 1.5) / 2) ** 2)), 0)
    hu["portal_venous"] += np.where(depth < 0, 30 * np.exp(depth / 6.6), 0)
    found = measured(lesion_of(depth > 0, on), hu, on)
    assert found["arterial_solid_hu"] == pytest.approx(20, abs=4)
    assert found["arterial_band_hu"] == pytest.approx(50, rel=0.15)
    assert found["arterial_corona_hu"] == pytest.approx(0, abs=2)
    assert found["portal_venous_corona_hu"] == pytest.approx(30, rel=0.25)
    assert found["portal_venous_band_hu"] == pytest.approx(0, abs=6)


def test_noise_is_averaged_out() -> None:
    on = grid()
    depth = ball(on, 20)
    noise = np.random.default_rng(0)
    hu = {p: v + np.where(depth > 0, 30.0, 0) + noise.normal(0, 15, v.shape)
          for p, v in plain(on).items()}  # fmt: skip
    found = measured(lesion_of(depth > 0, on), hu, on)
    assert found["delayed_solid_hu"] == pytest.approx(30, abs=3)
    assert found["non_enhancing_fraction"] < 0.02


def test_what_an_absent_phase_would_tell_is_unknown() -> None:
    on = grid()
    hu = plain(on)
    del hu["delayed"]
    found = measured(lesion_of(ball(on, 15) > 0, on), hu, on)
    unknown = {name for name, value in found.items() if np.isnan(value)}
    assert unknown == {"delayed_solid_hu", "delayed_band_hu", "delayed_corona_hu"}


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 2, 1), (40, 40, 1)])
def test_the_smallest_marks_have_finite_measurements(size: tuple[int, int, int]) -> None:
    on = grid()
    inside = np.zeros(on.size[::-1], bool)
    w, h, d = size
    inside[10 : 10 + d, 5 : 5 + h, 5 : 5 + w] = True
    found = measured(lesion_of(inside, on), plain(on), on)
    assert all(np.isfinite(v) for name, v in found.items() if name != "log_solidity")


def test_a_fine_mask_and_a_coarse_scan_meet() -> None:
    """The mask at 0.5 mm, the scan at 2 mm on a shifted grid: the same contrast."""
    fine = grid((0.5, 0.5, 2.0))
    coarse = Grid((40, 40, 30), (2.0, 2.0, 2.6), (-39.1, -38.7, -39.5), fine.direction)
    hu = {"arterial": np.where(ball(coarse, 20) > 0, 100.0, 60.0)}
    lesion = lesion_of(ball(fine, 20) > 0, fine)
    found = measured(lesion, hu, coarse)
    assert lesion.spacing_mm.tolist() == [2.0, 1.5, 1.5]
    assert found["arterial_solid_hu"] == pytest.approx(40, abs=4)
    assert found["log_diameter_mm"] == pytest.approx(np.log(40), abs=0.02)
