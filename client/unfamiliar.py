"""What of a patient is unusual, compared with those that a model was trained on.

A network is as sure of a patient unlike all it learned from as of any other: only a comparison
with the training patients tells, and the model's folder carries what they looked like.
"""

from collections.abc import Collection, Sequence

import numpy as np
import torch

from client.cohort import Region
from shared.model import RoiBatch, direct_features
from shared.model_folder import ModelFolder
from shared.preprocessing import PreprocessingSettings
from shared.regions import REGIONS, region_weights
from shared.reporting.names import PHASE_NAMES
from shared.tasks import PHASES, TUMOUR_LABEL, Phase
from shared.training_inputs import (
    DEVIATIONS,
    DIAMETER,
    INTENSITY,
    Outside,
    TrainingInputs,
    measured,
    outside,
)

USUAL = f"usual in training (mean ± {DEVIATIONS:g} SD)"
_IN_PLANE, _SLICES = "in_plane_spacing_mm", "slice_spacing_mm"
_PLACES = {"core": "in the tumour", "rim": "at the tumour's margin", "ring": "around the tumour"}
_LENGTHS = {
    DIAMETER: "The tumour's diameter",
    _IN_PLANE: "The pixel",
    _SLICES: "The distance of slices",
}
_INTENSITIES = {
    f"{INTENSITY}_{phase}_{region}": f"The {PHASE_NAMES[phase]} phase {_PLACES[region]}"
    for phase in PHASES
    for region in REGIONS
}


def warnings_for(region: Region, batch: RoiBatch, about: ModelFolder) -> tuple[str, ...]:
    """Return in words what is unusual, compared with training, or not known.

    Parameters
    ----------
    region : Region
    batch : RoiBatch
        The same patient alone.
    about : ModelFolder
    """
    settings = about.preprocessing
    names = about.plan.model.clinical_variables
    unlike = outside(about.inputs, patient_quantities(region, batch, names))
    return (
        *_missing_phases(region.scans, about.inputs),
        *_unknown_variables(batch, names),
        *(doubt.sentence for doubt in region.doubts),
        *(_in_words(item, settings, names) for item in unlike),
        *_coarsened(region, settings),
    )


def patient_quantities(
    region: Region, batch: RoiBatch, clinical_variables: Sequence[str] = ()
) -> dict[str, float]:
    """Return one patient's quantities by the names of `TrainingInputs.ranges`."""
    values, known = direct_features(batch, region_weights(batch.mask == TUMOUR_LABEL))
    found = measured(values[0].cpu().numpy(), known[0].cpu().numpy(), clinical_variables)
    if region.roi.native_spacing_mm is not None:
        found[_IN_PLANE], found[_SLICES] = region.roi.native_spacing_mm
    return found


def _missing_phases(present: Collection[Phase], inputs: TrainingInputs) -> list[str]:
    told = []
    for phase in PHASES:
        if phase not in present:
            share = inputs.phase_share.get(phase)
            usual = (
                ""
                if share is None
                else f"; {share:.0%} of the training patients had it, at the sites that tell"
            )
            told.append(f"The {PHASE_NAMES[phase]} phase is missing{usual}.")
    return told


def _unknown_variables(batch: RoiBatch, names: Sequence[str]) -> list[str]:
    unknown = torch.isnan(batch.clinical[0]).tolist()
    return [
        f"The value of {name} is not given: the one that the rest foretells stands in for it."
        for name, absent in zip(names, unknown, strict=True)
        if absent
    ]


def _in_words(
    item: Outside, settings: PreprocessingSettings, clinical_variables: Collection[str]
) -> str:
    low, high = item.usual
    if item.quantity in clinical_variables:
        return f"{item.quantity} is {item.value:g}; {USUAL}: {low:.3g} to {high:.3g}."
    if item.quantity in _INTENSITIES:
        unit = "HU above the liver" if settings.normalisation == "liver" else "HU"
        value, low, high = (_hu(level, settings) for level in (item.value, low, high))
        name = _INTENSITIES[item.quantity]
        return f"{name} is {value:.0f} {unit}; {USUAL}: {low:.0f} to {high:.0f}."
    name = _LENGTHS.get(item.quantity, item.quantity)
    return f"{name} is {item.value:.1f} mm; {USUAL}: {low:.1f} to {high:.1f}."


def _hu(level: float, settings: PreprocessingSettings) -> float:
    """Return a normalised intensity as HU: above the liver, or as such."""
    if settings.normalisation == "liver":
        return level * settings.scale_hu
    low, high = settings.window_hu
    return low + (level + 1) / 2 * (high - low)


def _coarsened(region: Region, settings: PreprocessingSettings) -> list[str]:
    spacing_mm = region.roi.spacing_mm
    if np.isclose(spacing_mm, settings.spacing_mm):
        return []
    return [
        f"The tumour does not fit into the region at {settings.spacing_mm:g} mm: the network sees"
        f" it at {spacing_mm:.1f} mm."
    ]
