"""From a body to voxels: the grid, breathing between phases, noise, point spread, calibration."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.cirrhotic.sites import Site
from tests.benchmarks.phantom.arrays import Field, Vector
from tests.benchmarks.phantom.grid import Grid

_VIEW_MM = (235, 184, 148)
_CORNER_MM = (-143, -102, -4)
# The mask is drawn on the portal venous phase: the others are taken in another breath.
_STILL_PHASE = 1
_NOISE = (1.08, 1.0, 0.95)
_FARTHEST_WEIGHT = 1e-5
_LOWEST_HU, _HIGHEST_HU = -1024, 2000


@dataclass(frozen=True)
class Scanner:
    """One patient's examination.

    Attributes
    ----------
    site : Site
    spacing_mm : tuple of float
        Distance between voxels, (x, y, z).
    origin_mm : tuple of float
        (x, y, z) of the first voxel in the scanner's coordinates; chance only.
    moved_mm : numpy.ndarray
        How far the body has moved in each phase along x, y and z, shape (3, 3).
    noise_hu : float
        Standard deviation in the portal venous phase.
    hu_shift : float
        What it measures too much.
    noise_rng : numpy.random.Generator
        Of the noise alone.
    """

    site: Site
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    moved_mm: Vector
    noise_hu: float
    hu_shift: float
    noise_rng: np.random.Generator


def draw_grid(site: Site, rng: np.random.Generator) -> Grid:
    """Draw a volume's grid, which covers the liver and what lies around it."""
    pixel_mm, slice_mm = site.pixel_mm * rng.uniform(0.96, 1.04), site.slice_mm
    left_mm, front_mm, foot_mm = _CORNER_MM
    width_mm, depth_mm, height_mm = _VIEW_MM
    x_mm = left_mm + pixel_mm * np.arange(int(width_mm / pixel_mm))
    y_mm = front_mm + pixel_mm * np.arange(int(depth_mm / pixel_mm))
    z_mm = slice_mm * (np.arange(int(height_mm / slice_mm)) + 0.5) + foot_mm
    return Grid(
        x_mm=x_mm.astype(np.float32),
        y_mm=y_mm.astype(np.float32),
        z_mm=z_mm.astype(np.float32),
        spacing_mm=(pixel_mm, pixel_mm, slice_mm),
    )


def draw_scanner(site: Site, grid: Grid, rng: np.random.Generator) -> Scanner:
    """Draw how a patient is scanned."""
    moved_z_mm, moved_x_mm, moved_y_mm = (rng.normal(0, spread, 3) for spread in (1.1, 0.5, 0.5))
    moved_mm = np.stack([moved_x_mm, moved_y_mm, moved_z_mm], axis=1)
    moved_mm[_STILL_PHASE] = 0
    noise_hu = site.noise_hu * math.exp(0.12 * rng.standard_normal())
    hu_shift = site.hu_shift + 1.5 * rng.standard_normal()
    x_mm, y_mm, z_mm = rng.uniform((-180, -150, -400), (-120, -90, -100))
    return Scanner(
        site=site,
        spacing_mm=grid.spacing_mm,
        origin_mm=(float(x_mm), float(y_mm), float(z_mm)),
        moved_mm=moved_mm,
        noise_hu=noise_hu,
        hu_shift=hu_shift,
        noise_rng=np.random.Generator(np.random.SFC64(rng.integers(2**62))),
    )


def acquire(volume_hu: Field, noise: Field, scanner: Scanner, phase: int) -> NDArray[np.int16]:
    """Return what a scanner makes of a volume in a phase.

    Parameters
    ----------
    volume_hu : numpy.ndarray
        (D, H, W).
    noise : numpy.ndarray
        White, of variance 1, (D, H, W). The point spread makes it smooth.
    scanner : Scanner
    phase : int

    Returns
    -------
    numpy.ndarray
        Whole HU, (D, H, W).
    """
    site, shape = scanner.site, volume_hu.shape
    blurs_mm = (site.blur_mm, site.blur_mm, site.slice_blur_mm)
    (x, x_kept), (y, y_kept), (z, z_kept) = (
        _point_spread(count, *of_axis)
        for count, *of_axis in zip(
            shape[::-1], scanner.spacing_mm, blurs_mm, scanner.moved_mm[phase], strict=True
        )
    )
    noise_hu = np.float32(scanner.noise_hu * _NOISE[phase] / (x_kept * y_kept * z_kept))
    blurred_hu = ((volume_hu + noise_hu * noise).reshape(-1, shape[2]) @ x.T).reshape(shape)
    blurred_hu = np.matmul(y, blurred_hu)
    blurred_hu = (z @ blurred_hu.reshape(shape[0], -1)).reshape(shape)
    measured_hu = np.clip(blurred_hu + scanner.hu_shift, _LOWEST_HU, _HIGHEST_HU)
    return np.asarray(np.rint(measured_hu), dtype=np.int16)


def _point_spread(
    count: int, spacing_mm: float, blur_mm: float, moved_mm: float
) -> tuple[Field, float]:
    """Return a matrix that blurs and moves one axis, (count, count), and the noise it leaves.

    The latter is by what the matrix multiplies the standard deviation of white noise.
    """
    places_mm = np.arange(count) * spacing_mm
    offsets_mm = places_mm[:, None] + moved_mm - places_mm[None, :]
    weights = np.exp(-0.5 * (offsets_mm / blur_mm) ** 2)
    weights[weights < _FARTHEST_WEIGHT] = 0
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
    return weights.astype(np.float32), float(np.sqrt((weights[count // 2] ** 2).sum()))
