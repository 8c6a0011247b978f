"""An abdomen made in code: liver with its portal vein, aorta, spine, spleen, gut and kidneys."""

from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from client.imaging.grid import Volume

Point = tuple[float, float, float]

SPACING_MM = (2.0, 2.0, 5.0)
SHAPE = (44, 118, 166)
ORIGIN_MM = (-165.0, -117.0, -110.0)


@dataclass(frozen=True)
class Contrast:
    """What each organ measures, in HU."""

    aorta: float
    liver: float
    portal: float
    cortex: float
    medulla: float
    pelvis: float
    spleen: float


CONTRAST = {
    "native": Contrast(42, 55, 42, 33, 33, 5, 46),
    "early arterial": Contrast(330, 58, 60, 170, 50, 5, 130),
    "late arterial": Contrast(300, 75, 145, 210, 85, 5, 150),
    "early portal venous": Contrast(178, 105, 182, 205, 105, 5, 130),
    "portal venous": Contrast(158, 110, 168, 190, 170, 8, 120),
    "nephrographic": Contrast(140, 104, 140, 180, 178, 10, 112),
    "delayed": Contrast(110, 92, 111, 145, 141, 20, 96),
    "excretory": Contrast(108, 90, 109, 140, 138, 650, 94),
}
# Where a kidney's centre lies, and its half axes.
KIDNEYS_MM = ((-62.0, 42.0, -62.0), (66.0, 42.0, -42.0))
KIDNEY_AXES_MM = (29.0, 24.0, 54.0)
GUT_MM: tuple[Point, ...] = ((70, -35, -20), (-40, -75, -80), (92, 5, -70))


@dataclass(frozen=True)
class Abdomen:
    """What there is to see.

    Attributes
    ----------
    kidneys : tuple of bool
        Right and left.
    stone : bool
        In the right renal pelvis.
    gut_hu : float
        What the gut beside the kidneys is filled with.
    tumour_hu : float or None
        None where there is none.
    """

    kidneys: tuple[bool, bool] = (True, True)
    stone: bool = False
    gut_hu: float = 15.0
    tumour_hu: float | None = None


PLAIN = Abdomen()


def labels(body: Abdomen = PLAIN) -> Volume:
    """Return the liver as a mask draws it, without the vessels outside it."""
    found = _liver().astype(np.uint8)
    if body.tumour_hu is not None:
        found[_tumour()] = 2
    return _volume(found)


def scan(
    contrast: Contrast, noise_hu: float = 12.0, seed: int = 0, body: Abdomen = PLAIN
) -> Volume:
    """Return a scan with noise as a soft kernel leaves it."""
    x, y, _ = _positions()
    hu = np.full(SHAPE, -1000.0)
    hu[(x / 155) ** 2 + (y / 112) ** 2 < 1] = -95
    hu[((np.abs(x) - 34) / 20) ** 2 + ((y - 62) / 17) ** 2 < 1] = 58  # psoas
    hu[_liver()] = contrast.liver
    if body.tumour_hu is not None:
        hu[_tumour()] = body.tumour_hu
    hu[_ellipsoid((105, 30, 40), (26, 42, 44))] = contrast.spleen
    for centre in GUT_MM:
        hu[_ellipsoid(centre, (24, 20, 24))] = 80
        hu[_ellipsoid(centre, (19, 15, 19))] = body.gut_hu
    hu[(x / 22) ** 2 + ((y - 45) / 17) ** 2 < 1] = 260
    hu[(x / 20) ** 2 + ((y - 74) / 16) ** 2 < 1] = 420
    hu[(x / 10) ** 2 + ((y - 71) / 9) ** 2 < 1] = 25
    ribs = np.abs(np.hypot(x / 146, y / 104) - 1) < 0.03
    hu[ribs & (np.sin(np.arctan2(y, x) * 9) > 0)] = 380
    hu[(x - 10) ** 2 + (y - 17) ** 2 < 11**2] = contrast.aorta
    hu[((x + 24) / 12) ** 2 + ((y - 16) / 9) ** 2 < 1] = 0.5 * (contrast.portal + contrast.cortex)
    hu[_portal_vein()] = contrast.portal
    for there, centre, stone in zip(body.kidneys, KIDNEYS_MM, (body.stone, False), strict=True):
        if there:
            _paint_kidney(hu, centre, contrast, stone)
    noise = np.random.default_rng(seed).normal(0, 1, SHAPE)
    noise = ndimage.gaussian_filter(noise, (0, 0.6, 0.6))
    return _volume((hu + noise_hu * noise / noise.std()).round().astype(np.int16))


def cropped(volume: Volume, lowest_mm: float) -> Volume:
    """Return a scan that ends at a height."""
    first = int(np.ceil((lowest_mm - ORIGIN_MM[2]) / SPACING_MM[2]))
    grid = replace(
        volume.grid,
        size=(*volume.grid.size[:2], volume.grid.size[2] - first),
        origin_mm=(*ORIGIN_MM[:2], ORIGIN_MM[2] + first * SPACING_MM[2]),
    )
    return Volume(volume.voxels[first:], grid)


def _paint_kidney(hu: NDArray[np.float64], centre: Point, contrast: Contrast, stone: bool) -> None:
    side = float(np.sign(centre[0]))
    a, b, c = KIDNEY_AXES_MM
    hu[_ellipsoid(centre, (a, b, c))] = contrast.cortex
    x, y, z = _positions()
    around = np.arctan2(y - centre[1], x - centre[0]) * 4 + (z - centre[2]) / 9
    pyramids = _ellipsoid(centre, (a - 7, b - 7, c - 7)) & (np.sin(around) > -0.6)
    hu[pyramids] = contrast.medulla
    hilum = (centre[0] - 14 * side, centre[1] - 3, centre[2])
    hu[_ellipsoid(hilum, (18, 8, 26))] = -90
    hu[_ellipsoid(hilum, (9, 5, 14))] = 900 if stone else contrast.pelvis


def _portal_vein() -> NDArray[np.bool_]:
    x, y, z = _positions()
    trunk = (np.abs(z + 5 - 0.4 * x) < 8) & ((y + 22) ** 2 < 6.5**2) & (x > -45) & (x < 0)
    right = (x + 75) ** 2 / 30**2 + (y + 18) ** 2 / 6**2 + (z - 5) ** 2 / 16**2 < 1
    left = (x + 48) ** 2 / 6**2 + (y + 42) ** 2 / 24**2 + (z - 16) ** 2 / 16**2 < 1
    return np.asarray(trunk | right | left, np.bool_)


def _liver() -> NDArray[np.bool_]:
    right = _ellipsoid((-78, -10, 12), (62, 72, 84))
    left = _ellipsoid((-15, -62, 35), (62, 30, 40))
    a, b, c = KIDNEY_AXES_MM
    beside = _ellipsoid(KIDNEYS_MM[0], (a + 5, b + 5, c + 5))
    x, y, _ = _positions()
    within = (x / 140) ** 2 + (y / 98) ** 2 < 1
    return np.asarray((right | left) & ~beside & within, np.bool_)


def _tumour() -> NDArray[np.bool_]:
    return _ellipsoid((-70, -48, -5), (16, 16, 18))


def _ellipsoid(centre: Point, axes: Point) -> NDArray[np.bool_]:
    (x, y, z), (a, b, c) = _positions(), axes
    away = ((x - centre[0]) / a) ** 2 + ((y - centre[1]) / b) ** 2 + ((z - centre[2]) / c) ** 2
    return np.asarray(away < 1, np.bool_)


def _positions() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    z, y, x = np.indices(SHAPE, dtype=np.float64)
    (dx, dy, dz), (x0, y0, z0) = SPACING_MM, ORIGIN_MM
    return x * dx + x0, y * dy + y0, z * dz + z0


def _volume(voxels: NDArray[np.generic]) -> Volume:
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(SPACING_MM)
    image.SetOrigin(ORIGIN_MM)
    return Volume.of(image)
