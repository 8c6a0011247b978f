"""Class activation maps with the tumour outlined; pixels, so PNG."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from shared.reporting import drawing
from shared.reporting.content import ActivationSample

OUTLINE = "#56b4e9"
MAP = "inferno"
MOST_OPAQUE = 0.75
_PANEL_INCHES = 2.9
_SHARE = 0.497  # of a pair's width for each panel; a gap is left between


def activation_pair(sample: ActivationSample) -> bytes:
    """Return a PNG of one patient: the slice, and beside it the slice with its map."""
    height, width = sample.image.shape
    tall = 2 * _PANEL_INCHES * _SHARE * min(height / width, 2)
    with drawing.house_style():
        figure = Figure(figsize=(2 * _PANEL_INCHES, tall), facecolor="black")
        figure.set_layout_engine("none")
        plain = figure.add_axes((0, 0, _SHARE, 1))
        mapped = figure.add_axes((1 - _SHARE, 0, _SHARE, 1))
        draw_sample(plain, mapped, sample)
        return drawing.as_png(figure)


def activation_maps_png(samples: Sequence[ActivationSample]) -> bytes:
    """Return one PNG of all samples with their captions, two a row."""
    with drawing.house_style():
        columns = 4
        rows = max(-(-2 * len(samples) // columns), 1)
        figure, axes = drawing.new_figure(10.5, _PANEL_INCHES * rows, columns=columns, rows=rows)
        for axis in axes:
            axis.set_axis_off()
        for sample, plain, mapped in zip(samples, axes[::2], axes[1::2], strict=False):
            draw_sample(plain, mapped, sample)
            plain.set_title(sample.caption, fontsize=8.5, fontweight="normal")
        return drawing.as_png(figure)


def draw_sample(plain: Axes, mapped: Axes, sample: ActivationSample) -> None:
    """Draw a slice on one axis, and the same slice under its map on the other."""
    for axis in (plain, mapped):
        axis.set_axis_off()
        axis.imshow(sample.image, cmap="gray", vmin=0, vmax=1, interpolation="bilinear")
    # Each place is as opaque as it is active, so that the scan stays visible elsewhere.
    mapped.imshow(
        sample.activation,
        cmap=MAP,
        alpha=np.clip(sample.activation, 0, 1) * MOST_OPAQUE,
        vmin=0,
        vmax=1,
        interpolation="bilinear",
    )
    # A contour needs a grid of two by two, and an edge to follow.
    if sample.tumour.any() and not sample.tumour.all() and min(sample.tumour.shape) > 1:
        for axis in (plain, mapped):
            axis.contour(sample.tumour, [0.5], colors=[OUTLINE], linewidths=1.4)
