"""The mask: liver and tumours as one reader outlines them, with an error of the hand."""

from collections.abc import Sequence

import numpy as np

from shared.tasks import LIVER_LABEL, TUMOUR_LABEL
from tests.benchmarks.cirrhotic.nodules import Nodule
from tests.benchmarks.cirrhotic.sites import Site
from tests.benchmarks.cirrhotic.space import smooth_field
from tests.benchmarks.cirrhotic.tumour import Tumour
from tests.benchmarks.phantom.arrays import Labels, Mask

_NODULE_OUTLINE = 0.6


def draw_mask(liver: Mask, tumour: Tumour, site: Site, rng: np.random.Generator) -> Labels:
    """Return the contract's labels but for the nodules, (D, H, W)."""
    mask = np.where(liver, np.uint8(LIVER_LABEL), np.uint8(0))
    outline_mm = tumour.depth_mm + site.outline_mm + 0.7 * smooth_field(tumour.grid, 6.0, rng)
    outline_mm += 0.5 * rng.standard_normal()
    mask[tumour.box][(outline_mm > 0) & tumour.free] = TUMOUR_LABEL
    return mask


def outline_nodules(mask: Labels, nodules: Sequence[Nodule], site: Site) -> None:
    """Add the nodules in the liver to a mask."""
    for nodule in nodules:
        outlined = nodule.depth_mm + site.outline_mm * _NODULE_OUTLINE > 0
        mask[nodule.box][outlined & nodule.host] = TUMOUR_LABEL
