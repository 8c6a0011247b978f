"""Two AUCs on the same patients compared (DeLong, DeLong and Clarke-Pearson 1988)."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri
from scipy.stats import rankdata

from shared.metrics.labelled import FloatArray, labelled_binary
from shared.results import Estimate


def auc_difference(label: ArrayLike, first: ArrayLike, second: ArrayLike) -> Estimate:
    """Return the first score's AUC less the second's, with its 95% interval.

    The variance is that of the difference of the structural components: for each patient, the
    share of the other class that the patient is rightly ordered with (Biometrics 1988;44:837);
    they come from ranks, as Sun and Xu (IEEE Signal Process Lett 2014;21:1389) compute them.

    Parameters
    ----------
    label : array_like, shape (n,)
        0 or 1; NaN is unknown.
    first, second : array_like, shape (n,)
        Scores of the same patients.

    Returns
    -------
    Estimate
        `value` is None where a class is absent; `ci95` where one has a single patient, so that
        there is no variance.
    """
    one, other = labelled_binary(label, first), labelled_binary(label, second)
    patients, positives = len(one.score), int(one.positive.sum())
    if not 0 < positives < patients:
        return Estimate(None, None, patients)
    scores = np.stack([one.score, other.score])
    found, spared = _components(scores[:, one.positive], scores[:, ~one.positive])
    value = float(np.subtract(*found.mean(axis=1)))
    if min(positives, patients - positives) < 2:
        return Estimate(value, None, patients)
    variance = sum(
        float(np.var(np.subtract(*part), ddof=1)) / part.shape[1] for part in (found, spared)
    )
    reach = float(ndtri(0.975)) * variance**0.5
    return Estimate(value, (value - reach, value + reach), patients)


def _components(positive: FloatArray, negative: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return structural components of m positive and n negative patients, (2, m) and (2, n)."""
    m, n = positive.shape[1], negative.shape[1]
    together = rankdata(np.concatenate([positive, negative], axis=1), axis=1)
    found = (together[:, :m] - rankdata(positive, axis=1)) / n
    spared = 1 - (together[:, m:] - rankdata(negative, axis=1)) / m
    return np.asarray(found), np.asarray(spared)
