"""A prepared region as a small picture: three phases, two planes, the tumour outlined."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from client.imaging.roi import Roi
from shared.tasks import PHASES, TUMOUR_LABEL

# Liver-relative intensities from dark to bright, in units of the normalisation.
_GREY_RANGE = (-2.5, 3.0)
_PANEL_PIXELS = 120
_GAP_PIXELS = 2
_OUTLINE_RGB = (86, 180, 233)
_QUALITY = 60


def thumbnail(roi: Roi) -> bytes:
    """Return a WebP picture: phases from left to right, an axial row above a coronal one.

    Each plane is the one with most tumour; an absent phase is left black. Head is up in the
    coronal row, and the patient's right is on the left, as in a reading room.
    """
    tumour = roi.mask == TUMOUR_LABEL
    side = 2 * _PANEL_PIXELS + _GAP_PIXELS
    width = len(PHASES) * (_PANEL_PIXELS + _GAP_PIXELS) - _GAP_PIXELS
    sheet = np.zeros((side, width, 3), np.uint8)
    for row, axis in enumerate((0, 1)):
        level = int(tumour.sum(axis=tuple({0, 1, 2} - {axis})).argmax())
        # Slices run from feet to head: turned over, the head is up.
        turn = slice(None) if axis == 0 else slice(None, None, -1)
        outline = _outline(np.take(tumour, level, axis)[turn])
        for column in range(len(PHASES)):
            if not roi.present[column]:
                continue
            plane = np.take(roi.phases[column], level, axis)[turn].astype(np.float32)
            top, left = (n * (_PANEL_PIXELS + _GAP_PIXELS) for n in (row, column))
            sheet[top : top + _PANEL_PIXELS, left : left + _PANEL_PIXELS] = _panel(plane, outline)
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, format="WEBP", quality=_QUALITY, method=4)
    return buffer.getvalue()


def address(picture: bytes) -> str:
    """Return a picture as an address that holds it."""
    return "data:image/webp;base64," + base64.b64encode(picture).decode()


def _panel(plane: NDArray[np.float32], outline: NDArray[np.bool_]) -> NDArray[np.uint8]:
    low, high = _GREY_RANGE
    grey = np.clip((_enlarge(plane) - low) / (high - low), 0, 1) * 255
    panel = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    panel[outline] = _OUTLINE_RGB
    return panel


def _outline(tumour: NDArray[np.bool_]) -> NDArray[np.bool_]:
    inside = _enlarge(tumour.astype(np.float32)) > 0.5
    return np.asarray(inside & ~ndimage.binary_erosion(inside), np.bool_)


def _enlarge(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    factors = [_PANEL_PIXELS / length for length in plane.shape]
    return np.asarray(ndimage.zoom(plane, factors, order=1, grid_mode=True, mode="nearest"))
