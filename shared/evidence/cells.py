"""Patients counted along an axis of common bins, in cells that hold enough of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Cells:
    """Sums over the patients in each of m cells, for the cohort and its resamples.

    A cell is a run of neighbouring bins; together the cells cover the axis.

    Attributes
    ----------
    starts : ndarray, shape (m,), int64
        First bin of each cell; the first is 0.
    values : ndarray, shape (R, m, V), float64
        V sums of each cell; row 0 is the cohort itself, the others are resamples of it.

    Raises
    ------
    ValueError
        Starts that do not begin at 0 and increase, or sums that are negative, not finite, or of
        another shape.
    """

    starts: IntArray
    values: FloatArray

    def __post_init__(self) -> None:
        if self.starts.ndim != 1 or not len(self.starts) or self.starts[0] != 0:
            raise ValueError("cells begin at bin 0")
        if (np.diff(self.starts) <= 0).any():
            raise ValueError("cells must follow one another")
        if self.values.ndim != 3 or self.values.shape[1] != len(self.starts):
            raise ValueError(f"{len(self.starts)} cells, but sums of shape {self.values.shape}")
        if not np.isfinite(self.values).all() or (self.values < 0).any():
            raise ValueError("sums of cells must be finite and >= 0")

    def widths(self, bins: int) -> IntArray:
        """Return how many of the axis's bins each cell spans, shape (m,)."""
        return np.diff(self.starts, append=bins)

    def spread(self, bins: int) -> FloatArray:
        """Return the sums on the axis's own bins, shape (R, bins, V).

        A cell's sums are spread evenly over its bins: exact where each cell is one bin.
        """
        widths = self.widths(bins)
        spread: FloatArray = np.repeat(self.values / widths[:, None], widths, axis=1)
        return spread


def merged_starts(patients: IntArray, minimum_count: int) -> IntArray:
    """Return where cells begin so that each holds at least `minimum_count` patients.

    From the left, a cell ends with the bin that makes it large enough; what is left at the end
    joins the last cell. With a minimum of 1 every bin is a cell.

    Parameters
    ----------
    patients : ndarray, shape (bins,), int64
    minimum_count : int
        At least 1, and at most the sum of `patients` where it is more than 1.

    Returns
    -------
    ndarray, shape (m,), int64
    """
    if minimum_count <= 1:
        return np.arange(len(patients), dtype=np.int64)
    starts, held, left = [0], 0, int(patients.sum())
    for index, count in enumerate(patients.tolist()):
        held += count
        left -= count
        if held >= minimum_count and left >= minimum_count:
            starts.append(index + 1)
            held = 0
    return np.array(starts, dtype=np.int64)


def count_cells(
    weights: FloatArray, position: IntArray, columns: FloatArray, starts: IntArray
) -> Cells:
    """Add up patients' columns in cells, once for each row of weights.

    Parameters
    ----------
    weights : ndarray, shape (R, n)
        How often each patient counts.
    position : ndarray, shape (n,), int64
        The bin of each patient.
    columns : ndarray, shape (n, V)
        What is added up.
    starts : ndarray, shape (m,), int64
    """
    cell = np.searchsorted(starts, position, side="right") - 1
    member = (cell[:, None] == np.arange(len(starts))).astype(np.float64)
    each = member[:, :, None] * columns[:, None, :]
    width = len(starts) * columns.shape[1]
    sums = weights @ each.reshape(len(position), width)
    return Cells(starts, sums.reshape(len(weights), len(starts), columns.shape[1]))
