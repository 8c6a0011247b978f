"""The separate tumours of a mask."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from client.imaging.errors import ImagingError
from client.imaging.grid import Box
from shared.tasks import TUMOUR_LABEL

Mask = NDArray[np.bool_]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tumours:
    """Connected voxels of label 2, touching by faces, edges or corners.

    Attributes
    ----------
    components : ndarray, int
        Labels from 1 in the smallest box that holds all tumour.
    offset : ndarray, shape (3,)
        First voxel of that box in the mask.
    """

    components: NDArray[np.int32]
    offset: Index

    @classmethod
    def find(cls, labels: NDArray[np.uint8], file: Path) -> "Tumours":
        """Find the tumours of a mask; `file` is named in the error.

        Raises
        ------
        ImagingError
            No voxel is tumour.
        """
        # The mask of a whole scan is mostly air: only planes with tumour are looked at further.
        planes = np.flatnonzero(labels.reshape(len(labels), -1).max(axis=1) >= TUMOUR_LABEL)
        if not len(planes):
            raise ImagingError("no voxel is tumour (label 2)", file)
        tumour = labels[planes[0] : planes[-1] + 1] == TUMOUR_LABEL
        start, stop = bounds(tumour)
        box = tumour[tuple(map(slice, start, stop))]
        components, _ = ndimage.label(box, structure=np.ones((3, 3, 3), bool))
        start[0] += planes[0]
        return cls(np.asarray(components, dtype=np.int32), start)

    @property
    def sizes(self) -> dict[int, int]:
        """Voxels of each tumour by its label."""
        counts = np.bincount(self.components.ravel())[1:]
        return {label: int(count) for label, count in enumerate(counts, start=1)}

    @cached_property
    def largest(self) -> int:
        """The label of the largest tumour; the first of those that are equally large."""
        return int(np.argmax(np.bincount(self.components.ravel())[1:])) + 1

    def bounds(self, label: int) -> tuple[Index, Index]:
        """Return the first and last index in the mask, shape (3,), of a tumour's bounding box."""
        low, high = bounds(self.components == label)
        return self.offset + low, self.offset + high - 1

    def inside(self, label: int, box: Box) -> Mask:
        """Return a tumour in a box of the mask, shape (d, h, w)."""
        shape = [part.stop - part.start for part in box]
        result = np.zeros(shape, bool)
        start = np.array([part.start for part in box])
        places = np.argwhere(self.components == label) + self.offset - start
        kept = ((places >= 0) & (places < shape)).all(axis=1)
        result[tuple(places[kept].T)] = True
        return result

    def surface(self, label: int) -> Index:
        """Return the outermost voxels of a tumour, shape (n, 3), counted in the common box."""
        low, high = bounds(self.components == label)
        inside = np.pad(self.components[tuple(map(slice, low, high))] == label, 1)
        outermost = inside & ~ndimage.binary_erosion(inside)
        return np.argwhere(outermost) - 1 + low


def bounds(mask: Mask) -> tuple[Index, Index]:
    """Return the first index inside and the first beyond, shape (3,), along each axis."""
    flat = np.any(mask, axis=0)  # fast, and small enough for the other two axes
    spans = [np.flatnonzero(x) for x in (mask.any(axis=(1, 2)), flat.any(axis=1), flat.any(axis=0))]
    return np.array([span[0] for span in spans]), np.array([span[-1] + 1 for span in spans])
