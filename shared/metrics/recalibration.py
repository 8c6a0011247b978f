"""Sets a model's probabilities right by what was seen: shift and slope of the log odds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

FloatArray = NDArray[np.float64]

# Nearer to 0 or 1 no probability is taken at its word: one wrong patient would decide the fit.
_SUREST = 1e-3


@dataclass(frozen=True)
class Recalibration:
    r"""What a predicted probability p means: :math:`\operatorname{logit} q = a + b\, logit(p)`.

    Attributes
    ----------
    shift : float
        a; 0 where the model is right on average.
    slope : float
        b > 0; below 1 where the model is too sure, above where it is too careful.
    """

    shift: float
    slope: float

    def chance(self, probability: ArrayLike) -> FloatArray:
        """Return q of the model's p, of its shape."""
        return np.asarray(expit(self.shift + self.slope * _log_odds(probability)))

    def predicted(self, chance: float) -> float:
        """Return the model's p whose q is `chance`, in (0, 1)."""
        return float(expit((logit(chance) - self.shift) / self.slope))


def recalibrate(
    patients: ArrayLike,
    positive: ArrayLike,
    probability: ArrayLike,
    *,
    shift_sd: float,
    log_slope_sd: float,
) -> Recalibration:
    """Return the most probable recalibration, for normal priors around none at all.

    Logistic recalibration (Cox, Biometrika 1958;45:562) from groups of patients; the priors keep
    a few patients from saying more than they know, and the slope above 0.

    Parameters
    ----------
    patients, positive : array_like, shape (m,)
        Patients of each group, and how many of them are positive.
    probability : array_like, shape (m,)
        Predicted, the mean of the group; in [0, 1].
    shift_sd, log_slope_sd : float
        Standard deviations of the priors of the shift and of the slope's logarithm.
    """
    n, found = np.asarray(patients, np.float64), np.asarray(positive, np.float64)
    log_odds = _log_odds(probability)
    precision = np.array([shift_sd, log_slope_sd]) ** -2.0

    def surprise(x: FloatArray) -> tuple[float, FloatArray]:
        slope = np.exp(x[1])
        z = x[0] + slope * log_odds
        unlikely = n @ np.logaddexp(0, z) - found @ z
        excess = n * expit(z) - found
        gradient = np.array([excess.sum(), slope * (excess @ log_odds)])
        return float(unlikely + precision @ x**2 / 2), gradient + precision * x

    shift, log_slope = minimize(surprise, np.zeros(2), jac=True, method="BFGS").x
    return Recalibration(float(shift), float(np.exp(log_slope)))


def _log_odds(probability: ArrayLike) -> FloatArray:
    return np.asarray(logit(np.clip(np.asarray(probability, np.float64), _SUREST, 1 - _SUREST)))
