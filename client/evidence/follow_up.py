"""An institution's follow-up in cells that are large enough to be told."""

import numpy as np
from numpy.typing import ArrayLike

from client.evidence.rule import Rule
from shared.evidence.axes import follow_up_position
from shared.evidence.cells import FloatArray, count_cells, merged_starts
from shared.evidence.follow_up import FollowUpCells
from shared.time_grid import TimeGrid


def follow_up_cells(
    months: ArrayLike, event: ArrayLike, weights: FloatArray, grid: TimeGrid, rule: Rule
) -> FollowUpCells:
    """Count events and censorings along the grid, cells of few patients merged.

    Parameters
    ----------
    months, event : array_like, shape (n,)
        At least `rule.minimum_count` patients.
    weights : ndarray, shape (R, n)
        How often each patient counts; cells and their middles are those of row 0.
    grid : TimeGrid
    rule : Rule
    """
    position = follow_up_position(grid, months, event)
    _, seen = grid.discretise(months, event)
    patients = np.bincount(position, minlength=grid.intervals + 1)
    starts = merged_starts(patients, rule.minimum_count)
    columns = np.stack([seen, ~seen], axis=1).astype(np.float64)
    cells = count_cells(weights, position, columns, starts)
    held = cells.values[0].sum(axis=1)
    bins = np.add.reduceat(patients * np.arange(len(patients)), starts)
    means = np.divide(bins, held, out=starts.astype(np.float64), where=held > 0)
    return FollowUpCells(cells, np.floor(means + 0.5).astype(np.int64))
