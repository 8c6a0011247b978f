"""From a body to voxels: slices as slabs, the in-plane kernel, noise, calibration."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d
from scipy.special import erf

from simulation.cohort.body import Build
from simulation.cohort.grid import Field, Grid, Point, centred
from simulation.cohort.settings import Kernel, ScannerSettings

# Width in mm of the Gaussian, and how much of a wider one is taken off again: edges overshoot.
_KERNELS: dict[Kernel, tuple[float, float]] = {
    "soft": (1.30, 0.0),
    "standard": (0.95, 0.10),
    "sharp": (0.70, 0.30),
}
_WIDER = 2.2
_WORKING_STEP_MM = 3.0
_AVERAGE_HALF_WIDTH_MM = 164.0
_PHASE_SHIFT_MM = 0.6
_LARGEST_SHIFT_MM = 1.2
_LOWEST_HU, _HIGHEST_HU = -1024, 3071

Shift = tuple[float, float, float]


@dataclass(frozen=True)
class Protocol:
    """How one patient is scanned.

    Attributes
    ----------
    kernel : str
    noise_hu : float
        Standard deviation in the middle of this patient.
    spacing_mm : tuple of float
        Of the volume, (x, y, z).
    origin_mm : tuple of float
        World position of the first voxel, (x, y, z), LPS.
    grid : Grid
        Where the body is evaluated: the volume's own in-plane, one or more steps a slice in z.
    steps_per_slice : int
        Working steps that make one slice's thickness.
    stride : int
        Working steps from one slice to the next.
    hu_offset : float
    """

    kernel: Kernel
    noise_hu: float
    spacing_mm: Point
    origin_mm: Point
    grid: Grid
    steps_per_slice: int
    stride: int
    hu_offset: float

    @property
    def slices(self) -> int:
        """Number of slices of the volume."""
        return (self.grid.shape[0] - self.steps_per_slice) // self.stride + 1


def draw_protocol(
    scanner: ScannerSettings, build: Build, coarsening: float, rng: np.random.Generator
) -> Protocol:
    """Draw how a patient is scanned at an institution."""
    spacing_mm = round(coarsening * rng.uniform(*scanner.spacing_mm), 3)
    thickness_mm = float(rng.choice(scanner.slice_thickness_mm))
    steps = max(1, math.ceil(thickness_mm / _WORKING_STEP_MM))
    step_mm = thickness_mm / steps
    stride = max(1, round(steps * (1 - scanner.slice_overlap)))
    width_mm, depth_mm, height_mm = build.size_mm
    count = math.ceil(height_mm / step_mm) + steps
    z_mm = (build.lowest_mm + step_mm * np.arange(count)).astype(np.float32)
    grid = Grid(centred(width_mm, spacing_mm), centred(depth_mm, spacing_mm), z_mm)
    table_mm = rng.uniform((-20, -190, -420), (20, -110, 60))
    first = (grid.x_mm[0], grid.y_mm[0], grid.z_mm[0] + step_mm * (steps - 1) / 2)
    x, y, z = (round(float(a + b), 2) for a, b in zip(table_mm, first, strict=True))
    return Protocol(
        kernel=scanner.kernel,
        noise_hu=scanner.noise_hu
        * (build.half_width_mm / _AVERAGE_HALF_WIDTH_MM) ** 2
        * rng.uniform(0.88, 1.12),
        spacing_mm=(spacing_mm, spacing_mm, step_mm * stride),
        origin_mm=(x, y, z),
        grid=grid,
        steps_per_slice=steps,
        stride=stride,
        hu_offset=scanner.hu_offset + rng.normal(0, 1),
    )


def draw_shift(protocol: Protocol, rng: np.random.Generator) -> Shift:
    """Draw how far a breath moved the patient in one phase, (x, y, z) in mm, under a voxel."""
    limits = np.minimum(_LARGEST_SHIFT_MM, 0.6 * np.asarray(protocol.spacing_mm))
    x, y, z = np.clip(rng.normal(0, _PHASE_SHIFT_MM, 3), -limits, limits).tolist()
    return x, y, z


def scan(
    body_hu: Field, protocol: Protocol, shift_mm: Shift, rng: np.random.Generator
) -> NDArray[np.int16]:
    """Return what the scanner makes of a body.

    Noise passes through the same kernel as the body, so that a sharp kernel has both sharp
    edges and fine grain.

    Parameters
    ----------
    body_hu : numpy.ndarray
        Attenuation on ``protocol.grid``, float32.
    protocol : Protocol
    shift_mm : tuple of float
        Displacement of the body, (x, y, z).
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray
        Shape (D, H, W), int16.
    """
    volume = average_slabs(body_hu, protocol, shift_mm[2])
    spacing_mm = protocol.spacing_mm[0]
    across = _kernel(protocol.kernel, spacing_mm, shift_mm[0])
    along = _kernel(protocol.kernel, spacing_mm, shift_mm[1])
    kept = math.sqrt(float((across**2).sum() * (along**2).sum()))
    noise = rng.standard_normal(volume.shape, dtype=np.float32)
    noise *= np.float32(protocol.noise_hu / kept) * _noise_map(protocol.grid)
    volume += noise
    correlate1d(volume, along, axis=1, output=volume, mode="nearest")
    correlate1d(volume, across, axis=2, output=volume, mode="nearest")
    volume += np.float32(protocol.hu_offset)
    np.rint(volume, out=volume)
    np.clip(volume, _LOWEST_HU, _HIGHEST_HU, out=volume)
    return volume.astype(np.int16)


def average_slabs(values: Field, protocol: Protocol, shift_mm: float = 0.0) -> Field:
    """Return the mean over each slice's thickness, shifted along z; shape (D, H, W)."""
    profile = _slice_profile(protocol, shift_mm)
    slices, stride = protocol.slices, protocol.stride
    reach = (len(profile) - protocol.steps_per_slice) // 2
    last = values.shape[0] - 1
    volume = np.zeros((slices, *values.shape[1:]), dtype=np.float32)
    for place, weight in enumerate(profile):
        rows = np.clip(np.arange(slices) * stride + place - reach, 0, last)
        if weight:
            volume += np.float32(weight) * values[rows]
    return volume


def _slice_profile(protocol: Protocol, shift_mm: float) -> NDArray[np.float64]:
    steps = protocol.steps_per_slice
    step_mm = protocol.spacing_mm[2] / protocol.stride
    # One working step a slice cannot show partial volume: borrow some from the neighbours.
    box = np.array([0.12, 0.76, 0.12]) if steps == 1 else np.pad(np.full(steps, 1 / steps), 1)
    moved = abs(shift_mm) / step_mm
    whole = int(moved)
    box = np.pad(box, whole + 1)
    neighbour = np.roll(box, whole + 1), np.roll(box, whole)
    shifted = (moved - whole) * neighbour[0] + (1 - moved + whole) * neighbour[1]
    # A body moved to the head is met by a slice at what lay below it.
    return shifted[::-1].copy() if shift_mm > 0 else shifted


def _kernel(kernel: Kernel, spacing_mm: float, shift_mm: float) -> NDArray[np.float64]:
    """Return the taps of a kernel displaced by `shift_mm`, summing to 1."""
    width_mm, taken_off = _KERNELS[kernel]
    reach = math.ceil((3 * width_mm + _LARGEST_SHIFT_MM) / spacing_mm)
    edges = (np.arange(-reach, reach + 2) - 0.5) * spacing_mm + shift_mm
    narrow = np.diff(erf(edges / (math.sqrt(2) * width_mm))) / 2
    wide = np.diff(erf(edges / (math.sqrt(2) * width_mm * _WIDER))) / 2
    taps = (1 + taken_off) * narrow - taken_off * wide
    return np.asarray(taps / taps.sum())


def _noise_map(grid: Grid) -> Field:
    """Return noise relative to the middle of the body, shape (1, H, W): less towards the skin."""
    x, y, _ = grid.mesh
    radius = (x / grid.x_mm[-1]) ** 2 + (y / grid.y_mm[-1]) ** 2
    return np.asarray(1.0 - 0.38 * np.minimum(radius, 1.6), dtype=np.float32)
