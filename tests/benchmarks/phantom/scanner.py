"""From a body to voxels: the field of view, HU calibration, breathing, noise, point spread."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from tests.benchmarks.phantom.arrays import Field
from tests.benchmarks.phantom.grid import Grid
from tests.benchmarks.phantom.sites import Site

_SMALL_VIEW_MM = 300
_BREATHING_MM = 1.5
_BLUR_SLICES = 0.30
_KERNEL_REACH = 2.5
_LOWEST_HU, _HIGHEST_HU = -1024, 3000


def draw_grid(site: Site, rng: np.random.Generator) -> Grid:
    """Draw a volume's grid; a small field of view is set on the liver."""
    pixel_mm = site.pixel_mm * rng.uniform(0.94, 1.06)
    small = pixel_mm * site.pixels < _SMALL_VIEW_MM
    middle_x_mm, middle_y_mm = (-45, -5) if small else (-15, 0)
    across_mm = (np.arange(site.pixels) - (site.pixels - 1) / 2) * pixel_mm
    along_mm = (np.arange(site.slices) - (site.slices - 1) / 2) * site.slice_mm
    return Grid(
        x_mm=(middle_x_mm + across_mm).astype(np.float32),
        y_mm=(middle_y_mm + across_mm).astype(np.float32),
        z_mm=along_mm.astype(np.float32),
        spacing_mm=(pixel_mm, pixel_mm, site.slice_mm),
    )


def calibrate(volume_hu: Field, site: Site) -> None:
    """Shift and stretch soft tissue's HU as the site's scanner does; air stays air."""
    ramp = np.clip((volume_hu + 1000) / 850, 0, 1)
    volume_hu += ramp * ((site.hu_scale - 1) * volume_hu + site.hu_shift)


def breathe(volume_hu: Field, site: Site, rng: np.random.Generator) -> Field:
    """Return the volume moved along z by a whole number of slices, mostly none."""
    moved = int(np.round(rng.normal(0, _BREATHING_MM) / site.slice_mm))
    return volume_hu[np.clip(np.arange(site.slices) + moved, 0, site.slices - 1)]


def acquire(volume_hu: Field, site: Site, rng: np.random.Generator) -> NDArray[np.int16]:
    """Add noise, blur both and round to whole HU; shape (D, H, W)."""
    blur = (_BLUR_SLICES, site.blur_pixels, site.blur_pixels)
    kept = np.prod([_kept_noise(sigma) for sigma in blur])
    # A NumPy scalar, so that the noise is scaled in double precision.
    noise_hu = np.float64(site.noise_hu * rng.uniform(0.85, 1.2) / kept)
    volume_hu += noise_hu * rng.standard_normal(volume_hu.shape, dtype=np.float32)
    for axis, sigma in enumerate(blur):
        volume_hu = gaussian_filter1d(
            volume_hu, sigma, axis, truncate=_KERNEL_REACH, mode="nearest"
        )
    return np.clip(np.rint(volume_hu), _LOWEST_HU, _HIGHEST_HU).astype(np.int16)


def _kept_noise(sigma: float) -> float:
    """Return by what a Gaussian filter along one axis multiplies the spread of white noise."""
    impulse = np.zeros(31)
    impulse[15] = 1
    return float(np.sqrt((gaussian_filter1d(impulse, sigma, truncate=_KERNEL_REACH) ** 2).sum()))
