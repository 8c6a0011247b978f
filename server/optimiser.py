"""What the server makes of an average: the algorithms of Reddi et al., arXiv 2003.00295.

The difference between the average and the model before is a step that the sites propose; a
server optimiser decides how far to follow it, and may remember earlier steps. It moves
parameters only: buffers such as ``standardise.*`` are whatever the average says.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shared.weights import Weights

# What an algorithm remembers from round to round, by name: kept in every checkpoint.
Memory = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class FedAvg:
    """The average itself is the new model."""

    name: Literal["fedavg"] = "fedavg"

    def step(self, current: Weights, averaged: Weights, memory: Memory) -> tuple[Weights, Memory]:
        """Return the model after a round and what to remember for the next.

        Parameters
        ----------
        current : Weights
            Before the round; parameters only.
        averaged : Weights
            What the sites made of it; the same keys.
        memory : Memory
            What the step before returned; empty at first.
        """
        return averaged, memory


@dataclass(frozen=True)
class FedAvgM:
    """Server momentum (Hsu et al., arXiv 1909.06335): v <- b v + d; x <- x + r v.

    Attributes
    ----------
    learning_rate : float
        r.
    momentum : float
        b; 0 forgets at once.
    """

    learning_rate: float = 1.0
    momentum: float = 0.9
    name: Literal["fedavgm"] = "fedavgm"

    def __post_init__(self) -> None:
        _check(learning_rate=self.learning_rate)
        _check_fractions(momentum=self.momentum)

    def step(self, current: Weights, averaged: Weights, memory: Memory) -> tuple[Weights, Memory]:
        """See `FedAvg.step`."""
        velocity = {
            key: self.momentum * _remembered(memory, "velocity", key, before) + delta
            for key, before, delta in _deltas(current, averaged)
        }
        moved = {
            key: _moved(before, self.learning_rate * velocity[key])
            for key, before in current.items()
        }
        return moved, _named("velocity", velocity)


@dataclass(frozen=True)
class _Adaptive(ABC):
    """First and second moments of the sites' steps, m and v, for each parameter.

    Attributes
    ----------
    learning_rate : float
        Length of a step in units of the parameter.
    beta_1, beta_2 : float
        How much of m and of v is kept.
    tau : float
        Added to the square root of v: the larger, the less adaptive.
    """

    learning_rate: float = 0.01
    beta_1: float = 0.9
    beta_2: float = 0.99
    tau: float = 1e-3

    def __post_init__(self) -> None:
        _check(learning_rate=self.learning_rate, tau=self.tau)
        _check_fractions(beta_1=self.beta_1, beta_2=self.beta_2)

    def step(self, current: Weights, averaged: Weights, memory: Memory) -> tuple[Weights, Memory]:
        """See `FedAvg.step`."""
        steps = memory.get("steps", np.zeros(1)) + 1
        rate = self.learning_rate * self._correction(float(steps[0]))
        moved: Weights = {}
        after: Memory = {"steps": steps}
        for key, before, delta in _deltas(current, averaged):
            first = self.beta_1 * _remembered(memory, "first", key, before)
            first += (1 - self.beta_1) * delta
            second = self._second(_remembered(memory, "second", key, before), delta**2)
            moved[key] = _moved(before, rate * first / (np.sqrt(second) + self.tau))
            after |= {f"first/{key}": first, f"second/{key}": second}
        return moved, after

    def _correction(self, steps: float) -> float:
        return 1.0

    @abstractmethod
    def _second(
        self, before: NDArray[np.float64], square: NDArray[np.float64]
    ) -> NDArray[np.float64]: ...


@dataclass(frozen=True)
class FedAdam(_Adaptive):
    """v <- b2 v + (1 - b2) d^2; x <- x + r c m / (sqrt(v) + tau).

    c corrects for moments that begin at zero (Kingma and Ba, arXiv 1412.6980) as Flower's
    FedAdam does: with exponents one ahead of the number of steps.
    """

    name: Literal["fedadam"] = "fedadam"

    def _correction(self, steps: float) -> float:
        second, first = self.beta_2 ** (steps + 1), self.beta_1 ** (steps + 1)
        return float(np.sqrt(1 - second) / (1 - first))

    def _second(
        self, before: NDArray[np.float64], square: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        return self.beta_2 * before + (1 - self.beta_2) * square


@dataclass(frozen=True)
class FedYogi(_Adaptive):
    """v <- v - (1 - b2) d^2 sign(v - d^2); x <- x + r m / (sqrt(v) + tau).

    Unlike Adam's, v grows no faster than it shrinks.
    """

    name: Literal["fedyogi"] = "fedyogi"

    def _second(
        self, before: NDArray[np.float64], square: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        return before - (1 - self.beta_2) * square * np.sign(before - square)


ServerOptimiser = Annotated[FedAvg | FedAvgM | FedAdam | FedYogi, Field(discriminator="name")]


def apply(
    optimiser: FedAvg | FedAvgM | FedAdam | FedYogi,
    current: Weights,
    averaged: Weights,
    memory: Memory,
    parameters: Set[str],
) -> tuple[Weights, Memory]:
    """Return the next model and memory; only keys in `parameters` are the optimiser's."""
    moved, after = optimiser.step(
        {key: current[key] for key in current if key in parameters},
        {key: averaged[key] for key in current if key in parameters},
        memory,
    )
    return averaged | moved, after


def _deltas(
    current: Weights, averaged: Weights
) -> Iterator[tuple[str, NDArray[np.float64], NDArray[np.float64]]]:
    """Yield (key, model before, proposed step), in float64."""
    for key, value in current.items():
        before = value.astype(np.float64)
        yield key, before, averaged[key] - before


def _remembered(
    memory: Memory, name: str, key: str, like: NDArray[np.float64]
) -> NDArray[np.float64]:
    return memory.get(f"{name}/{key}", np.zeros_like(like, dtype=np.float64))


def _moved(
    before: NDArray[np.float32] | NDArray[np.float64], step: NDArray[np.float64]
) -> NDArray[np.float32]:
    return (before + step).astype(np.float32)


def _named(name: str, arrays: Memory) -> Memory:
    return {f"{name}/{key}": value for key, value in arrays.items()}


def _check(**values: float) -> None:
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be finite and > 0, got {value}")


def _check_fractions(**values: float) -> None:
    for name, value in values.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name} must lie in [0, 1), got {value}")
