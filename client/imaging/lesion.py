"""The largest tumour as a body: where its margin runs, how deep each voxel lies, what is near.

Everything is measured on the mask's own axes, coarsened by whole voxels to about
`_WORKING_MM` where the mask is finer: no interpolation comes between mask and measurement.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError, cKDTree

from client.imaging.affine import IDENTITY, Affine
from client.imaging.blocks import averaged, in_blocks, whole_blocks
from client.imaging.grid import Grid, Scan, Volume
from client.imaging.tumours import Tumours, bounds
from shared.tasks import LIVER_LABEL

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]

_WORKING_MM = 1.5
_SURROUNDINGS_MM = 20.0
# Macroscopic satellites lie within 2 cm of the main tumour by the usual definition; a mark of
# less than 0.1 ml, 6 mm across, is as likely a slip of the pen.
SATELLITE_MM = 20.0
LEAST_NODULE_ML = 0.1
# The margin counts as upright where it is steeper than this to the slice: a slice that cuts it
# at a slant blurs it over the slice's thickness.
_UPRIGHT = 0.6
_HARMONICS_FLOOR = 0.01


@dataclass(frozen=True, eq=False)
class Lesion:
    """The largest tumour and what surrounds it, on a crop of the mask's grid.

    Attributes
    ----------
    grid : Grid
        Of the crop, (D, H, W) voxels.
    tumour, liver : ndarray, shape (D, H, W), bool
        The largest tumour; liver that is no tumour.
    depth_mm : ndarray, shape (D, H, W)
        Distance to the largest tumour's margin; negative outside.
    upright : ndarray, shape (D, H, W), bool
        Where the nearest margin is not cut at a slant by the slices.
    gaps_mm : tuple of float
        Distance of every other nodule from the largest tumour.
    """

    grid: Grid
    tumour: Mask
    liver: Mask
    depth_mm: FloatArray
    upright: Mask
    gaps_mm: tuple[float, ...]

    @classmethod
    def of(cls, mask: Volume, tumours: Tumours) -> "Lesion":
        """Return the largest of a mask's tumours."""
        spacing_mm = _spacing(mask.grid)
        low, high = tumours.bounds(tumours.largest)
        pad = np.ceil(_SURROUNDINGS_MM / spacing_mm).astype(int)
        start = np.maximum(low - pad, 0)
        stop = np.minimum(high + 1 + pad, mask.voxels.shape)
        z, y, x = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
        box = (z, y, x)
        blocks = np.maximum(1, (_WORKING_MM / spacing_mm + 1e-3).astype(int))
        blocks = np.minimum(blocks, stop - start)
        share = in_blocks(tumours.inside(tumours.largest, box), blocks)
        # A tumour thinner than half a block is still somewhere.
        tumour = share >= min(0.5, float(share.max()))
        grid = mask.grid.part(box, (int(blocks[2]), int(blocks[1]), int(blocks[0])))
        across = mask.grid.slice_axis
        depth_mm = signed_depth(tumour, _spacing(grid), across)
        return cls(
            grid=grid,
            tumour=tumour,
            liver=(in_blocks(mask.voxels[box] == LIVER_LABEL, blocks) >= 0.5) & ~tumour,
            depth_mm=depth_mm,
            upright=_upright(depth_mm, _spacing(grid), across),
            gaps_mm=_gaps(tumours, spacing_mm),
        )

    @property
    def spacing_mm(self) -> FloatArray:
        """Edges of a voxel along (z, y, x)."""
        return _spacing(self.grid)

    @property
    def volume_mm3(self) -> float:
        """Volume of the largest tumour."""
        return float(self.tumour.sum() * self.spacing_mm.prod())

    def sample(
        self, scan: Scan, window_hu: tuple[float, float], motion: Affine = IDENTITY
    ) -> NDArray[np.float32]:
        """Return a scan on the crop in HU, clipped to the window, shape (D, H, W).

        `motion` leads from a place of the crop to the place in the scan that is sampled.
        """
        low, _ = window_hu
        box = scan.grid.box_around(motion(self.grid.corners_mm))
        if box is None:
            return np.full(self.tumour.shape, low, np.float32)
        blocks = whole_blocks(self.grid.spacing_mm, scan.grid.spacing_mm)
        near = averaged(scan, box, window_hu, blocks)
        return self.grid.sample(near, motion.then(scan.grid.upright), low).astype(np.float32)

    @cached_property
    def _margin_mm(self) -> FloatArray:
        return np.asarray(_margin_points(self.tumour) * self.spacing_mm, dtype=np.float64)

    def roughness(self) -> float:
        """Return the logarithm of how far the margin strays from a smooth ellipsoid.

        The distance of the margin from the tumour's centre, as a function of direction, is
        fitted with spherical harmonics up to degree 2; what is left, as a share of the
        distance, has a standard deviation of 0 for an ellipsoid-like body and rises with
        lobulation (compare Schroeter et al., IEEE TMI 2013). Directions count alike.
        """
        offsets = self._margin_mm - np.argwhere(self.tumour).mean(axis=0) * self.spacing_mm
        distance = np.maximum(np.linalg.norm(offsets, axis=1), 1e-3)
        basis = _harmonics(offsets / distance[:, None])
        weight = distance**-2
        weight /= weight.sum()
        root = np.sqrt(weight)
        log_distance = np.log(distance)
        fitted, *_ = np.linalg.lstsq(basis * root[:, None], log_distance * root, rcond=None)
        rest = log_distance - basis @ fitted
        return float(np.log(np.sqrt(weight @ rest**2) + _HARMONICS_FLOOR))

    def log_solidity(self) -> float:
        """Return log(volume / volume of the convex hull); NaN for a tumour in one plane."""
        try:
            hull = ConvexHull(self._margin_mm)
        except QhullError:
            return float("nan")
        return float(np.log(self.volume_mm3 / hull.volume))


def signed_depth(inside: Mask, spacing_mm: FloatArray, slice_axis: int) -> FloatArray:
    """Return the distance to the margin in mm, positive inside.

    A margin runs between two voxels: half an in-plane voxel from the centre of either.
    """
    half = float(np.delete(spacing_mm, slice_axis).mean()) / 2
    depth_mm = half - ndimage.distance_transform_edt(~inside, sampling=spacing_mm)
    # What is nearest to a voxel inside lies at most one voxel beyond the smallest box around all.
    (start, stop), shape = bounds(inside), inside.shape
    box = tuple(map(slice, np.maximum(start - 1, 0), np.minimum(stop + 1, shape)))
    within = inside[box]
    deep_mm = ndimage.distance_transform_edt(within, sampling=spacing_mm) - half
    depth_mm[box][within] = deep_mm[within]
    return np.asarray(depth_mm, dtype=np.float64)


def _spacing(grid: Grid) -> FloatArray:
    return np.array(grid.spacing_mm[::-1], dtype=np.float64)


def _upright(depth_mm: FloatArray, spacing_mm: FloatArray, slice_axis: int) -> Mask:
    if min(depth_mm.shape) < 2:
        return np.ones(depth_mm.shape, bool)
    slopes = np.gradient(ndimage.gaussian_filter(depth_mm, 1), *spacing_mm)
    steepness = np.sqrt(np.sum(np.square(slopes), axis=0)) + 1e-6
    return np.asarray(np.abs(slopes[slice_axis]) < _UPRIGHT * steepness)


def _gaps(tumours: Tumours, spacing_mm: FloatArray) -> tuple[float, ...]:
    voxel_ml = spacing_mm.prod() / 1000
    others = [
        label
        for label, voxels in tumours.sizes.items()
        if label != tumours.largest and voxels * voxel_ml >= LEAST_NODULE_ML
    ]
    if not others:
        return ()
    main = cKDTree(tumours.surface(tumours.largest) * spacing_mm)
    return tuple(
        float(np.min(main.query(tumours.surface(label) * spacing_mm)[0])) for label in others
    )


def _margin_points(inside: Mask) -> FloatArray:
    """Return where the margin crosses between neighbours, in voxels (z, y, x), shape (n, 3)."""
    padded = np.pad(inside, 1).astype(np.int8)
    crossings = []
    for axis in range(3):
        places = np.argwhere(np.diff(padded, axis=axis) != 0) - 1.0
        places[:, axis] += 0.5
        crossings.append(places)
    return np.concatenate(crossings)


def _harmonics(directions: FloatArray) -> FloatArray:
    """Return a basis of the spherical harmonics up to degree 2, shape (n, 9)."""
    z, y, x = directions.T
    columns: Sequence[FloatArray] = (
        np.ones_like(x), x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1,
    )  # fmt: skip
    return np.stack(columns, axis=1)
