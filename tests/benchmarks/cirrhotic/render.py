"""A drawn patient made into volumes: body, tumour, phases, scanner, and a reader's mask."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from shared.tasks import PHASES, Phase
from simulation.cohort.render import Scan
from tests.benchmarks.cirrhotic.anatomy import Tissue
from tests.benchmarks.cirrhotic.background import Background, draw_background
from tests.benchmarks.cirrhotic.body import draw_body
from tests.benchmarks.cirrhotic.contrast import Uptake, draw_uptake
from tests.benchmarks.cirrhotic.nodules import Nodule, draw_balls, draw_nodules, paint_nodule
from tests.benchmarks.cirrhotic.patients import Patient
from tests.benchmarks.cirrhotic.place import draw_centre, roomy_voxels
from tests.benchmarks.cirrhotic.reader import draw_mask, outline_nodules
from tests.benchmarks.cirrhotic.scanner import acquire, draw_grid, draw_scanner
from tests.benchmarks.cirrhotic.signs import Signs, draw_signs, paint_tumour
from tests.benchmarks.cirrhotic.sites import Site
from tests.benchmarks.cirrhotic.traits import Traits
from tests.benchmarks.cirrhotic.tumour import Tumour, draw_tumour
from tests.benchmarks.phantom.arrays import Field, Labels
from tests.benchmarks.phantom.grid import Grid


@dataclass(frozen=True)
class _Inside:
    """A patient before the scan, and the mask of it."""

    background: Background
    tumour: Tumour
    signs: Signs
    nodules: Sequence[Nodule]
    uptake: Uptake
    mask: Labels

    def at(self, phase: int) -> Field:
        """Return the attenuation of each voxel in a phase, (D, H, W)."""
        volume_hu = self.background.at(phase, self.uptake)
        paint_tumour(volume_hu, self.tumour, self.signs, self.uptake, phase)
        for nodule in self.nodules:
            paint_nodule(volume_hu, nodule, self.uptake, phase)
        return volume_hu


def render(patient: Patient, site: Site) -> Scan:
    """Make a patient's volumes; the same for the same patient and site."""
    # The sums of a matrix product may depend on the number of threads that make it.
    with threadpool_limits(1, user_api="blas"):
        return _render(patient, site)


def _render(patient: Patient, site: Site) -> Scan:
    rng = np.random.default_rng(patient.seed)
    grid = draw_grid(site, rng)
    inside = _draw_inside(patient.traits, site, grid, rng)
    scanner = draw_scanner(site, grid, rng)
    volumes: dict[Phase, NDArray[np.int16]] = {}
    for place, phase in enumerate(PHASES):
        # Drawn for a phase that was not taken as well: the others' noise stays the same.
        noise = scanner.noise_rng.standard_normal(grid.shape, dtype=np.float32)
        if phase != patient.missing_phase:
            volumes[phase] = acquire(inside.at(place), noise, scanner, place)
    return Scan(volumes, inside.mask, grid.spacing_mm, scanner.origin_mm)


def _draw_inside(traits: Traits, site: Site, grid: Grid, rng: np.random.Generator) -> _Inside:
    body = draw_body(traits.cirrhosis, grid, rng)
    liver, labels = body.liver, body.labels
    roomy = roomy_voxels(liver, traits.radius_mm)
    centre = draw_centre(traits, roomy, liver, body.vessels, grid, rng)
    uptake = draw_uptake(site, traits.cirrhosis, rng)
    tumour = draw_tumour(traits, centre, labels, liver, grid, rng)
    signs = draw_signs(traits, tumour, uptake, rng)
    balls = draw_balls(traits, centre, roomy, liver, grid, rng)
    mask = draw_mask(liver.voxels, tumour, site, rng)
    # From here on the tumour, where it bulges out, is liver too.
    whole = liver.voxels.copy()
    whole[tumour.box] |= tumour.voxels
    labels[tumour.box][tumour.voxels] = Tissue.LIVER
    nodules = draw_nodules(balls, traits, signs.contrast_hu, whole, grid, rng)
    outline_nodules(mask, nodules, site)
    veins = body.portal, body.hepatic
    background = draw_background(labels, whole, veins, body.textures, traits.cirrhosis, rng)
    return _Inside(background, tumour, signs, nodules, uptake, mask)
