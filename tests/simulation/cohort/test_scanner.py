from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from simulation.cohort.body import draw_build
from simulation.cohort.scanner import Protocol, draw_protocol, scan
from simulation.cohort.settings import ScannerSettings

STILL = (0.0, 0.0, 0.0)
SCANNER = ScannerSettings(
    manufacturer="ANY",
    kernel="standard",
    noise_hu=0.0,
    spacing_mm=(1.5, 1.5),
    slice_thickness_mm=(3.0,),
)


def protocol(scanner: ScannerSettings) -> Protocol:
    build = draw_build(np.random.default_rng(0))
    drawn = draw_protocol(scanner, build, 1.0, np.random.default_rng(0))
    return replace(drawn, noise_hu=scanner.noise_hu, hu_offset=scanner.hu_offset)


def water(chosen: Protocol) -> NDArray[np.float32]:
    return np.zeros(chosen.grid.shape, dtype=np.float32)


def middle(volume: NDArray[np.int16]) -> NDArray[np.float64]:
    _, height, width = volume.shape
    rows, columns = (
        slice(height // 2 - 10, height // 2 + 10),
        slice(width // 2 - 10, width // 2 + 10),
    )
    return volume[:, rows, columns].astype(float)


@pytest.mark.parametrize("kernel", ["soft", "standard", "sharp"])
def test_noise_has_the_stated_spread_whatever_the_kernel(kernel: str) -> None:
    chosen = protocol(replace(SCANNER, kernel=kernel, noise_hu=15.0))  # type: ignore[arg-type]
    volume = scan(water(chosen), chosen, STILL, np.random.default_rng(0))
    assert middle(volume).std() == pytest.approx(15.0, rel=0.05)
    assert middle(volume).mean() == pytest.approx(0.0, abs=0.5)


def test_a_sharp_kernel_has_finer_grain() -> None:
    def neighbours(kernel: str) -> float:
        chosen = protocol(replace(SCANNER, kernel=kernel, noise_hu=15.0))  # type: ignore[arg-type]
        noise = middle(scan(water(chosen), chosen, STILL, np.random.default_rng(0)))
        return float(np.corrcoef(noise[..., 1:].ravel(), noise[..., :-1].ravel())[0, 1])

    assert neighbours("sharp") < neighbours("standard") < neighbours("soft")
    assert neighbours("soft") > 0.5


def test_thick_slices_average_what_lies_in_them() -> None:
    chosen = protocol(replace(SCANNER, slice_thickness_mm=(7.0,)))
    assert chosen.spacing_mm[2] == pytest.approx(7.0)
    body = water(chosen)
    step_mm = chosen.grid.spacing_mm[2]
    body[30] = 100.0
    profile = scan(body, chosen, STILL, np.random.default_rng(0))[:, 40, 40]
    # One bright working step of 7/3 mm in a slab of three: a third of its contrast.
    assert profile.max() == pytest.approx(100 * step_mm / 7.0, abs=1)
    assert (profile > 0).sum() == 1


def test_overlapping_slices_keep_their_thickness() -> None:
    chosen = protocol(replace(SCANNER, slice_thickness_mm=(5.0,), slice_overlap=0.5))
    assert chosen.spacing_mm[2] == pytest.approx(2.5)
    body = water(chosen)
    body[30] = 100.0
    profile = scan(body, chosen, STILL, np.random.default_rng(0))[:, 40, 40]
    np.testing.assert_allclose(profile[profile > 0], [50, 50], atol=1)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_shift_moves_the_image_along_its_axis(axis: int) -> None:
    chosen = protocol(SCANNER)
    body = water(chosen)
    body[28:36, 60:80, 60:80] = 1000.0
    moved_mm = 0.6
    shift = [0.0, 0.0, 0.0]
    shift[axis] = moved_mm
    still = scan(body, chosen, STILL, np.random.default_rng(0)).astype(float)
    moved = scan(body, chosen, (shift[0], shift[1], shift[2]), np.random.default_rng(0))
    array_axis = 2 - axis

    def centroid(volume: NDArray[np.float64]) -> float:
        weights = volume.sum(axis=tuple(n for n in range(3) if n != array_axis))
        return float(np.average(np.arange(len(weights)), weights=weights))

    difference = (centroid(moved.astype(float)) - centroid(still)) * chosen.spacing_mm[axis]
    assert difference == pytest.approx(moved_mm, abs=0.05)


def test_calibration_error_moves_every_voxel() -> None:
    chosen = protocol(replace(SCANNER, hu_offset=7.0))
    volume = scan(water(chosen), chosen, STILL, np.random.default_rng(0))
    assert set(np.unique(volume)) == {7}
