"""The time grid on which all sites of a federation count survival."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class TimeGrid:
    """Intervals of follow-up, the same at every site.

    Interval k, counted from 0, is ``(edges_months[k - 1], edges_months[k]]``; the first begins
    at 0, which is not an edge.

    Attributes
    ----------
    edges_months : tuple of float
        Ends of the intervals: finite, > 0, strictly increasing.

    Raises
    ------
    ValueError
        No edge, or edges that are not finite, positive and strictly increasing.
    """

    edges_months: tuple[float, ...]

    def __post_init__(self) -> None:
        edges = np.asarray(self.edges_months, dtype=np.float64)
        if edges.ndim != 1 or edges.size == 0:
            raise ValueError("edges_months needs at least one edge")
        if not np.isfinite(edges).all() or edges[0] <= 0 or (np.diff(edges) <= 0).any():
            raise ValueError(
                f"edges_months must be finite, > 0 and strictly increasing, got {self.edges_months}"
            )

    @property
    def intervals(self) -> int:
        """Number of intervals, T."""
        return len(self.edges_months)

    @property
    def widths_months(self) -> tuple[float, ...]:
        """Width of each interval, T of them."""
        starts = (0.0, *self.edges_months[:-1])
        return tuple(end - start for start, end in zip(starts, self.edges_months, strict=True))

    def discretise(
        self, months: ArrayLike, event: ArrayLike
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Place observed times on the grid.

        Parameters
        ----------
        months : array_like, shape (n,)
            Time to event or censoring, finite and > 0.
        event : array_like, shape (n,)
            1 or True where the event was seen.

        Returns
        -------
        interval : ndarray, shape (n,), int64
            With an event, the interval in which it fell. Without, the last interval that the
            patient finished, -1 if censored within the first: what is not finished was not
            survived for certain. For counting; a likelihood takes `exposure`.
        event : ndarray, shape (n,), bool
            False also where the event fell after the last edge: within the grid that patient
            is censored at the last edge.

        Raises
        ------
        ValueError
            Different lengths, or a time that is not finite and > 0; unknown labels must be
            removed before.

        Notes
        -----
        pycox's ``LabTransDiscreteTime`` (Kvamme and Borgan, arXiv 1910.06724, section 3.1; an
        event moves to the right cut, a censoring to the left one) gives `interval` + 1 with
        the cuts ``(0, *edges_months)``: its index 0 is time 0, where no event can fall here.
        """
        time = np.asarray(months)
        if time.dtype != np.float32:
            time = time.astype(np.float64)
        seen = np.asarray(event).astype(bool)
        if time.ndim != 1 or time.shape != seen.shape:
            raise ValueError(
                f"months and event must be of one length, got {time.shape} and {seen.shape}"
            )
        if not (np.isfinite(time) & (time > 0)).all():
            raise ValueError("months must be finite and > 0; remove unknown labels first")
        # Rounded like the times: a float32 time that stands on an edge must still meet it.
        edges = np.asarray(self.edges_months, dtype=time.dtype)
        seen = seen & (time <= edges[-1])
        contains = np.searchsorted(edges, time, side="left")
        finished = np.searchsorted(edges, time, side="right") - 1
        return np.where(seen, contains, finished).astype(np.int64), seen

    def exposure(
        self, months: ArrayLike, event: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return what a likelihood needs of observed times: shapes (n, T).

        Parameters
        ----------
        months, event : array_like, shape (n,)
            As for `discretise`.

        Returns
        -------
        exposure : ndarray, shape (n, T), float64
            In [0, 1]: 1 for an interval that was survived or in which the event fell, the share
            that was observed of one in which the patient was censored, 0 for those after.
        died : ndarray, shape (n, T), bool
            Where the event fell.
        """
        interval, seen = self.discretise(months, event)
        ends = np.asarray(self.edges_months)
        time = np.asarray(months, dtype=np.float64)[:, None]
        share = np.clip(1 - (ends - time) / np.asarray(self.widths_months), 0.0, 1.0)
        position = np.arange(self.intervals)
        died = seen[:, None] & (position == interval[:, None])
        return np.where(died, 1.0, share), died
