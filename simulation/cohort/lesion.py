"""Signs made visible: a tumour's margin, its parts, and its enhancement in each phase."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shared.tasks import Phase
from simulation.cohort.grid import Box, Field, Grid
from simulation.cohort.placement import Place, Points, place_main, place_others
from simulation.cohort.signs import LesionSigns
from simulation.cohort.tissue import Tissue

# Radial amplitude of the margin's lobulation, as a share of the radius: smooth to infiltrating.
_LOBULATION = (0.02, 0.24)
_WAVES = 14
_EXOPHYTIC_MM = 6.0
_CORONA_MM = 12.0
_RIM_MM = 4.0
_CAPSULE_MM = 3.0
_NECROTIC_HU = 20.0
_RIM_HU = 62.0
_CAPSULE_HU = {"portal_venous": 46.0, "delayed": 68.0}
_CORONA_HU = 38.0

_MAY_BE_TUMOUR = np.zeros(len(Tissue), dtype=bool)
_MAY_BE_TUMOUR[[Tissue.LIVER, Tissue.PORTAL_VEIN, Tissue.HEPATIC_VEIN, Tissue.VISCERAL_FAT]] = True
_MAY_BE_TUMOUR[Tissue.GALLBLADDER] = True


@dataclass(frozen=True)
class Tumour:
    """One tumour on the grid.

    Attributes
    ----------
    box : tuple of slice
        The part of the grid that it and its surroundings fill.
    depth_mm : numpy.ndarray
        Depth below its surface in the box; negative outside.
    share : numpy.ndarray
        Part of each voxel of the box that is tumour, 0 to 1.
    necrosis : numpy.ndarray
        Part of each voxel that does not enhance, 0 to 1.
    texture : numpy.ndarray
        Unevenness of the solid part, in HU.
    signs : LesionSigns
    """

    box: Box
    depth_mm: Field
    share: Field
    necrosis: Field
    texture: Field
    signs: LesionSigns


def make_tumours(
    signs: LesionSigns,
    labels: NDArray[np.uint8],
    liver_depth_mm: Field,
    grid: Grid,
    rng: np.random.Generator,
) -> list[Tumour]:
    """Place and shape all tumours of a patient; the main one first."""
    main = place_main(signs, liver_depth_mm, grid, rng)
    surface = _lobulated_surface(signs.irregularity, main, rng)
    others = place_others(
        signs, main, lambda points: _depth_at(points, main, surface), liver_depth_mm, grid, rng
    )
    tumours = [_shape_tumour(signs, main, surface, labels, liver_depth_mm, grid, rng)]
    for place in others:
        if any(part.stop <= part.start for part in _surroundings(grid, place)):
            continue  # beyond the scanned range: nobody sees it
        # Small tumours share the enhancement of the main one, and are otherwise plain.
        plain = replace(signs, irregularity=0.2, necrosis=0.0, corona=0.4 * signs.corona)
        smooth = _lobulated_surface(plain.irregularity, place, rng)
        tumours.append(_shape_tumour(plain, place, smooth, labels, liver_depth_mm, grid, rng))
    return tumours


def _surroundings(grid: Grid, place: Place) -> Box:
    return grid.around(place.centre, 1.45 * place.radius_mm + _CORONA_MM + 4.0)


Surface = Callable[[Points], Field]


def _lobulated_surface(irregularity: float, place: Place, rng: np.random.Generator) -> Surface:
    """Return the radius in mm along unit directions, shape (n, 3) to (n,).

    A sum of random plane waves on the sphere, on a slightly oblong body: one piece whatever
    the amplitude, as each ray from the centre leaves the tumour once.
    """
    low, high = _LOBULATION
    amplitude = low + (high - low) * irregularity
    heading = rng.standard_normal((_WAVES, 3)).astype(np.float32)
    heading /= np.linalg.norm(heading, axis=1, keepdims=True)
    waves = heading * rng.uniform(3.5, 8.5, (_WAVES, 1)).astype(np.float32)
    phases = rng.uniform(0, 2 * np.pi, _WAVES).astype(np.float32)
    stretch = rng.uniform(0.92, 1.08, 3).astype(np.float32)
    scale = np.float32(amplitude * np.sqrt(2 / _WAVES))

    def radius_mm(directions: Points) -> Field:
        lobes = np.zeros(len(directions), dtype=np.float32)
        # Wave by wave, not as a matrix product: the same bits however many threads BLAS has.
        for (x, y, z), phase in zip(waves, phases, strict=True):
            argument = directions[:, 0] * x + directions[:, 1] * y + directions[:, 2] * z
            lobes += np.cos(argument + phase)
        oblong = np.sqrt(((directions * stretch) ** 2).sum(axis=1))
        return np.asarray(
            place.radius_mm * np.maximum(1 + scale * lobes, 0.45) * oblong, dtype=np.float32
        )

    return radius_mm


def _depth_at(points: Points, place: Place, surface: Surface) -> Field:
    offsets = points - np.asarray(place.centre, dtype=np.float32)
    distance = np.maximum(np.sqrt((offsets**2).sum(axis=1)), np.float32(0.1))
    return np.asarray(surface(offsets / distance[:, None]) - distance, dtype=np.float32)


def _shape_tumour(
    signs: LesionSigns,
    place: Place,
    surface: Surface,
    labels: NDArray[np.uint8],
    liver_depth_mm: Field,
    grid: Grid,
    rng: np.random.Generator,
) -> Tumour:
    box = _surroundings(grid, place)
    part = grid.crop(box)
    coarse = part.coarse(max(2.0, place.radius_mm / 9))
    mesh = np.stack(np.broadcast_arrays(*coarse.mesh), axis=-1).reshape(-1, 3)
    depth_mm = part.interpolate(_depth_at(mesh, place, surface).reshape(coarse.shape), coarse)
    depth_mm = np.minimum(depth_mm, liver_depth_mm[box] + np.float32(_EXOPHYTIC_MM))
    step_mm = max(part.spacing_mm)
    share = np.clip(depth_mm / np.float32(step_mm) + np.float32(0.5), 0, 1)
    share *= _MAY_BE_TUMOUR[labels[box]]
    texture = part.smooth_noise(max(4.0, 0.22 * place.radius_mm), rng)
    necrosis = _necrosis(signs.necrosis, depth_mm, share, texture, place.radius_mm)
    return Tumour(box, depth_mm, share, necrosis, texture, signs)


def _necrosis(
    fraction: float, depth_mm: Field, share: Field, texture: Field, radius_mm: float
) -> Field:
    """Return the non-enhancing core: uneven, and `fraction` of the tumour's volume."""
    if fraction <= 0:
        return np.zeros_like(depth_mm)
    score = depth_mm + np.float32(0.16 * radius_mm) * texture
    inside = share > 0.5
    if not inside.any():
        return np.zeros_like(depth_mm)
    threshold = np.quantile(score[inside], 1 - fraction)
    core = np.clip((score - np.float32(threshold)) / 2 + np.float32(0.5), 0, 1)
    return np.asarray(core * (depth_mm > 1.5), dtype=np.float32)


def paint_tumour(
    image_hu: Field,
    tumour: Tumour,
    labels: NDArray[np.uint8],
    phase: Phase,
    late: float,
    liver_hu: float,
) -> None:
    """Paint a tumour into a phase's attenuation, in place.

    Parameters
    ----------
    image_hu : numpy.ndarray
        The whole grid, float32, before the scanner.
    labels : numpy.ndarray
        The anatomy on the same grid: the corona stays in the liver.
    phase : str
    late : float
        0 early to 1 late within the phase.
    liver_hu : float
        What the liver measures in this phase.
    """
    part = image_hu[tumour.box]
    depth_mm, signs = tumour.depth_mm, tumour.signs
    if phase == "arterial" and signs.corona > 0:
        fading = np.exp(np.minimum(depth_mm, 0) / np.float32(0.55 * _CORONA_MM))
        corona = np.float32(_CORONA_HU * signs.corona) * fading
        part += corona * ((labels[tumour.box] == Tissue.LIVER) & (depth_mm > -_CORONA_MM))
    solid_hu = liver_hu + _solid_contrast_hu(signs, phase, late) + np.float32(4.0) * tumour.texture
    solid_hu += _band_hu(signs, phase, depth_mm)
    tumour_hu = solid_hu + tumour.necrosis * (np.float32(_NECROTIC_HU) - solid_hu)
    part += tumour.share * (tumour_hu - part)


def _solid_contrast_hu(signs: LesionSigns, phase: Phase, late: float) -> float:
    """Return how the solid part differs from the liver."""
    if phase == "arterial":
        return signs.hyperenhancement_hu * (0.8 + 0.4 * late)
    if phase == "portal_venous":
        return 4.0 - 0.6 * signs.washout_hu * (0.7 + 0.6 * late)
    return 2.0 - signs.washout_hu * (0.8 + 0.4 * late)


def _band_hu(signs: LesionSigns, phase: Phase, depth_mm: Field) -> Field | float:
    """Return what the rim (arterial) or the capsule (later) adds below the surface."""
    if phase == "arterial":
        return np.float32(_RIM_HU * signs.rim) * _band(depth_mm, 0.5 * _RIM_MM, 0.6 * _RIM_MM)
    strength = np.float32(_CAPSULE_HU[phase] * signs.capsule)
    return strength * _band(depth_mm, 0.35 * _CAPSULE_MM, 0.6 * _CAPSULE_MM)


def _band(depth_mm: Field, middle_mm: float, width_mm: float) -> Field:
    return np.asarray(
        np.exp(-(((depth_mm - np.float32(middle_mm)) / np.float32(width_mm)) ** 2)),
        dtype=np.float32,
    )
