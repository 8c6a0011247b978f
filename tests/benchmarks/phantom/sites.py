"""The six sites: how many patients each has, how ill they are, and what scanner they meet."""

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
    pixels, slices : int
        Of a volume: in x as in y, and in z.
    noise_hu : float
        Standard deviation of the noise.
    blur_pixels : float
        Standard deviation of the point spread in a slice.
    hu_scale, hu_shift : float
        How soft tissue's HU differ from the truth.
    phase_seconds : tuple of float
        Mean time of the arterial, portal venous and delayed phase after the injection.
    case_mix : tuple of float
        Means of the patients' three hidden tendencies, in the order of `traits.TENDENCIES`.
    """

    name: str
    code: str
    patients: int
    pixel_mm: float
    pixels: int
    slice_mm: float
    slices: int
    noise_hu: float
    blur_pixels: float
    hu_scale: float
    hu_shift: float
    phase_seconds: tuple[float, float, float]
    case_mix: tuple[float, float, float]


SITES = (
    Site(
        name="site_1",
        code="S1",
        patients=96,
        pixel_mm=2.0,
        pixels=160,
        slice_mm=3.0,
        slices=50,
        noise_hu=10,
        blur_pixels=0.60,
        hu_scale=1.00,
        hu_shift=0,
        phase_seconds=(35, 70, 180),
        case_mix=(0.0, 0.0, 0.0),
    ),
    Site(
        name="site_2",
        code="S2",
        patients=78,
        pixel_mm=2.2,
        pixels=160,
        slice_mm=4.0,
        slices=38,
        noise_hu=13,
        blur_pixels=0.50,
        hu_scale=1.03,
        hu_shift=4,
        phase_seconds=(32, 65, 170),
        case_mix=(0.2, 0.1, 0.0),
    ),
    Site(
        name="site_3",
        code="S3",
        patients=60,
        pixel_mm=1.6,
        pixels=176,
        slice_mm=2.5,
        slices=60,
        noise_hu=12,
        blur_pixels=0.80,
        hu_scale=0.97,
        hu_shift=-4,
        phase_seconds=(38, 75, 200),
        case_mix=(-0.2, 0.0, 0.1),
    ),
    Site(
        name="site_4",
        code="S4",
        patients=44,
        pixel_mm=2.5,
        pixels=144,
        slice_mm=5.0,
        slices=32,
        noise_hu=9,
        blur_pixels=0.55,
        hu_scale=1.02,
        hu_shift=-6,
        phase_seconds=(29, 70, 150),
        case_mix=(0.3, 0.2, 0.2),
    ),
    Site(
        name="site_5",
        code="S5",
        patients=30,
        pixel_mm=1.2,
        pixels=192,
        slice_mm=2.0,
        slices=72,
        noise_hu=16,
        blur_pixels=0.90,
        hu_scale=0.96,
        hu_shift=5,
        phase_seconds=(36, 80, 240),
        case_mix=(-0.1, -0.2, 0.0),
    ),
    Site(
        name="external",
        code="EX",
        patients=80,
        pixel_mm=1.4,
        pixels=160,
        slice_mm=1.5,
        slices=96,
        noise_hu=19,
        blur_pixels=0.75,
        hu_scale=1.07,
        hu_shift=-9,
        phase_seconds=(42, 85, 280),
        case_mix=(0.2, 0.2, -0.1),
    ),
)
