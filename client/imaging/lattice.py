"""The grid of a region of interest, and what scans hold on it."""

from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from client.imaging.affine import IDENTITY, Affine
from client.imaging.blocks import averaged, whole_blocks
from client.imaging.grid import Box, Grid, Scan, Volume

FloatArray = NDArray[np.float64]

_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Lattice:
    """The region's grid in the patient's space (LPS, mm)."""

    centre_mm: tuple[float, float, float]
    spacing_mm: float
    shape: tuple[int, int, int]

    @property
    def origin_mm(self) -> tuple[float, float, float]:
        """Centre of the first voxel, (x, y, z)."""
        x, y, z = (
            centre - self.spacing_mm * (count - 1) / 2
            for centre, count in zip(self.centre_mm, self.shape[::-1], strict=True)
        )
        return (x, y, z)

    def sample(
        self, image: sitk.Image, way: Affine, interpolator: int, outside: float
    ) -> NDArray[np.generic]:
        """Return an image's values on this grid, shape (D, H, W); `way` leads to its space."""
        sampled = sitk.Resample(
            image,
            self.shape[::-1],
            way.as_transform(),
            interpolator,
            self.origin_mm,
            (self.spacing_mm,) * 3,
            _IDENTITY,
            outside,
            image.GetPixelID(),
        )
        return np.asarray(sitk.GetArrayFromImage(sampled))

    def wider(self, by_mm: float) -> "Lattice":
        """Return a lattice that reaches further to every side."""
        more = 2 * int(np.ceil(by_mm / self.spacing_mm))
        depth, height, width = self.shape
        return replace(self, shape=(depth + more, height + more, width + more))

    def image(self, values: NDArray[np.float32]) -> sitk.Image:
        """Return values on this grid, shape (D, H, W), as an image at their place."""
        image = sitk.GetImageFromArray(values)
        image.SetOrigin(self.origin_mm)
        image.SetSpacing((self.spacing_mm,) * 3)
        return image

    @property
    def corners_mm(self) -> FloatArray:
        """Corners of the space that sampling here needs, shape (8, 3), as (x, y, z)."""
        half = self.spacing_mm * (np.array(self.shape[::-1]) + 1) / 2
        ends = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        return np.asarray(np.array(self.centre_mm) + half * ends, dtype=np.float64)

    def box(self, grid: Grid) -> Box | None:
        """Return the part of a grid that sampling here needs; None where they do not meet."""
        return grid.box_around(self.corners_mm)

    def points_mm(self, where: NDArray[np.bool_]) -> FloatArray:
        """Return the positions of chosen voxels, shape (n, 3), as (x, y, z)."""
        indices = np.argwhere(where)[:, ::-1].astype(np.float64)
        return np.asarray(indices * self.spacing_mm + np.array(self.origin_mm), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Near:
    """The part of a scan around a region: read once, and ready to be sampled.

    Attributes
    ----------
    image : Image or None
        HU clipped to a window, averaged to about the region's spacing, in the space that
        `upright` leads to; None where the scan does not reach the region.
    upright : Affine
    floor_hu : float
        What is filled in where the scan ends.
    native : Scan
        The scan, or the part of it that was read, voxel for voxel.
    """

    native: Scan
    image: sitk.Image | None
    upright: Affine
    floor_hu: float

    def on(self, lattice: Lattice, motion: Affine = IDENTITY) -> NDArray[np.float32]:
        """Return HU on a grid in one linear interpolation, shape (D, H, W).

        `motion` leads from a place of the grid to the place in the scan that is sampled.
        """
        if self.image is None:
            return np.full(lattice.shape, self.floor_hu, np.float32)
        way = motion.then(self.upright)
        return lattice.sample(self.image, way, sitk.sitkLinear, self.floor_hu).astype(np.float32)


def read_near(
    scan: Scan, lattice: Lattice, window_hu: tuple[float, float], also_mm: FloatArray | None = None
) -> Near:
    """Read the part of a scan that a grid needs, and what lies around the points `also_mm`.

    Native voxels finer than the grid's are averaged in blocks of whole voxels before the one
    linear interpolation: plain interpolation would pick eight of a hundred and keep the noise
    of eight.
    """
    low, _ = window_hu
    corners = lattice.corners_mm
    if also_mm is not None:
        corners = np.concatenate([corners, also_mm])
    whole = scan.grid.box_around(corners)
    if whole is not None:
        scan = Volume(scan.read(whole), scan.grid.part(whole))
    box = lattice.box(scan.grid)
    if box is None:
        return Near(scan, None, scan.grid.upright, low)
    blocks = whole_blocks([lattice.spacing_mm] * 3, scan.grid.spacing_mm)
    return Near(scan, averaged(scan, box, window_hu, blocks), scan.grid.upright, low)
