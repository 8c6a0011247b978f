"""Estimates with 95% intervals from a bootstrap of patients within their sites.

Every statistic here is a ratio of sums over patients or pairs of patients. A resample is then
a row of multiplicities w, and its sums are ``w . x`` or ``w P w``: matrix products give a
thousand resamples in the time of a few plain evaluations, exactly.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from shared.metrics.labelled import BoolArray, FloatArray, labelled_binary, labelled_survival
from shared.results import Estimate
from shared.seeds import derive_seed

RESAMPLES = 1000


def site_resamples(site: Sequence[str], *, resamples: int, seed: int) -> FloatArray:
    """Draw resamples of patients with replacement, each site keeping its size.

    Parameters
    ----------
    site : sequence of str, length n
        Where each patient belongs.
    resamples : int
        B, at least 1.
    seed : int
        A site's draws depend on the seed, its name and its number of patients only, so that
        they can be made at the site.

    Returns
    -------
    ndarray, shape (B, n)
        How often each patient is in each resample.
    """
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    weights = np.empty((resamples, len(site)))
    for name, rows in _rows_by_site(site):
        rng = np.random.default_rng(derive_seed(seed, "bootstrap", name))
        n = int(rows.sum())
        weights[:, rows] = rng.multinomial(n, np.full(n, 1 / n), size=resamples)
    return weights


def c_index_estimate(
    time: ArrayLike,
    event: ArrayLike,
    risk: ArrayLike,
    site: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Return the site-stratified C-index: pairs of patients of one site only.

    Parameters
    ----------
    time, event, risk : array_like, shape (n,)
        As in `shared.metrics.concordance.concordance_pairs`; NaN in time or event is unknown.
    site : sequence of str, length n
    resamples, seed : int
        As in `site_resamples`.

    Returns
    -------
    Estimate
        With the percentile interval. `value` is None where no pair is comparable; resamples
        without one are dropped, and `ci95` is None where these are more than half.
    """
    rows = labelled_survival(time, event, risk)
    sites = _labelled_sites(site, rows.known)
    weights = _with_cohort(site_resamples(sites, resamples=resamples, seed=seed))
    concordant, comparable = np.zeros(len(weights)), np.zeros(len(weights))
    for _, own in _rows_by_site(sites):
        first = own & rows.event
        outlived = (rows.time[own] > rows.time[first, None]) | (
            (rows.time[own] == rows.time[first, None]) & ~rows.event[own]
        )
        order = _order(rows.risk[first], rows.risk[own])
        concordant += _pair_sum(weights[:, first], outlived * order, weights[:, own])
        comparable += _pair_sum(weights[:, first], outlived * 1.0, weights[:, own])
    return _estimate(concordant, comparable, comparable > 0, n=len(sites))


def auc_estimate(
    label: ArrayLike,
    score: ArrayLike,
    site: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Return the AUC over all pairs of a positive and a negative patient of the cohort.

    Parameters
    ----------
    label, score : array_like, shape (n,)
        Label 0 or 1, NaN unknown.
    site : sequence of str, length n
        Stratifies the resampling, not the pairs.
    resamples, seed : int
        As in `site_resamples`.

    Returns
    -------
    Estimate
        As from `c_index_estimate`; None where a class is absent.
    """
    rows = labelled_binary(label, score)
    sites = _labelled_sites(site, rows.known)
    weights = _with_cohort(site_resamples(sites, resamples=resamples, seed=seed))
    positive, negative = weights[:, rows.positive], weights[:, ~rows.positive]
    order = _order(rows.score[rows.positive], rows.score[~rows.positive])
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    return _estimate(_pair_sum(positive, order, negative), pairs, pairs > 0, n=len(sites))


def f1_estimate(
    label: ArrayLike,
    score: ArrayLike,
    site: Sequence[str],
    threshold: float,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """Return F1 at a threshold fixed beforehand: positive is ``score >= threshold``.

    Parameters
    ----------
    label, score : array_like, shape (n,)
        Label 0 or 1, NaN unknown.
    site : sequence of str, length n
        Stratifies the resampling.
    threshold : float
    resamples, seed : int
        As in `site_resamples`.

    Returns
    -------
    Estimate
        As from `c_index_estimate`; None without a positive patient, as `ConfusionCounts.f1`.
    """
    rows = labelled_binary(label, score)
    sites = _labelled_sites(site, rows.known)
    weights = _with_cohort(site_resamples(sites, resamples=resamples, seed=seed))
    called = rows.score >= threshold
    positive = weights @ rows.positive
    return _estimate(
        2 * (weights @ (called & rows.positive)),
        positive + weights @ called,
        positive > 0,
        n=len(sites),
    )


def percentile_estimate(values: FloatArray, *, n: int) -> Estimate:
    """Return the value of row 0 with the percentile interval of the resamples behind it.

    Parameters
    ----------
    values : ndarray, shape (1 + B,)
        NaN where a resample has no value. Where row 0 has none, `value` is None; where more
        than half of the resamples have none, or there are no resamples, `ci95` is None.
    n : int
    """
    if np.isnan(values[0]):
        return Estimate(value=None, ci95=None, n=n)
    drawn = values[1:][~np.isnan(values[1:])]
    if not len(drawn) or 2 * len(drawn) < len(values) - 1:
        return Estimate(value=float(values[0]), ci95=None, n=n)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Estimate(value=float(values[0]), ci95=(float(low), float(high)), n=n)


def _with_cohort(weights: FloatArray) -> FloatArray:
    # Row 0 is the cohort itself, everyone once: the value and its interval from one formula.
    return np.concatenate([np.ones((1, weights.shape[1])), weights])


def _order(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return 1 where first is higher, 1/2 where equal, else 0, shape (len(first), len(second))."""
    order: FloatArray = (first[:, None] > second) + (first[:, None] == second) / 2
    return order


def _pair_sum(first: FloatArray, pairs: FloatArray, second: FloatArray) -> FloatArray:
    # Multiplicities are whole numbers: these sums are exact, in whatever order BLAS adds.
    sums: FloatArray = np.einsum("bj,bj->b", first @ pairs, second)
    return sums


def _estimate(
    numerator: FloatArray, denominator: FloatArray, defined: BoolArray, *, n: int
) -> Estimate:
    ratios = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=ratios, where=defined)
    return percentile_estimate(ratios, n=n)


def _labelled_sites(site: Sequence[str], known: BoolArray) -> list[str]:
    if len(site) != len(known):
        raise ValueError(f"{len(site)} sites for {len(known)} patients")
    return [name for name, kept in zip(site, known, strict=True) if kept]


def _rows_by_site(site: Sequence[str]) -> list[tuple[str, BoolArray]]:
    names = np.asarray(site, dtype=np.str_)
    return [(str(name), names == name) for name in np.unique(names)]
