"""Seeded cohorts of several sites, and the sums that the sites would tell of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from client.evidence.mvi import mvi_sums
from client.evidence.rule import Rule
from client.evidence.survival import survival_sums
from shared.evidence.request import EvidenceRequest, Thresholds
from shared.evidence.sums import MviSums, SurvivalSums
from shared.metrics.labelled import FloatArray
from shared.metrics.predictions import SurvivalPredictions
from shared.time_grid import TimeGrid

QUARTERS = TimeGrid(tuple(3.0 * k for k in range(1, 29)))
HORIZONS = (12.0, 24.0, 36.0, 60.0)
TIMES = (12.0, 18.0, 24.0, 30.0, 36.0, 48.0, 60.0)


@dataclass(frozen=True)
class Rows:
    """Patients' rows, as nobody but a test holds them together."""

    site: np.ndarray
    time: FloatArray
    event: np.ndarray
    risk: FloatArray
    curve: FloatArray  # survival at the edges of QUARTERS

    def __len__(self) -> int:
        return len(self.time)


def drawn(patients: int, *, seed: int, sites: int = 1, on_grid: bool = True) -> Rows:
    """Draw survival rows; on the grid, events lie on its edges and censorings between them."""
    generator = np.random.default_rng(seed)
    risk = generator.normal(size=patients).round(1)
    death = generator.exponential(50 * np.exp(-0.8 * risk))
    leave = generator.uniform(6, 82, patients)
    event = death <= leave
    time = np.minimum(death, leave)
    if on_grid:
        edge = np.clip(np.ceil(time / 3), 1, 27)
        time = np.where(event, 3 * edge, 3 * edge + 1.5)
    hazard = 0.03 * np.exp(0.7 * risk + 0.1 * generator.normal(size=patients))
    curve = np.exp(-hazard[:, None] * np.arange(1, 29))
    return Rows(generator.integers(0, sites, patients), time, event, risk, curve)


def request(cuts: tuple[float, ...] = (0.0,), resamples: int = 0) -> EvidenceRequest:
    """Ask about OS of internal validation, thresholds frozen."""
    return EvidenceRequest(
        cohorts=("internal",),
        follow_up=QUARTERS,
        horizons_months=HORIZONS,
        brier_months=TIMES,
        resamples=resamples,
        thresholds=Thresholds(os=cuts),
    )


def survival_parts(
    rows: Rows, asked: EvidenceRequest, minimum_count: int = 1
) -> list[SurvivalSums]:
    """Return each site's answer."""
    parts = []
    for number in np.unique(rows.site):
        own = rows.site == number
        predictions = SurvivalPredictions(
            rows.time[own], rows.event[own].astype(float), rows.risk[own], rows.curve[own]
        )
        parts.append(
            survival_sums(
                predictions,
                QUARTERS.edges_months,
                site=f"site_{number}",
                cohort="internal",
                task="os",
                request=asked,
                rule=Rule(minimum_count, 0),
            )
        )
    return parts


def mvi_parts(
    label: Sequence[float] | np.ndarray,
    score: Sequence[float] | np.ndarray,
    site: Sequence[int] | np.ndarray,
    *,
    threshold: float | None = 0.5,
    resamples: int = 0,
    minimum_count: int = 1,
) -> list[MviSums]:
    """Return each site's answer."""
    labels, scores, sites = np.asarray(label, float), np.asarray(score, float), np.asarray(site)
    return [
        mvi_sums(
            labels[sites == number],
            scores[sites == number],
            site=f"site_{number}",
            cohort="internal",
            threshold=threshold,
            resamples=resamples,
            rule=Rule(minimum_count, 0),
        )
        for number in np.unique(sites)
    ]
