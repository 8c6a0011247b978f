"""A drawn patient made into volumes: body, tumour, phases, scanner."""

import numpy as np
from numpy.typing import NDArray

from shared.tasks import LIVER_LABEL, PHASES, TUMOUR_LABEL, Phase
from simulation.cohort.render import Scan
from tests.benchmarks.phantom.anatomy import Tissue, draw_body, paint_body
from tests.benchmarks.phantom.arrays import Box, Field, Labels
from tests.benchmarks.phantom.contrast import draw_moment, draw_uptake
from tests.benchmarks.phantom.grid import Grid, bounding_box
from tests.benchmarks.phantom.patients import Patient
from tests.benchmarks.phantom.region import Region, locate, paint_tumour
from tests.benchmarks.phantom.scanner import acquire, breathe, calibrate, draw_grid
from tests.benchmarks.phantom.sites import Site
from tests.benchmarks.phantom.tumour import draw_tumour
from tests.benchmarks.phantom.vessels import draw_branches, paint_branches

_PARENCHYMA_MM = 14
# The mask is drawn on this phase: the others may have been taken in another breath.
_MASKED_PHASE: Phase = "portal_venous"


def render(patient: Patient, site: Site) -> Scan:
    """Make a patient's volumes; the same for the same patient and site."""
    rng = np.random.default_rng(patient.seed)
    grid = draw_grid(site, rng)
    body = draw_body(rng)
    branches = draw_branches(body, rng)
    tumour = draw_tumour(patient.traits, body, rng)
    labels = paint_body(body, grid)
    paint_branches(labels, branches, grid)
    region = locate(tumour, labels, body, grid, rng)
    mask = _mask(labels, region)
    box = bounding_box(mask > 0)
    parenchyma_hu = _draw_parenchyma(labels, box, grid, rng)
    uptake = draw_uptake(rng)
    volumes: dict[Phase, NDArray[np.int16]] = {}
    for phase, mean_seconds in zip(PHASES, site.phase_seconds, strict=True):
        moment = draw_moment(mean_seconds, uptake, rng)
        volume_hu = moment.table_hu[labels]
        volume_hu[box] += parenchyma_hu
        paint_tumour(volume_hu, region, patient.traits, moment)
        calibrate(volume_hu, site)
        if phase != _MASKED_PHASE:
            volume_hu = breathe(volume_hu, site, rng)
        volumes[phase] = acquire(volume_hu, site, rng)
    origin_mm = (float(grid.x_mm[0]), float(grid.y_mm[0]), float(grid.z_mm[0]))
    return Scan(volumes, mask, grid.spacing_mm, origin_mm)


def _mask(labels: Labels, region: Region) -> NDArray[np.uint8]:
    """Return the contract's labels: liver with its vessels, and tumour with its satellites."""
    liver = np.isin(labels, (Tissue.LIVER, Tissue.LIVER_VESSEL))
    mask = np.where(liver, np.uint8(LIVER_LABEL), np.uint8(0))
    mask[region.box][region.voxels] = TUMOUR_LABEL
    return mask


def _draw_parenchyma(labels: Labels, box: Box, grid: Grid, rng: np.random.Generator) -> Field:
    """Draw how uneven the liver is in all phases, in HU; shape of the box."""
    liver = labels[box] == Tissue.LIVER
    uneven_hu = rng.uniform(1, 4) * grid.smooth_field(liver.shape, _PARENCHYMA_MM, rng)
    return np.asarray(uneven_hu * liver, dtype=np.float32)
