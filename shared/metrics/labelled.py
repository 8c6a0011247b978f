"""Columns of patients, reduced to those whose label is known."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class SurvivalRows(NamedTuple):
    """Patients whose survival is known.

    Attributes
    ----------
    time : ndarray, shape (n,), float64
    event : ndarray, shape (n,), bool
    risk : ndarray, shape (n,), float64
    known : ndarray, shape (N,), bool
        Which of the rows given these are.
    """

    time: FloatArray
    event: BoolArray
    risk: FloatArray
    known: BoolArray


class BinaryRows(NamedTuple):
    """Patients whose class is known.

    Attributes
    ----------
    positive : ndarray, shape (n,), bool
    score : ndarray, shape (n,), float64
    known : ndarray, shape (N,), bool
        Which of the rows given these are.
    """

    positive: BoolArray
    score: FloatArray
    known: BoolArray


def labelled_survival(time: ArrayLike, event: ArrayLike, risk: ArrayLike) -> SurvivalRows:
    """Keep the patients whose time and event are both known (not NaN).

    Raises
    ------
    ValueError
        Columns of different lengths, an event other than 0 or 1, an infinite time, or a risk
        that is NaN for a patient with a label: a prediction is never missing.
    """
    times, events, risks = _columns(time=time, event=event, risk=risk)
    known = ~(np.isnan(times) | np.isnan(events))
    times, events, risks = times[known], events[known], risks[known]
    if np.isinf(times).any():
        raise ValueError("time must be finite, or NaN where unknown")
    _check_binary("event", events)
    _check_predicted("risk", risks)
    return SurvivalRows(times, events == 1, risks, known)


def labelled_binary(label: ArrayLike, score: ArrayLike) -> BinaryRows:
    """Keep the patients whose label is known (not NaN).

    Raises
    ------
    ValueError
        Columns of different lengths, a label other than 0 or 1, or a score that is NaN for a
        patient with a label: a prediction is never missing.
    """
    labels, scores = _columns(label=label, score=score)
    known = ~np.isnan(labels)
    labels, scores = labels[known], scores[known]
    _check_binary("label", labels)
    _check_predicted("score", scores)
    return BinaryRows(labels == 1, scores, known)


def _columns(**columns: ArrayLike) -> list[FloatArray]:
    arrays = {name: np.asarray(column, dtype=np.float64) for name, column in columns.items()}
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) != 1 or any(array.ndim != 1 for array in arrays.values()):
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ValueError(f"columns must be one-dimensional and of one length, got {found}")
    return list(arrays.values())


def _check_binary(name: str, values: FloatArray) -> None:
    if not np.isin(values, (0.0, 1.0)).all():
        raise ValueError(f"{name} must be 0 or 1, or NaN where unknown")


def _check_predicted(name: str, values: FloatArray) -> None:
    missing = int(np.isnan(values).sum())
    if missing:
        raise ValueError(f"{name} is NaN for {missing} patients whose label is known")
