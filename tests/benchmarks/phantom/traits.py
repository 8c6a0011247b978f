"""A patient's hidden tendencies, and the visible traits of the tumour that follow them."""

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from scipy.special import ndtr

# Growth, invasion, and dedifferentiation with the change of vessels that comes with it.
TENDENCIES = ("growth", "invasion", "dedifferentiation")
_CORRELATION = ((1, 0.35, 0.3), (0.35, 1, 0.35), (0.3, 0.35, 1))
# The last row of noise moves nothing, but taking it away would change every later number.
_NOISE_ROWS = 11
_MOST_SATELLITES = 4
_LEAST_CORE = 0.12


@dataclass(frozen=True)
class Traits:
    """What can be seen of one patient's tumour.

    Attributes
    ----------
    log_diameter : float
        Natural logarithm of the diameter in mm, which is 12 to 110.
    irregularity : float
        Standard deviation of the radius over directions, relative to its mean.
    arterial_hu : float
        Enhancement over the liver at the arterial peak.
    washout_hu : float
        Depth below the liver 180 s after the injection.
    core : float
        Radius of the necrotic core relative to the tumour's; 0 is no core.
    texture_hu : float
        Standard deviation inside the tumour.
    halo_hu : float
        Arterial enhancement of the liver just outside the tumour.
    capsule_hu : float
        Delayed enhancement of the tumour's edge.
    satellites : int
        Nodules close to the tumour, 0 to 4.
    """

    log_diameter: float
    irregularity: float
    arterial_hu: float
    washout_hu: float
    core: float
    texture_hu: float
    halo_hu: float
    capsule_hu: float
    satellites: int

    @property
    def radius_mm(self) -> float:
        """Mean radius of the tumour."""
        return float(np.exp(self.log_diameter)) / 2


def draw_traits(
    count: int, case_mix: tuple[float, float, float], rng: np.random.Generator
) -> pd.DataFrame:
    """Draw the traits of `count` patients.

    Returns
    -------
    pandas.DataFrame
        One row a patient. The columns are the tendencies, which no image shows directly; the
        fields of `Traits`; and `unseen` and `unseen_mvi`, which no image shows at all: liver
        function, genotype and the like, for survival and for microvascular invasion.
    """
    mixing = np.linalg.cholesky(np.array(_CORRELATION))
    tendencies = rng.standard_normal((count, len(TENDENCIES))) @ mixing.T + np.asarray(case_mix)
    growth, invasion, change = tendencies.T
    noise = rng.standard_normal((_NOISE_ROWS, count))
    size = 0.75 * growth + 0.25 * invasion + 0.55 * noise[0]
    core = 0.25 + 0.17 * (0.6 * growth + 0.6 * change + 0.5 * noise[4])
    satellites = rng.poisson(np.exp(-1.0 + 0.7 * invasion + 0.3 * growth))
    columns = {
        **dict(zip(TENDENCIES, (growth, invasion, change), strict=True)),
        "log_diameter": np.log(np.clip(42 * np.exp(0.50 * size), 12, 110)),
        "irregularity": 0.03 + 0.20 * ndtr(0.85 * invasion + 0.25 * growth + 0.5 * noise[1]),
        "arterial_hu": np.clip(38 - 12 * change + 8 * noise[2], 4, 75),
        "washout_hu": np.clip(16 + 9 * (0.8 * change + 0.3 * invasion + 0.5 * noise[3]), 0, 45),
        "core": np.where(core < _LEAST_CORE, 0, np.clip(core, 0, 0.72)),
        "texture_hu": 3 + 19 * ndtr(0.8 * change + 0.3 * invasion + 0.5 * noise[5]),
        "halo_hu": np.clip(11 + 9 * (0.9 * invasion + 0.5 * noise[6]), 0, 40),
        "capsule_hu": np.clip(13 - 6 * invasion + 7 * noise[7], 0, 35),
        "satellites": np.minimum(satellites, _MOST_SATELLITES),
        "unseen": noise[8],
        "unseen_mvi": 0.5 * noise[8] + 0.87 * noise[9],
    }
    return pd.DataFrame(columns)


def traits_of(table: pd.DataFrame) -> list[Traits]:
    """Return the visible traits of each patient of `draw_traits`, in the order of the rows."""
    visible = table[[field.name for field in fields(Traits)]]
    return [Traits(*row) for row in visible.itertuples(index=False)]
