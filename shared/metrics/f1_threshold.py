"""The MVI threshold for F1: one rule for patients' rows and for sites' cells."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.metrics.labelled import labelled_binary
from shared.metrics.recalibration import recalibrate

FloatArray = NDArray[np.float64]

# What is believed of a model's calibration before it is seen: so many patients as there are in
# internal validation may move it, a handful hardly.
_SHIFT_SD, _LOG_SLOPE_SD = 0.3, 0.25


def f1_threshold(label: ArrayLike, probability: ArrayLike) -> float | None:
    """Return the threshold of `grouped_f1_threshold`, from patients' rows.

    Parameters
    ----------
    label : array_like, shape (n,)
        0 or 1; NaN is unknown.
    probability : array_like, shape (n,)
    """
    rows = labelled_binary(label, probability)
    return grouped_f1_threshold(np.ones(len(rows.score)), rows.positive, rows.score)


def grouped_f1_threshold(
    patients: ArrayLike, positive: ArrayLike, probability: ArrayLike
) -> float | None:
    r"""Return half of the best F1, on the model's own scale; None without a positive patient.

    Call the patients whose chance :math:`q` of being positive is at least :math:`t`. Of
    :math:`P` positives expected, :math:`k` patients called and :math:`h` of them expected to be
    positive, F1 is :math:`2h / (k + P)`. One patient more makes it :math:`2(h + q) / (k + 1 +
    P)`, which is more exactly where :math:`q > F/2`. So at the best cut :math:`t = F^*/2`, with
    :math:`F^*` the F1 reached there (Lipton, Elkan, Narayanaswamy, arXiv 1402.1892). Unlike the
    cut at which the F1 of so few patients happens to be highest, it hangs on no single patient.

    That holds for true chances. A model's may be shifted or stretched, so :math:`q` is what the
    same patients say that its probability means (`shared.metrics.recalibration`), and the
    threshold is the probability that means :math:`F^*/2`.

    Parameters
    ----------
    patients, positive : array_like, shape (m,)
        Patients of each group, and how many of them are positive. A group is one patient, or a
        cell of a site.
    probability : array_like, shape (m,)
        Predicted, the mean of the group; in [0, 1].
    """
    n = np.asarray(patients, np.float64)
    if not np.sum(positive) > 0:
        return None
    meaning = recalibrate(n, positive, probability, shift_sd=_SHIFT_SD, log_slope_sd=_LOG_SLOPE_SD)
    return meaning.predicted(_best_expected_f1(n, meaning.chance(probability)) / 2)


def _best_expected_f1(patients: FloatArray, chance: FloatArray) -> float:
    """Return the highest F1 of any cut, were everybody positive by just this chance."""
    order = np.argsort(-chance, kind="stable")
    called, hit = patients[order].cumsum(), (patients * chance)[order].cumsum()
    return float((2 * hit / (called + hit[-1])).max())
