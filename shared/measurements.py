"""What every site measures on a lesion and its liver: the names, their order, what each one is.

They are the signs that radiologists read for liver cancer (LI-RADS v2018; Renzulli et al.,
Radiology 2016;279:432; Banerjee et al., Hepatology 2015;62:792): size, number, margin,
arterial rim, washout, capsule, necrosis, enhancement around the tumour. And the liver's surface,
whose nodules tell the cirrhosis of which patients die as much as of the tumour (Smith et al.,
Radiology 2016;280:771). `client.imaging.measurements` takes them from mask and scan at preparation.

How they are taken was developed in sight of this project's synthetic patients: their generator's
signs, on one development cohort with its external site, told which sign was not read well yet.
On synthetic patients they are therefore flattered; on real ones they are unproven. The liver's
surface was added, and how far it is smoothed was fixed, in sight of another generator's patients
(`tests/benchmarks/cirrhotic`).
"""

from shared.tasks import PHASES, Phase

SHAPE_MEASUREMENTS: tuple[str, ...] = (
    "log_diameter_mm",
    "margin_roughness",
    "log_solidity",
    "satellites",
    "other_tumours",
    "non_enhancing_fraction",
    "log_liver_nodularity_mm",
)

# Of each phase: the enhancing tissue's contrast to the liver, and what a band beneath the
# margin has more; both in HU. And how much brighter the liver close to the tumour is.
PHASE_MEASUREMENTS: tuple[str, ...] = ("solid_hu", "band_hu", "corona_hu")


def phase_measurement(name: str, phase: Phase) -> str:
    """Return the name of a phase's measurement."""
    return f"{phase}_{name}"


MEASUREMENTS: tuple[str, ...] = (
    *SHAPE_MEASUREMENTS,
    *(phase_measurement(name, phase) for phase in PHASES for name in PHASE_MEASUREMENTS),
)
