"""Evidence and descriptions as Flower's records: arrays in one, numbers in the other.

Every value has a key that names its place, ``internal/os/pairs``. A number that a site withholds
travels as -1, an array as one without entries: what is absent altogether is an error.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from flwr.app import Array, ArrayRecord, MetricRecord
from numpy.typing import NDArray

from shared.activation_share import ActivationShares
from shared.evidence.cells import Cells, FloatArray
from shared.evidence.description import (
    MANUFACTURERS,
    MEASURES,
    REASONS,
    CohortDescription,
    Description,
    MeasureSums,
)
from shared.evidence.follow_up import FollowUpCells
from shared.evidence.sums import CohortSums, Evidence, MviSums, SurvivalSums
from shared.results import COHORTS, Cohort
from shared.tasks import PHASES, SURVIVAL_TASKS, TASKS

_SHARES = ("in_tumour", "in_margin", "tumour_volume", "margin_volume")
K = TypeVar("K", bound=str)
T = TypeVar("T")
_WITHHELD = -1
_UNSIGNED = (np.uint8, np.uint16, np.uint32)


@dataclass(frozen=True)
class _Writer:
    """Collects values by their place."""

    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    numbers: dict[str, int | float] = field(default_factory=dict)

    def count(self, key: str, value: int | None) -> None:
        self.numbers[key] = _WITHHELD if value is None else value

    def counts(self, key: str, values: Mapping[K, int | None]) -> None:
        for name, value in values.items():
            self.count(f"{key}/{name}", value)

    def array(self, key: str, value: NDArray[Any] | None) -> None:
        self.arrays[key] = np.zeros(0, np.uint8) if value is None else _compact(value)

    def cells(self, key: str, value: Cells | None) -> None:
        self.array(f"{key}/starts", None if value is None else value.starts)
        self.array(f"{key}/values", None if value is None else value.values)

    def follow_up(self, key: str, value: FollowUpCells | None) -> None:
        self.cells(key, None if value is None else value.cells)
        self.array(f"{key}/middles", None if value is None else value.middles)

    def several(self, key: str, values: Sequence[T], write: Callable[[str, T], None]) -> None:
        self.count(f"{key}/number", len(values))
        for index, value in enumerate(values):
            write(f"{key}/{index}", value)

    def records(self) -> tuple[ArrayRecord, MetricRecord]:
        arrays = ArrayRecord({key: Array(value) for key, value in self.arrays.items()})
        return arrays, MetricRecord({**self.numbers})


@dataclass(frozen=True)
class _Reader:
    """Finds values by their place; what is absent or of the wrong kind is an error."""

    arrays: Mapping[str, Array]
    numbers: Mapping[str, Any]

    def number(self, key: str) -> float:
        value = self.numbers[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise ValueError(f"{key} is not a finite number")
        return float(value)

    def count(self, key: str) -> int | None:
        value = self.number(key)
        if value == _WITHHELD:
            return None
        if value < 0 or value != int(value):
            raise ValueError(f"{key} is not a count")
        return int(value)

    def told_count(self, key: str) -> int:
        value = self.count(key)
        if value is None:
            raise ValueError(f"{key} cannot be withheld")
        return value

    def counts(self, key: str, names: Iterable[K]) -> dict[K, int | None]:
        return {name: self.count(f"{key}/{name}") for name in names}

    def array(self, key: str) -> FloatArray | None:
        value = self.arrays[key].numpy()
        if value.dtype.kind not in "uif":
            raise ValueError(f"{key} holds {value.dtype}, not numbers")
        return None if value.size == 0 else value.astype(np.float64)

    def integers(self, key: str) -> NDArray[np.int64] | None:
        value = self.array(key)
        if value is not None and not (np.isfinite(value).all() and (value == value.round()).all()):
            raise ValueError(f"{key} holds numbers that are not whole")
        return None if value is None else value.astype(np.int64)

    def cells(self, key: str) -> Cells | None:
        starts, values = self.integers(f"{key}/starts"), self.array(f"{key}/values")
        if (starts is None) != (values is None):
            raise ValueError(f"{key} is told in part")
        return None if starts is None or values is None else Cells(starts, values)

    def follow_up(self, key: str) -> FollowUpCells | None:
        cells, middles = self.cells(key), self.integers(f"{key}/middles")
        if (cells is None) != (middles is None):
            raise ValueError(f"{key} is told in part")
        return None if cells is None or middles is None else FollowUpCells(cells, middles)

    def several(self, key: str, read: Callable[[str], T | None]) -> tuple[T, ...]:
        found = [read(f"{key}/{i}") for i in range(self.told_count(f"{key}/number"))]
        told = tuple(value for value in found if value is not None)
        if len(told) < len(found):
            raise ValueError(f"{key} is told in part")
        return told


def _compact(values: NDArray[Any]) -> NDArray[Any]:
    """Return counts as the smallest type that holds them; sums stay float64."""
    if values.size == 0 or not (values == np.round(values)).all() or values.min() < 0:
        return values.astype(np.float64)
    for kind in _UNSIGNED:
        if values.max() <= np.iinfo(kind).max:
            return values.astype(kind)
    return values.astype(np.float64)


def write_evidence_records(evidence: Evidence) -> tuple[ArrayRecord, MetricRecord]:
    """Return a site's sums as records; `read_evidence_records` is the inverse."""
    out = _Writer()
    out.count("minimum-count", evidence.minimum_count)
    for cohort, sums in evidence.cohorts.items():
        out.count(f"{cohort}/patients", sums.patients)
        _write_activation(out, f"{cohort}/activation", sums.activation)
        mvi = sums.mvi
        out.count(f"{cohort}/mvi/labelled", mvi.labelled)
        out.cells(f"{cohort}/mvi/scores", mvi.scores)
        out.cells(f"{cohort}/mvi/predicted", mvi.predicted)
        for name in ("pairs", "squared_error", "confusion"):
            out.array(f"{cohort}/mvi/{name}", getattr(mvi, name))
        for task in SURVIVAL_TASKS:
            survival, key = sums.survival(task), f"{cohort}/{task}"
            out.count(f"{key}/labelled", survival.labelled)
            out.cells(f"{key}/risk", survival.risk)
            for name in ("pairs", "weighted_pairs", "auc", "brier", "brier_patients"):
                out.array(f"{key}/{name}", getattr(survival, name))
            out.several(f"{key}/groups", survival.groups, out.follow_up)
            out.several(f"{key}/calibration", survival.calibration, out.cells)
    return out.records()


def _write_activation(out: _Writer, key: str, shares: ActivationShares | None) -> None:
    out.count(f"{key}/maps", None if shares is None else shares.patients)
    for name in _SHARES:
        out.numbers[f"{key}/{name}"] = 0.0 if shares is None else getattr(shares, name)


def read_evidence_records(site: str, arrays: ArrayRecord, numbers: MetricRecord) -> Evidence:
    """Rebuild a site's sums.

    Raises
    ------
    KeyError, TypeError, ValueError
        A missing key, another shape, a negative or non-finite number.
    """
    read = _Reader(arrays, numbers)
    return Evidence(
        site=site,
        minimum_count=read.told_count("minimum-count"),
        cohorts={cohort: _cohort_sums(read, cohort) for cohort in _cohorts(numbers)},
    )


def _cohort_sums(read: _Reader, cohort: Cohort) -> CohortSums:
    mvi = MviSums(
        labelled=read.count(f"{cohort}/mvi/labelled"),
        scores=read.cells(f"{cohort}/mvi/scores"),
        predicted=read.cells(f"{cohort}/mvi/predicted"),
        pairs=read.array(f"{cohort}/mvi/pairs"),
        squared_error=read.array(f"{cohort}/mvi/squared_error"),
        confusion=read.array(f"{cohort}/mvi/confusion"),
    )
    return CohortSums(
        patients=read.count(f"{cohort}/patients"),
        activation=_activation(read, f"{cohort}/activation"),
        mvi=mvi,
        rfs=_survival_sums(read, f"{cohort}/rfs"),
        os=_survival_sums(read, f"{cohort}/os"),
    )


def _activation(read: _Reader, key: str) -> ActivationShares | None:
    maps = read.count(f"{key}/maps")
    sums = {name: read.number(f"{key}/{name}") for name in _SHARES}
    return None if maps is None else ActivationShares(maps, **sums)


def _survival_sums(read: _Reader, key: str) -> SurvivalSums:
    return SurvivalSums(
        labelled=read.count(f"{key}/labelled"),
        risk=read.cells(f"{key}/risk"),
        pairs=read.array(f"{key}/pairs"),
        weighted_pairs=read.array(f"{key}/weighted_pairs"),
        groups=read.several(f"{key}/groups", read.follow_up),
        auc=read.array(f"{key}/auc"),
        brier=read.array(f"{key}/brier"),
        brier_patients=read.integers(f"{key}/brier_patients"),
        calibration=read.several(f"{key}/calibration", read.cells),
    )


def write_description_records(description: Description) -> tuple[ArrayRecord, MetricRecord]:
    """Return a site's description as records; `read_description_records` is the inverse."""
    out = _Writer()
    out.count("minimum-count", description.minimum_count)
    out.counts("set-aside", description.set_aside)
    out.count("excluded", description.excluded)
    for cohort, about in description.cohorts.items():
        out.count(f"{cohort}/patients", about.patients)
        out.counts(f"{cohort}/known", about.known)
        out.counts(f"{cohort}/events", about.events)
        out.counts(f"{cohort}/phases", about.phases)
        out.counts(f"{cohort}/manufacturers", about.manufacturers)
        for name, sums in about.measures.items():
            key = f"{cohort}/measures/{name}"
            out.count(f"{key}/patients", sums.patients)
            out.numbers[f"{key}/total"], out.numbers[f"{key}/square"] = sums.total, sums.square
            out.cells(f"{key}/histogram", sums.histogram)
        for task, cells in about.follow_up.items():
            out.follow_up(f"{cohort}/follow-up/{task}", cells)
    return out.records()


def read_description_records(site: str, arrays: ArrayRecord, numbers: MetricRecord) -> Description:
    """Rebuild a site's description; raises as `read_evidence_records`."""
    read = _Reader(arrays, numbers)
    return Description(
        site=site,
        minimum_count=read.told_count("minimum-count"),
        cohorts={cohort: _cohort_description(read, cohort) for cohort in _cohorts(numbers)},
        set_aside=read.counts("set-aside", REASONS),
        excluded=read.count("excluded"),
    )


def _cohort_description(read: _Reader, cohort: Cohort) -> CohortDescription:
    return CohortDescription(
        patients=read.count(f"{cohort}/patients"),
        known=read.counts(f"{cohort}/known", TASKS),
        events=read.counts(f"{cohort}/events", TASKS),
        phases=read.counts(f"{cohort}/phases", PHASES),
        manufacturers=read.counts(f"{cohort}/manufacturers", MANUFACTURERS),
        measures={name: _measure(read, f"{cohort}/measures/{name}") for name in MEASURES},
        follow_up={task: read.follow_up(f"{cohort}/follow-up/{task}") for task in SURVIVAL_TASKS},
    )


def _measure(read: _Reader, key: str) -> MeasureSums:
    return MeasureSums(
        patients=read.told_count(f"{key}/patients"),
        total=read.number(f"{key}/total"),
        square=read.number(f"{key}/square"),
        histogram=read.cells(f"{key}/histogram"),
    )


def _cohorts(numbers: MetricRecord) -> list[Cohort]:
    found = {key.partition("/")[0] for key in numbers if key.endswith("/patients")}
    unknown = found - set(COHORTS)
    if unknown:
        raise ValueError(f"unknown cohort {sorted(unknown)[0]!r}")
    return [cohort for cohort in COHORTS if cohort in found]
