"""The average of updates, built as they come: exact sums, each head by its own task's patients."""

import numpy as np
from numpy.typing import NDArray

from shared.protocol import Update, patients_behind
from shared.weights import Weights

# Steps of the two parts of a sum. With at most 2^20 patients (protocol.MOST_PATIENTS) behind a
# weight below 2^23 (protocol.LARGEST_WEIGHT) a term is below 2^43: 2^51 high steps, and what is
# left over is at most 2^51 low steps. 2^11 such terms fit into 63 bits.
_HIGH_STEPS = 2.0**8
_LOW_STEPS = 2.0**60
MOST_SITES = 2**11

# Elements a pass: what is allocated in between stays small beside the model.
_CHUNK = 1 << 20


class ExactSum:
    """A sum of float32 arrays times whole numbers, which no order of adding can change.

    Floating-point addition rounds, and rounds otherwise in another order. Here each term, exact
    in float64 (24 bits times at most 20), is split into two whole numbers of fixed steps, and
    whole numbers add exactly. What is below the finest step, 2^-60, is rounded once a term, by
    itself: the sum stays the same to the bit whoever comes first, and it needs no memory of who
    has come: 16 bytes an element, however many sites there are.

    Parameters
    ----------
    shape : tuple of int
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._high = np.zeros(int(np.prod(shape)), dtype=np.int64)
        self._low = np.zeros_like(self._high)
        self.total = 0

    def add(self, values: NDArray[np.float32], times: int) -> None:
        """Add ``values * times``; |values| < 2^23 and 0 <= times <= 2^20."""
        flat = values.reshape(-1)
        for start in range(0, flat.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            term = flat[part].astype(np.float64) * times
            high = np.rint(term * _HIGH_STEPS)
            self._high[part] += high.astype(np.int64)
            term -= high / _HIGH_STEPS
            self._low[part] += np.rint(term * _LOW_STEPS).astype(np.int64)
        self.total += times

    def sum(self) -> NDArray[np.float64]:
        """Return the sum, rounded once."""
        return (self._high / _HIGH_STEPS + self._low / _LOW_STEPS).reshape(self._shape)

    def mean(self) -> NDArray[np.float32]:
        """Return the sum over the total of `times`."""
        mean = np.empty(self._high.size, dtype=np.float32)
        for start in range(0, mean.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            value = self._high[part] / _HIGH_STEPS + self._low[part] / _LOW_STEPS
            mean[part] = value / self.total
        return mean.reshape(self._shape)


class RunningAverage:
    """The federated average (McMahan et al., arXiv 1602.05629) of the updates seen so far.

    Every entry is weighted by the patients behind it (`shared.protocol.patients_behind`). What
    nobody stands behind stays as it is.

    Parameters
    ----------
    current : Weights
        The global model before the round.
    """

    def __init__(self, current: Weights) -> None:
        self._current = current
        self._sums = {key: ExactSum(value.shape) for key, value in current.items()}

    def add(self, update: Update) -> None:
        """Take in one valid update (`shared.protocol.read_update`), which may then be let go."""
        for key, total in self._sums.items():
            patients = patients_behind(key, update.patients, update.labelled)
            if patients:
                total.add(update.weights[key], patients)

    def average(self) -> Weights:
        """Return the average, in the types of the model before the round."""
        return {
            key: total.mean().astype(self._current[key].dtype)
            if total.total
            else self._current[key]
            for key, total in self._sums.items()
        }
