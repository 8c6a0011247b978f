"""Where the planes of a stack lie: their order, distance, gantry tilt, gaps and doubles.

Only positions and orientations count. File names, instance numbers, the slice thickness and the
tag for the gantry's tilt are written by hand or by other programs, and are wrong in real files.

The limits. A plane may lie off its place by 5% of the planes' distance, or by 0.1 mm where that
is more, but never by a quarter of it; in the plane by 0.5 mm. Up to a tenth of the places (and
always one) may be empty: the caller decides whether it needs them. A gantry may be tilted by up
to 45 degrees. Everything beyond is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.imaging.errors import ImagingError
from client.imaging.grid import Vector

FloatArray = NDArray[np.float64]

_IRREGULARITY = 0.05
_ROUNDING_MM = 0.1
_MOST_IRREGULARITY = 0.25
_MOST_DRIFT_MM = 0.5
_MOST_EMPTY = 0.1
# Positions are the same below this; headers round far more coarsely when they round.
_SAME_PLACE_MM = 1e-3
_SAME_DIRECTION = 1e-3
# A shift of the last plane against the first that is a header's rounding and no tilt.
_UPRIGHT_MM = 0.05


@dataclass(frozen=True, eq=False)
class Stack:
    """A regular stack of planes.

    Attributes
    ----------
    places : ndarray, shape (n,)
        At which place of the stack each plane lies, from 0; several may share one.
    step_mm : float
        Distance of neighbouring places along the normal.
    shear_mm : tuple of float
        Shift from one place to the next along a plane's row and column.
    origin_mm : tuple of float
        First voxel of place 0.
    direction : tuple of float
        As in `Grid`.
    """

    places: NDArray[np.int64]
    step_mm: float
    shear_mm: tuple[float, float]
    origin_mm: Vector
    direction: tuple[float, ...]


def stack_planes(
    positions_mm: FloatArray,
    orientations: FloatArray,
    files: Sequence[Path],
    *,
    step_mm: float | None = None,
    sparse: bool = False,
) -> Stack:
    """Find the regular stack that planes make up.

    Parameters
    ----------
    positions_mm : ndarray, shape (n, 3)
        Of the first voxel of each plane, in any order.
    orientations : ndarray, shape (n, 6)
        Direction of rows, then of columns.
    files : sequence of Path
        One for each plane, named in errors.
    step_mm : float, optional
        The planes' distance where it is known otherwise; by default it is found from the gaps.
    sparse : bool
        Whether any number of places may be empty, as in a segmentation, which leaves out planes
        without a mark.

    Raises
    ------
    ImagingError
        Planes of several orientations, or that do not make a regular stack.
    """
    axes = _axes(orientations, files)
    along = positions_mm @ axes  # columns: along rows, along columns, along the normal
    order = np.argsort(along[:, 2], kind="stable")
    heights = along[order, 2]
    step = step_mm or _usual_step(heights, sparse)
    places = np.zeros(len(order), np.int64)
    if step > 0:
        _check_gaps(np.diff(heights) / step, heights, [files[i] for i in order])
        places = np.cumsum(np.round(np.diff(heights, prepend=heights[0]) / step)).astype(np.int64)
        if step_mm is None:
            step = float((heights[-1] - heights[0]) / max(places[-1], 1))
        if not sparse:
            _check_empty(places, heights, files[order[0]])
    shear = _shear(along[order], places, step, [files[i] for i in order])
    _check_even(heights - heights[0] - step * places, step, [files[i] for i in order])
    back = np.empty_like(places)
    back[order] = places
    first = positions_mm[order[0]]
    return Stack(back, step, shear, _vector(first), tuple(float(x) for x in axes.ravel()))


def spoken(position_mm: Sequence[float]) -> str:
    """Return a slice's place as viewers show it."""
    return "(" + ", ".join(f"{x:.1f}" for x in position_mm) + ") mm"


def _axes(orientations: FloatArray, files: Sequence[Path]) -> FloatArray:
    """Return the axes of all planes as columns, shape (3, 3), orthonormal and right-handed."""
    unlike = ~(np.abs(orientations - orientations[0]).max(axis=1) <= _SAME_DIRECTION)
    if unlike.any():
        raise ImagingError(
            "slices of several orientations in one series: leave those of one",
            files[int(np.argmax(unlike))],
        )
    row, column = orientations[0].reshape(2, 3)
    lengths = np.array([np.linalg.norm(row), np.linalg.norm(column)])
    if abs(np.dot(row, column)) > _SAME_DIRECTION or np.abs(lengths - 1).max() > _SAME_DIRECTION:
        raise ImagingError("a slice's orientation is not two perpendicular axes", files[0])
    row = row / lengths[0]
    column = column - np.dot(row, column) * row
    column = column / np.linalg.norm(column)
    return np.stack([row, column, np.cross(row, column)], axis=1)


def _usual_step(heights: FloatArray, sparse: bool) -> float:
    """Return the least gap of a sparse stack, else the lower median, which a few gaps spare."""
    gaps = np.diff(heights)
    gaps = np.sort(gaps[gaps > _SAME_PLACE_MM])
    if not len(gaps):
        return 0.0
    return float(gaps[0] if sparse else gaps[(len(gaps) - 1) // 2])


def _check_gaps(gaps: FloatArray, heights: FloatArray, files: Sequence[Path]) -> None:
    """Refuse planes too close to be two and too far apart to be one; gaps in steps."""
    close = (np.round(gaps) < 1) & (np.diff(heights) > _SAME_PLACE_MM)
    if close.any():
        at = int(np.argmax(close))
        raise ImagingError(
            "slices are not evenly spaced: this one and its neighbour lie"
            f" {heights[at + 1] - heights[at]:.2f} mm apart; are two series mixed?",
            files[at + 1],
        )


def _check_empty(places: NDArray[np.int64], heights: FloatArray, file: Path) -> None:
    empty = int(places[-1]) + 1 - len(np.unique(places))
    if empty > max(1, _MOST_EMPTY * (places[-1] + 1)):
        gaps = np.diff(heights)
        gaps = gaps[gaps > _SAME_PLACE_MM]
        raise ImagingError(
            f"slices are not evenly spaced: {gaps.min():.2f} to {gaps.max():.2f} mm apart;"
            f" {empty} are missing, or two series are mixed: export the series anew",
            file.parent,
        )


def _check_even(away: FloatArray, step: float, files: Sequence[Path]) -> None:
    limit_mm = min(max(_IRREGULARITY * step, _ROUNDING_MM), _MOST_IRREGULARITY * step)
    if len(files) > 1 and not np.abs(away).max() <= max(limit_mm, _SAME_PLACE_MM):
        at = int(np.argmax(np.abs(away)))
        raise ImagingError(
            f"slices are not evenly spaced: this one lies {abs(away[at]):.2f} mm off its place"
            f" in a stack of {step:.2f} mm: export the series anew",
            files[at],
        )


def _shear(
    along: FloatArray, places: NDArray[np.int64], step: float, files: Sequence[Path]
) -> tuple[float, float]:
    """Return the shift of a plane against the one before it; planes in their order."""
    drift = along[:, :2] - along[0, :2]
    shear = drift[-1] / max(places[-1], 1)
    if np.linalg.norm(drift[-1]) < _UPRIGHT_MM:
        shear = np.zeros(2)
    away = np.linalg.norm(drift - shear * places[:, None], axis=1)
    if not away.max() <= _MOST_DRIFT_MM:
        raise ImagingError(
            f"slices are shifted in their plane by up to {away.max():.1f} mm, and not as a tilted"
            " gantry shifts them: export the series anew",
            files[int(np.argmax(away))],
        )
    if np.linalg.norm(shear) > step and len(files) > 1 and places[-1] > 0:
        raise ImagingError(
            "slices are shifted in their plane by more than their distance: no gantry is tilted"
            " by more than 45 degrees",
            files[0],
        )
    return float(shear[0]), float(shear[1])


def _vector(values: FloatArray) -> Vector:
    return float(values[0]), float(values[1]), float(values[2])
