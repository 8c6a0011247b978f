"""What contrast medium has reached, seen in the image: the liver and the aorta.

Where names and times do not tell the phase, the image often does: the aorta is far brighter than
the liver in the arterial phase, both are bright in the portal venous phase, and nearly alike in
the delayed one (CT/MRI LI-RADS v2018 describes the phases by the same vessels). The limits below
leave gaps between the phases: in a gap nothing is decided.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from client.imaging.grid import Scan, Volume
from client.series.aorta import aorta_hu, spinal_canal_mm
from shared.tasks import LIVER_LABEL, Phase

SeenPhase = Phase | Literal["native"]

_LEVELS = 7
_LEAST_LIVER_MM2 = 1500.0
# An axial scan's normal is along the patient, give or take a tilted gantry.
_LEAST_AXIAL = 0.8
_EDGE_MM = 4.0
# Voxels of a slice are averaged in blocks up to this size.
_COARSE_MM = 2.0


@dataclass(frozen=True)
class Enhancement:
    """Attenuation of liver and aorta in one scan; None where it cannot be told."""

    liver_hu: float | None
    aorta_hu: float | None

    def __str__(self) -> str:
        told = [
            f"{name} {hu:.0f} HU"
            for name, hu in (("aorta", self.aorta_hu), ("liver", self.liver_hu))
            if hu is not None
        ]
        return ", ".join(told) or "neither liver nor aorta can be told in the image"


def seen_phase(enhancement: Enhancement) -> SeenPhase | None:
    """Return the phase that the image shows beyond doubt, or None."""
    aorta, liver = enhancement.aorta_hu, enhancement.liver_hu
    if aorta is None or liver is None:
        return None
    above = aorta - liver
    if aorta < 75 and liver < 80:
        return "native"
    if aorta >= 180 and above >= 120:
        return "arterial"
    if 140 <= aorta < 185 and liver >= 80 and 25 <= above < 105:
        return "portal_venous"
    if 80 <= aorta < 125 and liver >= 60 and above < 40:
        return "delayed"
    return None


def measure(scan: Scan, mask: Volume) -> Enhancement:
    """Measure a scan at a few levels of the liver; only their slices are decoded.

    Parameters
    ----------
    scan : Scan
        An axial CT in HU.
    mask : Volume
        The patient's label map, on any grid in the same space.

    Raises
    ------
    ImagingError
        A slice is damaged.
    """
    normal = np.array(scan.grid.direction).reshape(3, 3)[:, 2]
    levels = _levels(scan, mask) if abs(normal[2]) >= _LEAST_AXIAL else []
    slices = [_Slice.read(scan, level, mask) for level in levels]
    liver = np.concatenate([s.liver_values() for s in slices]) if slices else np.zeros(0)
    area_mm2 = len(liver) * slices[0].spacing_mm ** 2 if slices else 0.0
    return Enhancement(
        liver_hu=float(np.median(liver)) if area_mm2 >= _LEAST_LIVER_MM2 else None,
        aorta_hu=_aorta(slices),
    )


@dataclass(frozen=True, eq=False)
class _Slice:
    """One axial slice, coarse enough for vessels, and where its voxels lie.

    Attributes
    ----------
    hu : ndarray, shape (H, W)
    liver : ndarray of bool, shape (H, W)
    x_mm, y_mm : ndarray, shape (H, W)
        The patient's left and back are positive.
    """

    hu: NDArray[np.float64]
    liver: NDArray[np.bool_]
    x_mm: NDArray[np.float64]
    y_mm: NDArray[np.float64]
    spacing_mm: float

    @classmethod
    def read(cls, scan: Scan, level: int, mask: Volume) -> "_Slice":
        _, height, width = scan.grid.whole
        hu = scan.read((slice(level, level + 1), height, width))[0].astype(np.float64)
        spacing = float(scan.grid.spacing_mm[0])
        block = max(1, int(_COARSE_MM / spacing))
        hu = _in_blocks(hu, block)
        rows, columns = np.indices(hu.shape) * block + (block - 1) / 2
        indices = np.stack([columns, rows, np.full(hu.shape, level)], axis=-1).reshape(-1, 3)
        points = scan.grid.points_mm(indices)
        liver = (_labels_at(mask, points) == LIVER_LABEL).reshape(hu.shape)
        x, y = (points[:, axis].reshape(hu.shape) for axis in (0, 1))
        return cls(hu, liver, x, y, spacing * block)

    def liver_values(self) -> NDArray[np.float64]:
        """Return HU of the liver away from its edge."""
        steps = max(1, round(_EDGE_MM / self.spacing_mm))
        inside = ndimage.binary_erosion(self.liver, iterations=steps)
        return self.hu[inside]


def _labels_at(mask: Volume, points_mm: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the label nearest to each point, shape (n,); 0 outside the mask."""
    x, y, z = mask.grid.indices(points_mm).round().astype(int).T
    depth, height, width = mask.voxels.shape
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (z >= 0) & (z < depth)
    labels = np.zeros(len(points_mm), np.uint8)
    labels[inside] = mask.voxels[z[inside], y[inside], x[inside]]
    return labels


def _in_blocks(values: NDArray[np.float64], block: int) -> NDArray[np.float64]:
    height, width = (length // block * block for length in values.shape)
    blocks = values[:height, :width].reshape(height // block, block, width // block, block)
    return np.asarray(blocks.mean(axis=(1, 3)), np.float64)


def _levels(scan: Scan, mask: Volume) -> list[int]:
    """Return slices of a scan that lie evenly in the middle of the liver."""
    depths = np.flatnonzero((mask.voxels == LIVER_LABEL).any(axis=(1, 2)))
    if not len(depths):
        return []
    middles = []
    for depth in (depths[0], depths[-1]):
        rows, columns = np.nonzero(mask.voxels[depth] == LIVER_LABEL)
        middles.append([float(columns.mean()), float(rows.mean()), float(depth)])
    ends = np.sort(scan.grid.indices(mask.grid.points_mm(np.array(middles)))[:, 2])
    margin = 0.15 * (ends[1] - ends[0])
    wanted = np.unique(np.linspace(ends[0] + margin, ends[1] - margin, _LEVELS).round())
    return [int(level) for level in wanted if 0 <= level < scan.grid.size[2]]


def _aorta(slices: list[_Slice]) -> float | None:
    canals = [spinal_canal_mm(s.hu, s.x_mm, s.y_mm, s.spacing_mm) for s in slices]
    found = np.array([canal for canal in canals if canal is not None])
    if len(found) < 2:
        return None
    canal_x, canal_y = np.median(found, axis=0)
    values = [aorta_hu(s.hu, s.x_mm - canal_x, s.y_mm - canal_y, s.spacing_mm) for s in slices]
    told = [value for value in values if value is not None]
    if len(told) < max(3, len(slices) // 2):
        return None
    # The same vessel is alike at every level; where it is not, something else was found.
    middle = float(np.median(told))
    close = [value for value in told if abs(value - middle) <= max(20.0, 0.15 * middle)]
    return middle if len(close) >= 0.6 * len(told) else None
