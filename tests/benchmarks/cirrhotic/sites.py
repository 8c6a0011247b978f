"""The six sites: how many patients each has, how ill they are, who scans and who reads them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Site:
    """One institution.

    Attributes
    ----------
    name : str
        Of its folder.
    code : str
        With which its patients' codes begin.
    patients : int
    pixel_mm, slice_mm : float
        Mean distance between pixels, distance between slices.
    hu_shift : float
        Mean of what the scanner measures too much.
    dose : float
        Of contrast medium, relative to the average.
    arterial_strength : float
        Mean uptake in the arterial phase, relative to one taken in time.
    noise_hu : float
        Mean standard deviation of the noise.
    blur_mm, slice_blur_mm : float
        Standard deviation of the point spread in a slice, and across slices.
    outline_mm : float
        How far outside the tumour's edge the reader draws it.
    log_hazard : float
        Of death, more than elsewhere; of recurrence, half as much.
    case_mix : mapping of str to float
        What is added to a tendency, by the name of its trait in `traits.Traits`.
    """

    name: str
    code: str
    patients: int
    pixel_mm: float
    slice_mm: float
    hu_shift: float
    dose: float
    arterial_strength: float
    noise_hu: float
    blur_mm: float
    slice_blur_mm: float
    outline_mm: float
    log_hazard: float
    case_mix: Mapping[str, float]


SITES = (
    Site(
        name="site_1",
        code="KRA",
        patients=110,
        pixel_mm=1.08,
        slice_mm=2.5,
        hu_shift=0,
        dose=1.00,
        arterial_strength=1.00,
        noise_hu=10.5,
        blur_mm=0.60,
        slice_blur_mm=1.0,
        outline_mm=0,
        log_hazard=0,
        case_mix={},
    ),
    Site(
        name="site_2",
        code="LUM",
        patients=80,
        pixel_mm=1.15,
        slice_mm=3.0,
        hu_shift=4,
        dose=1.10,
        arterial_strength=0.90,
        noise_hu=12.5,
        blur_mm=0.75,
        slice_blur_mm=1.3,
        outline_mm=0.3,
        log_hazard=0.10,
        case_mix={"cirrhosis": 0.3},
    ),
    Site(
        name="site_3",
        code="ODR",
        patients=60,
        pixel_mm=1.02,
        slice_mm=3.0,
        hu_shift=-5,
        dose=0.93,
        arterial_strength=1.05,
        noise_hu=9,
        blur_mm=1.00,
        slice_blur_mm=1.2,
        outline_mm=-0.3,
        log_hazard=-0.10,
        case_mix={"log_diameter": 0.3},
    ),
    Site(
        name="site_4",
        code="VES",
        patients=40,
        pixel_mm=1.20,
        slice_mm=2.8,
        hu_shift=2,
        dose=1.04,
        arterial_strength=0.95,
        noise_hu=14,
        blur_mm=0.60,
        slice_blur_mm=1.1,
        outline_mm=0.6,
        log_hazard=0.15,
        case_mix={"log_diameter": -0.2, "satellites": 0.2},
    ),
    Site(
        name="site_5",
        code="TIB",
        patients=18,
        pixel_mm=1.12,
        slice_mm=2.2,
        hu_shift=-2,
        dose=1.18,
        arterial_strength=0.85,
        noise_hu=13,
        blur_mm=0.85,
        slice_blur_mm=1.0,
        outline_mm=0,
        log_hazard=-0.05,
        case_mix={"cirrhosis": -0.3},
    ),
    Site(
        name="external",
        code="EXN",
        patients=80,
        pixel_mm=1.10,
        slice_mm=2.7,
        hu_shift=6,
        dose=0.97,
        arterial_strength=0.97,
        noise_hu=11.5,
        blur_mm=0.90,
        slice_blur_mm=1.2,
        outline_mm=0.2,
        log_hazard=0.05,
        case_mix={"log_diameter": 0.15, "cirrhosis": 0.1},
    ),
)
