"""Coarser grids by blocks of whole voxels: nothing is interpolated."""

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from client.imaging.grid import Box, Scan


def whole_blocks(wanted_mm: Sequence[float], native_mm: Sequence[float]) -> list[int]:
    """Return how many whole native voxels fit into a wanted one along each axis, at least 1.

    Files keep 0.6 mm as 0.60000002 (float32): five of these still fit into 3 mm.
    """
    pairs = zip(wanted_mm, native_mm, strict=True)
    return [max(1, int(wanted / native + 1e-3)) for wanted, native in pairs]


def averaged(
    scan: Scan, box: Box, window_hu: tuple[float, float], blocks: Sequence[int]
) -> sitk.Image:
    """Return a box of a scan in HU clipped to a window, averaged in blocks along x, y, z."""
    hu = scan.read(box).astype(np.float32)
    np.clip(hu, *window_hu, out=hu)
    image = scan.grid.place(hu, box)
    fitting = [min(block, count) for block, count in zip(blocks, image.GetSize(), strict=True)]
    return sitk.BinShrink(image, fitting)


def in_blocks(mask: NDArray[np.bool_], blocks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return which part of each block of whole voxels a mask fills."""
    d, h, w = (int(n) for n in np.array(mask.shape) // blocks)
    a, b, c = (int(n) for n in blocks)
    filled = np.zeros((d, h, w), np.int32)
    for z, y, x in np.ndindex(a, b, c):
        filled += mask[z : d * a : a, y : h * b : b, x : w * c : c]
    return np.asarray(filled / (a * b * c))
