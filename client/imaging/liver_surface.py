"""How nodular the liver's surface is: what no tumour's measurement tells of a cirrhosis.

After Smith and others (Radiology 2016;280:771), whose score is the mean distance of the liver's
margin from a smooth line along it, on stretches that a reader picks. Here the whole margin of every
axial section counts, and the median: hilum, fissures and the gallbladder's bed are no nodules.

Whoever or whatever draws the outline counts too: one of coarse voxels is rougher, one that was
smoothed tells nothing. Where sites differ in that, a study withholds the measurement from the heads
(`model.withheld_measurements`).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from client.imaging.blocks import in_blocks, whole_blocks
from client.imaging.grid import Volume
from client.imaging.tumours import bounds
from shared.tasks import TUMOUR_LABEL

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Nodules of a cirrhosis are some 3 to 15 mm across: a line so smooth passes over them, and
# follows the liver's shape.
_SMOOTHING_MM = 4.0
_REACH_SIGMAS = 3.0
# Pixels are joined, and sections left out, where a mask is finer than this.
_PIXEL_MM, _SECTION_MM = 1.5, 3.0
# Where a tumour bulges the surface is not the liver's.
_TUMOUR_MM = 3.0
# Places on the margin; a liver has some ten thousand.
_FEWEST_PLACES = 500
_IN_SECTION = ndimage.generate_binary_structure(3, 1) & (np.arange(3) == 1)[:, None, None]


def nodularity_mm(mask: Volume) -> float:
    """Return the median distance of the liver's margin from a smoothed one, in mm.

    A straight margin at a distance d from a place gives the mask, smoothed by a Gaussian of
    deviation s, the value Phi(d / s) there, about 1/2 + d / (s sqrt(2 pi)): where the smoothed
    mask has the value v on the margin, the smoothed margin runs (v - 1/2) s sqrt(2 pi) away.

    Parameters
    ----------
    mask : Volume
        0 background, 1 liver, 2 tumour; all of the liver that was drawn.

    Returns
    -------
    float
        NaN where too little of a margin is drawn, as where the tumour alone is.
    """
    labels, edges_mm = _axial_sections(mask)
    blocks = np.array([1, *whole_blocks([_PIXEL_MM] * 2, edges_mm.tolist())])
    edges_mm = edges_mm * blocks[1:]
    liver = _without_holes(in_blocks(labels > 0, blocks) >= 0.5)
    # Where the scan ends the liver is thought to go on: that is no margin.
    smooth = ndimage.gaussian_filter(
        liver.astype(np.float32),
        (0.0, *(_SMOOTHING_MM / edges_mm)),
        mode="nearest",
        truncate=_REACH_SIGMAS,
    )
    ignored = np.zeros(liver.shape, bool)
    with_tumour = (labels == TUMOUR_LABEL).any(axis=(1, 2))
    tumour = in_blocks(labels[with_tumour] == TUMOUR_LABEL, blocks) > 0
    reach = max(1, round(_TUMOUR_MM / float(edges_mm.min())))
    ignored[with_tumour] = ndimage.binary_dilation(tumour, _IN_SECTION, iterations=reach)
    values = np.concatenate([_on_margin(smooth, liver, ignored, axis) for axis in (1, 2)])
    if len(values) < _FEWEST_PLACES:
        return float("nan")
    return float(np.median(np.abs(values - 0.5)) * _SMOOTHING_MM * np.sqrt(2 * np.pi))


def _axial_sections(mask: Volume) -> tuple[NDArray[np.uint8], FloatArray]:
    """Return sections with liver, shape (S, h, w), and the edges of a pixel, shape (2,).

    Of the mask's own planes those that lie nearest to axial ones.
    """
    axis = mask.grid.long_axis
    spacing_mm = np.array(mask.grid.spacing_mm[::-1])
    labels = np.moveaxis(mask.voxels, axis, 0)
    (step,) = whole_blocks([_SECTION_MM], [float(spacing_mm[axis])])
    labels = labels[np.flatnonzero(labels.any(axis=(1, 2)))[::step]]
    start, stop = bounds(labels > 0)
    # Around the liver as far as the filter reaches, where the mask goes on.
    edges_mm = np.delete(spacing_mm, axis)
    reach = np.ceil((_REACH_SIGMAS * _SMOOTHING_MM + _PIXEL_MM) / edges_mm).astype(int)
    low = np.maximum(start[1:] - reach, 0)
    (top, left), (bottom, right) = low.tolist(), (stop[1:] + reach).tolist()
    return labels[:, top:bottom, left:right], edges_mm


def _without_holes(liver: Mask) -> Mask:
    """Return sections, shape (S, h, w), with what liver surrounds in a section as liver."""
    if not liver.any():
        return liver
    filled = liver.copy()
    box = (slice(None), *map(slice, *(corner[1:] for corner in bounds(liver))))
    filled[box] = ndimage.binary_fill_holes(liver[box], _IN_SECTION)
    return filled


def _on_margin(smooth: NDArray[np.float32], liver: Mask, ignored: Mask, axis: int) -> FloatArray:
    """Return the smoothed mask between every two neighbours of which one is liver, shape (n,)."""

    def pairs(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        ahead = np.moveaxis(values, axis, 0)
        return ahead[:-1], ahead[1:]

    (inside, beyond), (left, right) = pairs(liver), pairs(ignored)
    margin = (inside != beyond) & ~(left | right)
    one, other = pairs(smooth)
    return np.asarray((one[margin].astype(np.float64) + other[margin]) / 2)
