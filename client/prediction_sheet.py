"""Fills one patient's sheet: the CT around the tumour in three planes, and what was predicted."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from client.cohort import Region
from client.imaging.frame import sample_phase
from client.prediction import Prediction
from shared.activation_share import ActivationShares
from shared.reporting.content import ActivationSample
from shared.reporting.names import PHASE_NAMES
from shared.reporting.prediction import PredictedCurve, PredictionSheet
from shared.tasks import SURVIVAL_TASKS, TUMOUR_LABEL, Phase

PLANES = ("axial", "coronal", "sagittal")
SHOWN_HU = (-100.0, 250.0)
# The network's voxels are coarse; a reader sees the scan this many times finer.
FINER = 3
_SHOWN_FIRST: tuple[Phase, ...] = ("portal_venous", "arterial", "delayed")


def prediction_sheet(
    region: Region,
    prediction: Prediction,
    activation: NDArray[np.float32],
    *,
    patient: str,
    notices: tuple[str, ...],
    warnings: tuple[str, ...],
    shares: ActivationShares,
    footer: tuple[str, ...],
) -> PredictionSheet:
    """Return the sheet of one patient.

    Parameters
    ----------
    region : Region
    prediction : Prediction
    activation : ndarray, shape (D, H, W)
        On the region's grid, in [0, 1].
    """
    return PredictionSheet(
        patient=patient,
        notices=notices,
        mvi_probability=prediction.mvi_probability,
        mvi_threshold=prediction.mvi_threshold,
        curves=tuple(
            PredictedCurve(
                task,
                p.group,
                p.months,
                p.survival,
                p.median_months,
                p.grid_months,
                p.followed_months,
            )
            for task in SURVIVAL_TASKS
            for p in (prediction.survival(task),)
        ),
        planes=planes(region, activation),
        phases=tuple(PHASE_NAMES[phase] for phase in region.scans),
        activation_note=_note(shares),
        warnings=warnings,
        footer=footer,
    )


def planes(region: Region, activation: NDArray[np.float32]) -> tuple[ActivationSample, ...]:
    """Return three planes through the tumour, each where it is largest.

    The scan is sampled anew from its native voxels; map and outline are interpolated.
    """
    lattice = region.frame.lattice
    depth, height, width = lattice.shape
    fine = replace(
        lattice,
        spacing_mm=lattice.spacing_mm / FINER,
        shape=(FINER * depth, FINER * height, FINER * width),
    )
    phase = next(phase for phase in _SHOWN_FIRST if phase in region.scans)
    hu = sample_phase(region.scans[phase], fine, SHOWN_HU)
    grey = (hu.astype(np.float64) - SHOWN_HU[0]) / (SHOWN_HU[1] - SHOWN_HU[0])
    tumour = _finer(region.roi.mask == TUMOUR_LABEL) > 0.5
    heat = np.clip(_finer(activation), 0, 1)
    drawn = []
    for axis, plane in enumerate(PLANES):
        level = int(tumour.sum(axis=tuple({0, 1, 2} - {axis})).argmax())
        # Rows run from head to foot in coronal and sagittal planes, as they are read.
        turn = slice(None) if axis == 0 else slice(None, None, -1)
        image, found, outline = (
            np.take(volume, level, axis)[turn] for volume in (grey, heat, tumour)
        )
        caption = f"{plane}, {PHASE_NAMES[phase]}" if axis == 0 else plane
        drawn.append(ActivationSample(image, found, outline, caption))
    return tuple(drawn)


def _finer(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(
        ndimage.zoom(values.astype(np.float64), FINER, order=1, grid_mode=True, mode="nearest")
    )


def _note(shares: ActivationShares) -> str:
    if not shares.patients:
        return "Nothing in the network's maps speaks for a higher risk of death in this patient."
    return (
        f"Evidence of a higher risk of death: {shares.in_margin:.0%} of it lies in the tumour and"
        f" its margin, which are {shares.margin_volume:.0%} of the volume that the network sees."
        " A map shows what the model used, not what is true."
    )
