"""Axial slices of a scan at a few levels of the liver and below it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from client.imaging.errors import ImagingError
from client.imaging.grid import Scan, Volume
from client.series.vessels import steps_of
from shared.tasks import LIVER_LABEL

_LEVELS = 7
# As far apart as those of the liver: kidneys go on below it.
_LEVELS_BELOW = 5
# An axial scan's normal is along the patient, give or take a tilted gantry.
_LEAST_AXIAL = 0.8
_EDGE_MM = 4.0
# Voxels of a slice are averaged in blocks up to this size.
_COARSE_MM = 2.0


@dataclass(frozen=True, eq=False)
class Level:
    """One axial slice, coarse enough for vessels, and where its voxels lie.

    Attributes
    ----------
    hu : ndarray, shape (H, W)
    labels : ndarray, shape (H, W)
        Of the mask: 0 background, 1 liver, 2 tumour.
    x_mm, y_mm : ndarray, shape (H, W)
        The patient's left and back are positive.
    """

    hu: NDArray[np.float64]
    labels: NDArray[np.uint8]
    x_mm: NDArray[np.float64]
    y_mm: NDArray[np.float64]
    spacing_mm: float

    @classmethod
    def read(cls, scan: Scan, level: int, mask: Volume) -> "Level":
        """Read one slice.

        Raises
        ------
        ImagingError
            It is damaged.
        """
        _, height, width = scan.grid.whole
        hu = scan.read((slice(level, level + 1), height, width))[0].astype(np.float64)
        spacing = float(scan.grid.spacing_mm[0])
        block = max(1, int(_COARSE_MM / spacing))
        hu = _in_blocks(hu, block)
        rows, columns = np.indices(hu.shape) * block + (block - 1) / 2
        indices = np.stack([columns, rows, np.full(hu.shape, level)], axis=-1).reshape(-1, 3)
        points = scan.grid.points_mm(indices)
        labels = _labels_at(mask, points).reshape(hu.shape)
        x, y = (points[:, axis].reshape(hu.shape) for axis in (0, 1))
        return cls(hu, labels, x, y, spacing * block)

    def liver_values(self) -> NDArray[np.float64]:
        """Return HU of the liver away from its edge."""
        steps = steps_of(_EDGE_MM, self.spacing_mm)
        inside = ndimage.binary_erosion(self.labels == LIVER_LABEL, iterations=steps)
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


def liver_levels(scan: Scan, mask: Volume) -> list[int]:
    """Return slices of an axial scan that lie evenly in the middle of the liver."""
    normal = np.array(scan.grid.direction).reshape(3, 3)[:, 2]
    return _levels(scan, mask) if abs(normal[2]) >= _LEAST_AXIAL else []


def distance_mm(scan: Scan, levels: list[int]) -> float:
    """Return how far apart levels lie; 0 for fewer than two."""
    steps = np.diff(np.sort(levels))
    return float(np.median(steps)) * scan.grid.spacing_mm[2] if len(steps) else 0.0


def read_below(scan: Scan, levels: list[int], mask: Volume) -> list[Level]:
    """Read slices below the liver's lowest, the lowest last, as far as the scan is intact."""
    if len(levels) < 2:
        return []
    step = round(float(np.median(np.diff(np.sort(levels)))))
    up = scan.grid.direction[8] > 0
    wanted = [
        min(levels) - number * step if up else max(levels) + number * step
        for number in range(1, _LEVELS_BELOW + 1)
    ]
    read: list[Level] = []
    for level in wanted:
        if not 0 <= level < scan.grid.size[2]:
            break
        try:
            read.append(Level.read(scan, level, mask))
        except ImagingError:
            break  # told when the whole region is read
    return read


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
