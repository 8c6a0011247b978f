"""One patient's body on the grid before the tumour: abdomen, liver and veins."""

from dataclasses import dataclass

import numpy as np

from tests.benchmarks.cirrhotic.anatomy import (
    Textures,
    Tissue,
    draw_abdomen,
    draw_textures,
    draw_trunk,
    paint_abdomen,
)
from tests.benchmarks.cirrhotic.liver import Liver, draw_liver, paint_liver
from tests.benchmarks.cirrhotic.vessels import Vessels, draw_vessels, paint_tubes
from tests.benchmarks.phantom.arrays import Field, Labels
from tests.benchmarks.phantom.grid import Grid


@dataclass(frozen=True)
class Body:
    """A body without a tumour; arrays are (D, H, W).

    Attributes
    ----------
    labels : numpy.ndarray
        Of `anatomy.Tissue`, uint8.
    liver : Liver
    vessels : Vessels
    portal, hepatic : numpy.ndarray
        How much of a voxel is vein.
    textures : Textures
    """

    labels: Labels
    liver: Liver
    vessels: Vessels
    portal: Field
    hepatic: Field
    textures: Textures


def draw_body(cirrhosis: float, grid: Grid, rng: np.random.Generator) -> Body:
    """Draw a body whose liver has so much cirrhosis, 0 to 1."""
    trunk = draw_trunk(rng)
    textures = draw_textures(grid, rng)
    abdomen = draw_abdomen(cirrhosis, rng)
    shape = draw_liver(cirrhosis, abdomen.dome_z_mm, rng)
    vessels = draw_vessels(cirrhosis, abdomen.dome_z_mm, rng)
    labels = paint_abdomen(trunk, abdomen, grid, textures)
    liver = paint_liver(labels, shape, trunk.depth_mm(grid), abdomen.dome_z_mm, grid, textures)
    portal = paint_tubes(vessels.portal, grid)
    fatty = np.isin(labels, (Tissue.VISCERAL_FAT, Tissue.BOWEL))
    labels[(portal > 0.5) & ~liver.voxels & fatty] = Tissue.PORTAL_VEIN
    return Body(labels, liver, vessels, portal, paint_tubes(vessels.hepatic, grid), textures)
