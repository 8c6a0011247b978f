"""A drawn patient made into volumes: body, tumours, phases, scanner."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.tasks import LIVER_LABEL, PHASES, TUMOUR_LABEL, Phase
from simulation.cohort.body import Build, draw_build, paint_trunk
from simulation.cohort.grid import Field, Grid, Point
from simulation.cohort.lesion import Tumour, make_tumours, paint_tumour
from simulation.cohort.organs import liver_depth_mm, paint_gallbladder, paint_organs
from simulation.cohort.patient import Patient, stream
from simulation.cohort.scanner import Protocol, average_slabs, draw_protocol, draw_shift, scan
from simulation.cohort.settings import ContrastSettings, SyntheticCohortSettings
from simulation.cohort.tissue import Tissue, attenuation_hu, lateness
from simulation.cohort.vessels import paint_vessels

_WOBBLE_MM = 22.0
_TEXTURE_MM = 5.0
_PARENCHYMA_HU = 2.5
_MOTTLED_SPLEEN_HU = 22.0
_TIMING_SPREAD = 0.14
# A fatty liver measures less; few are denser than usual.
_LIVER_SPREAD_HU = 6.0
_ALWAYS_TAKEN: Phase = "portal_venous"


@dataclass(frozen=True)
class Scan:
    """One patient's volumes on one grid.

    Attributes
    ----------
    phases : mapping of str to numpy.ndarray
        Those that were taken; int16 HU, shape (D, H, W).
    mask : numpy.ndarray
        0 background, 1 liver, 2 tumour; uint8, shape (D, H, W).
    spacing_mm, origin_mm : tuple of float
        (x, y, z), LPS; axes are those of the world.
    """

    phases: Mapping[Phase, NDArray[np.int16]]
    mask: NDArray[np.uint8]
    spacing_mm: Point
    origin_mm: Point


@dataclass(frozen=True)
class _Inside:
    """A patient's anatomy on the working grid."""

    labels: NDArray[np.uint8]
    liver: NDArray[np.bool_]
    tumours: list[Tumour]
    texture: Field


def render(settings: SyntheticCohortSettings, patient: Patient) -> Scan:
    """Make a patient's volumes; the same for the same settings and patient, in any process."""

    def numbers(use: str) -> np.random.Generator:
        return stream(settings, patient.site, patient.index, use)

    site = settings.sites[patient.site]
    build = draw_build(numbers("build"))
    rng = numbers("scanner")
    protocol = draw_protocol(site.scanner, build, settings.coarsening, rng)
    inside = _draw_inside(patient, build, protocol.grid, numbers("anatomy"))
    liver_hu = float(np.clip(rng.normal(-2, _LIVER_SPREAD_HU), -18, 8))
    dose = site.contrast.dose * rng.uniform(0.9, 1.1)
    volumes: dict[Phase, NDArray[np.int16]] = {}
    for phase in _phases_taken(site.contrast, rng):
        noise = numbers(phase)
        late = float(np.clip(noise.normal(lateness(site.contrast, phase), _TIMING_SPREAD), 0, 1))
        table_hu = attenuation_hu(phase, late, dose, liver_hu)
        body_hu = _attenuate(inside, table_hu, phase, late)
        volumes[phase] = scan(body_hu, protocol, draw_shift(protocol, noise), noise)
    return Scan(
        phases=volumes,
        mask=_mask(inside, protocol),
        spacing_mm=protocol.spacing_mm,
        origin_mm=protocol.origin_mm,
    )


def _draw_inside(patient: Patient, build: Build, grid: Grid, rng: np.random.Generator) -> _Inside:
    wobble = grid.smooth_noise(_WOBBLE_MM, rng)
    labels = paint_trunk(build, grid, wobble)
    depth_mm = liver_depth_mm(build, grid, rng)
    labels[(depth_mm > 0) & (labels == Tissue.VISCERAL_FAT)] = Tissue.LIVER
    paint_organs(labels, build, grid, wobble, rng)
    paint_gallbladder(labels, build, grid, wobble, rng)
    liver = labels == Tissue.LIVER
    depth_mm = np.where(liver, depth_mm, np.minimum(depth_mm, 0))
    paint_vessels(labels, build, grid, rng)
    liver &= labels != Tissue.VENA_CAVA
    tumours = make_tumours(patient.signs, labels, depth_mm, grid, rng)
    return _Inside(labels, liver, tumours, grid.smooth_noise(_TEXTURE_MM, rng))


def _phases_taken(contrast: ContrastSettings, rng: np.random.Generator) -> list[Phase]:
    missing = contrast.missing or {}
    taken = [phase for phase in PHASES if rng.random() >= missing.get(phase, 0.0)]
    return taken or [_ALWAYS_TAKEN]


def _attenuate(inside: _Inside, table_hu: Field, phase: Phase, late: float) -> Field:
    """Return the attenuation of a body in one phase, on the working grid."""
    body_hu = table_hu[inside.labels]
    uneven_hu = np.zeros(len(Tissue), dtype=np.float32)
    uneven_hu[[Tissue.LIVER, Tissue.MUSCLE, Tissue.PANCREAS]] = _PARENCHYMA_HU
    if phase == "arterial":
        # The spleen fills unevenly at first.
        uneven_hu[Tissue.SPLEEN] = _MOTTLED_SPLEEN_HU * (1 - 0.7 * late)
    body_hu += uneven_hu[inside.labels] * inside.texture
    for tumour in inside.tumours:
        paint_tumour(body_hu, tumour, inside.labels, phase, late, float(table_hu[Tissue.LIVER]))
    return body_hu


def _mask(inside: _Inside, protocol: Protocol) -> NDArray[np.uint8]:
    """Return the label map on the volume's grid: whatever fills half of a voxel or more."""
    tumour = np.zeros(inside.labels.shape, dtype=np.float32)
    for part in inside.tumours:
        np.maximum(tumour[part.box], part.share, out=tumour[part.box])
    liver = average_slabs(inside.liver.astype(np.float32), protocol) >= 0.5
    mask = np.where(liver, np.uint8(LIVER_LABEL), np.uint8(0))
    mask[average_slabs(tumour, protocol) >= 0.5] = TUMOUR_LABEL
    return mask
