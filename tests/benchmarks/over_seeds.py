"""What the benchmarks that repeat a run over seeds have in common: values, means, intervals."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

REPOSITORY = Path(__file__).resolve().parents[2]
CHANCE = 0.5

Values = NDArray[np.float64]


def values_or_nan(found: list[float | None]) -> Values:
    """Return values over the seeds, shape (n,); NaN where one could not be had."""
    return np.array([np.nan if value is None else value for value in found], dtype=np.float64)


def mean_and_half(values: Values) -> tuple[float, float]:
    """Return the mean and half of its 95% interval (Student's t over the seeds); NaN if unknown."""
    known = values[~np.isnan(values)]
    if not len(known):
        return np.nan, np.nan
    if len(known) == 1:
        return float(known[0]), np.nan
    half = stats.t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known))
    return float(known.mean()), float(half)


def ratio_and_half(part: Values, whole: Values) -> tuple[float, float]:
    """Return the ratio of two means and half of its 95% interval; NaN if unknown.

    The ratio r of the means has the standard error of the mean of ``part - r whole``, over the
    mean of `whole` (Cochran, Sampling Techniques, 1977, 2.11): no seed with a small whole weighs
    more than another. NaN too where there is no whole to have a part of.
    """
    known = ~np.isnan(part) & ~np.isnan(whole)
    if not known.any() or whole[known].mean() <= 0:
        return np.nan, np.nan
    ratio = part[known].mean() / whole[known].mean()
    _, half = mean_and_half(part[known] - ratio * whole[known])
    return float(ratio), float(half / whole[known].mean())


def in_words(values: Values, *, sign: bool = False) -> str:
    """Return the mean ± half of its 95% interval as text; a dash where nothing is known."""
    mean, half = mean_and_half(values)
    if np.isnan(mean):
        return "–"
    text = f"{mean:+.3f}" if sign else f"{mean:.3f}"
    return text if np.isnan(half) else f"{text} ± {half:.3f}"
