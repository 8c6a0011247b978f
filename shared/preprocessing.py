"""How a region of interest is cut and normalised."""

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from shared.config import to_json

# Raised whenever the same settings begin to give other voxels: caches made before are left.
PREPROCESSING_VERSION = 8


@dataclass(frozen=True)
class PreprocessingSettings:
    """One federation's rule for every region of interest.

    Attributes
    ----------
    shape : tuple of int
        (D, H, W): voxels along z, y, x.
    spacing_mm : float
        Edge of a voxel; coarser only for a tumour that does not fit.
    margin_mm : float
        At least this much of the surroundings is seen on every side of the tumour.
    window_hu : tuple of float
        Attenuation is clipped to this range first.
    normalisation : str
        ``"liver"``: HU above the patient's own liver in that phase, divided by `scale_hu`.
        ``"window"``: the window is mapped to [-1, 1].
    scale_hu : float
        Unit of ``"liver"``.
    registration : str
        ``"rigid"``: phases are moved onto the one that the mask was drawn on, where that is
        better than doing nothing. ``"none"``: they stay where their headers say.
    """

    shape: tuple[int, int, int] = (40, 40, 40)
    spacing_mm: float = 3.0
    margin_mm: float = 10.0
    window_hu: tuple[float, float] = (-100.0, 300.0)
    normalisation: Literal["liver", "window"] = "liver"
    scale_hu: float = 40.0
    registration: Literal["none", "rigid"] = "none"

    def __post_init__(self) -> None:
        if min(self.shape) < 8:
            raise ValueError(f"shape must have at least 8 voxels an axis, got {self.shape}")
        for key in ("spacing_mm", "scale_hu"):
            value = getattr(self, key)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{key} must be finite and > 0, got {value}")
        if not (math.isfinite(self.margin_mm) and self.margin_mm >= 0):
            raise ValueError(f"margin_mm must be finite and >= 0, got {self.margin_mm}")
        if 2 * self.margin_mm >= min(self.shape) * self.spacing_mm:
            raise ValueError("margin_mm leaves no room for a tumour: enlarge shape or spacing_mm")
        if not (all(map(math.isfinite, self.window_hu)) and self.window_hu[0] < self.window_hu[1]):
            raise ValueError(f"window_hu must be (low, high), both finite, got {self.window_hu}")

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the settings and of the code's version: equal where ROIs are equal."""
        text = f"{PREPROCESSING_VERSION}:{to_json(self)}"
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
