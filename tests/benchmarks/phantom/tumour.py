"""The tumour: where it lies, its shape, and its satellites."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.phantom.anatomy import CAVA_BEFORE_SPINE_MM, CAVA_X_MM, Body
from tests.benchmarks.phantom.arrays import Array, Field, Vector
from tests.benchmarks.phantom.grid import random_direction
from tests.benchmarks.phantom.traits import Traits

_WAVES = 10
_MOST_TRIES = 200


@dataclass(frozen=True)
class Shape:
    """A ball whose radius varies smoothly with the direction.

    Attributes
    ----------
    radius_mm : float
        The mean.
    irregularity : float
        Standard deviation of the radius, relative to the mean.
    waves : numpy.ndarray
        Frequencies over the direction (x, y, z), one row a wave, shape (10, 3), float32.
    wave_phases : numpy.ndarray
        In radians, shape (10,), float32.
    stretch : numpy.ndarray
        Of the axes (x, y, z); chance only, not a trait.
    """

    radius_mm: float
    irregularity: float
    waves: Field
    wave_phases: Field
    stretch: Vector

    def relative_radius(self, direction: Sequence[Array] | Vector) -> Array:
        """Return the radius in a direction (x, y, z) of length 1, before it is limited."""
        x, y, z = direction
        bumps = sum(
            np.cos(wave[0] * x + wave[1] * y + wave[2] * z + phase)
            for wave, phase in zip(self.waves, self.wave_phases, strict=True)
        )
        # The square root makes the variance of the sum about 1.
        return np.asarray(1 + self.irregularity * (bumps / np.sqrt(_WAVES / 2)))

    def surface_mm(self, direction: Sequence[Array]) -> Array:
        """Return how far from the centre the surface lies in a direction of length 1."""
        x, y, z = (part / scale for part, scale in zip(direction, self.stretch, strict=True))
        smooth_mm = self.radius_mm / np.sqrt(x**2 + y**2 + z**2)
        return np.asarray(smooth_mm * np.clip(self.relative_radius(direction), 0.45, 1.5))


@dataclass(frozen=True)
class Satellite:
    """A ball near the tumour; its centre is (x, y, z) in mm."""

    centre: Vector
    radius_mm: float


@dataclass(frozen=True)
class Tumour:
    """A tumour before it is painted.

    Attributes
    ----------
    traits : Traits
    centre : numpy.ndarray
        (x, y, z) in mm.
    shape : Shape
    satellites : sequence of Satellite
    """

    traits: Traits
    centre: Vector
    shape: Shape
    satellites: Sequence[Satellite]


def draw_tumour(traits: Traits, body: Body, rng: np.random.Generator) -> Tumour:
    """Draw a tumour's place, shape and satellites."""
    centre = _draw_centre(traits.radius_mm, body, rng)
    waves = rng.standard_normal((_WAVES, 3)) * rng.uniform(1.5, 4.5, (_WAVES, 1))
    wave_phases = rng.uniform(0, 2 * np.pi, _WAVES)
    shape = Shape(
        radius_mm=traits.radius_mm,
        irregularity=traits.irregularity,
        waves=waves.astype(np.float32),
        wave_phases=wave_phases.astype(np.float32),
        stretch=rng.uniform(0.9, 1.1, 3),
    )
    satellites = _draw_satellites(traits.satellites, centre, shape, body, rng)
    return Tumour(traits, centre, shape, satellites)


def _draw_centre(radius_mm: float, body: Body, rng: np.random.Generator) -> Vector:
    """Draw a place in the right lobe; small tumours are kept off the vena cava."""
    room = np.clip(1 - (radius_mm * 1.1 + 3) / body.liver_axes.min(), 0.08, 0.9)
    for _ in range(50):
        towards = body.liver_axes * room * random_direction(rng)
        centre = body.liver_centre + towards * rng.random() ** (1 / 3)
        behind_cava_mm = centre[1] - body.spine_y_mm + CAVA_BEFORE_SPINE_MM
        from_cava_mm = np.hypot(centre[0] - CAVA_X_MM, behind_cava_mm)
        if radius_mm > 30 or from_cava_mm > radius_mm + 14:
            break
    return np.asarray(centre)


def _draw_satellites(
    count: int, centre: Vector, shape: Shape, body: Body, rng: np.random.Generator
) -> list[Satellite]:
    """Draw balls outside the tumour; those that would leave the right lobe are drawn again."""
    satellites: list[Satellite] = []
    for _ in range(_MOST_TRIES):
        if len(satellites) == count:
            break
        direction, radius_mm = random_direction(rng), rng.uniform(3.5, 8)
        edge_mm = shape.radius_mm * max(0.45, float(shape.relative_radius(direction)))
        place = centre + direction * (edge_mm + radius_mm + rng.uniform(3, 16))
        if (((place - body.liver_centre) / (body.liver_axes - radius_mm)) ** 2).sum() < 1:
            satellites.append(Satellite(place, radius_mm))
    return satellites
