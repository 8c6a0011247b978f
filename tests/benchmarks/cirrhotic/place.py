"""Where a tumour lies: deep enough in the liver, and as near to a large vein as its trait says."""

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.cirrhotic.liver import Liver
from tests.benchmarks.cirrhotic.traits import Traits
from tests.benchmarks.cirrhotic.vessels import Vessels
from tests.benchmarks.phantom.arrays import Field, Vector
from tests.benchmarks.phantom.grid import Grid

Indices = NDArray[np.intp]

_TRIES = 240
_ENOUGH_VOXELS = 200


def roomy_voxels(liver: Liver, radius_mm: float) -> Indices:
    """Return the flat indices of voxels deep enough in a liver for a tumour's centre, (N,)."""
    voxels, depth_mm = liver.voxels.ravel(), liver.depth_mm.ravel()
    roomy = np.flatnonzero(voxels & (depth_mm > min(4 + 0.30 * radius_mm, 19)))
    if roomy.size < _ENOUGH_VOXELS:
        roomy = np.flatnonzero(voxels & (depth_mm > 5))
    return roomy


def voxel_centres(indices: Indices, grid: Grid) -> Field:
    """Return the centres (x, y, z) of voxels from their flat indices, (..., 3), float32."""
    z, y, x = np.unravel_index(indices, grid.shape)
    return np.stack([grid.x_mm[x], grid.y_mm[y], grid.z_mm[z]], axis=-1)


def draw_centre(
    traits: Traits,
    roomy: Indices,
    liver: Liver,
    vessels: Vessels,
    grid: Grid,
    rng: np.random.Generator,
) -> Vector:
    """Return the best of some roomy voxels for a tumour's centre, (x, y, z) in mm."""
    radius_mm = traits.radius_mm
    tried = roomy[rng.integers(0, roomy.size, _TRIES)]
    centres = voxel_centres(tried, grid)
    veins, veins_mm = vessels.wide_places()
    from_axes_mm = np.sqrt(((centres[:, None] - veins[None]) ** 2).sum(axis=2))
    gap_mm = (from_axes_mm - veins_mm).min(axis=1) - radius_mm
    wanted_mm = 24 * (1 - traits.vessel_nearness) ** 1.4 - 2 + 2 * rng.standard_normal()
    outside_mm = np.maximum(0, radius_mm - liver.depth_mm.ravel()[tried] * 1.3 - 6)
    best = np.argmin(np.abs(gap_mm - wanted_mm) + 0.8 * outside_mm)
    return np.asarray(centres[best], dtype=np.float64)
