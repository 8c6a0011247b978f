"""How good a model is at a site, as sums that a site may share and a server may add."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from shared.metrics.classification import ScoreHistogram
from shared.metrics.concordance import PairCounts
from shared.tasks import SURVIVAL_TASKS, TASKS, SurvivalTask, Task

Sums = dict[str, float | list[float]]

# What no hospital has.
MOST_PATIENTS = 2**20

# Of a patient. Every loss is a negative log likelihood of what can be counted (of Efron's too, with
# scores s of the d tied: d! (mean of exp s)^d >= d! exp(sum of s)): below 0 by rounding alone.
LEAST_LOSS = -1e-3
_LARGEST_LOSS = 1e6


@dataclass(frozen=True)
class LossSum:
    """A loss added up over labelled patients."""

    total: float = 0.0
    patients: int = 0

    def __add__(self, other: "LossSum") -> "LossSum":
        return LossSum(self.total + other.total, self.patients + other.patients)

    @property
    def mean(self) -> float | None:
        """Loss a patient; None where no patient has the label."""
        return self.total / self.patients if self.patients else None


@dataclass(frozen=True)
class Judgement:
    """Sums over the internal validation patients of one site, or of several added up.

    Attributes
    ----------
    losses : dict of Task to LossSum
    pairs : dict of SurvivalTask to PairCounts
        Within-site pairs: pairs across sites cannot be had without patients' rows.
    mvi_scores : ScoreHistogram
        Counts of predicted MVI probabilities by label.
    """

    losses: dict[Task, LossSum]
    pairs: dict[SurvivalTask, PairCounts]
    mvi_scores: ScoreHistogram

    @classmethod
    def empty(cls) -> "Judgement":
        """Return the sums of no patient."""
        return cls(
            losses={task: LossSum() for task in TASKS},
            pairs={task: PairCounts(0, 0, 0) for task in SURVIVAL_TASKS},
            mvi_scores=ScoreHistogram.empty(),
        )

    def __add__(self, other: "Judgement") -> "Judgement":
        return Judgement(
            losses={task: self.losses[task] + other.losses[task] for task in TASKS},
            pairs={task: self.pairs[task] + other.pairs[task] for task in SURVIVAL_TASKS},
            mvi_scores=self.mvi_scores + other.mvi_scores,
        )

    def metrics(self) -> dict[str, float | None]:
        """Return what the sums say, None where they say nothing.

        Keys: ``{task}_loss`` a labelled patient, ``os_c_index``, ``rfs_c_index`` over
        within-site pairs, ``mvi_auc`` from the histogram.
        """
        values: dict[str, float | None] = {f"{task}_loss": self.losses[task].mean for task in TASKS}
        values.update({f"{task}_c_index": self.pairs[task].c_index for task in SURVIVAL_TASKS})
        values["mvi_auc"] = self.mvi_scores.auc
        return values

    def as_sums(self) -> Sums:
        """Return flat numbers for the wire; `from_sums` is the inverse."""
        sums: Sums = {}
        for task in TASKS:
            sums[f"{task}-loss"] = float(self.losses[task].total)
            sums[f"{task}-patients"] = float(self.losses[task].patients)
        for survival in SURVIVAL_TASKS:
            pairs = self.pairs[survival]
            sums[f"{survival}-pairs"] = [
                float(pairs.concordant),
                float(pairs.discordant),
                float(pairs.tied),
            ]
        sums["mvi-positive"] = [float(count) for count in self.mvi_scores.positive]
        sums["mvi-negative"] = [float(count) for count in self.mvi_scores.negative]
        return sums

    @classmethod
    def from_sums(cls, sums: Mapping[str, float | list[float] | list[int]]) -> "Judgement":
        """Rebuild from `as_sums`.

        Raises
        ------
        KeyError, TypeError, ValueError
            A missing key, a list for a number or the reverse, a negative or non-finite count, a
            loss that no patients can have, more pairs or scores than patients make.
        """
        losses = {
            task: LossSum(_total(sums[f"{task}-loss"]), _count(sums[f"{task}-patients"]))
            for task in TASKS
        }
        pairs = {}
        for task in SURVIVAL_TASKS:
            concordant, discordant, tied = _counts(sums[f"{task}-pairs"])
            pairs[task] = PairCounts(concordant, discordant, tied)
        histogram = ScoreHistogram(
            positive=np.array(_counts(sums["mvi-positive"]), dtype=np.int64),
            negative=np.array(_counts(sums["mvi-negative"]), dtype=np.int64),
        )
        judgement = cls(losses, pairs, histogram)
        judgement._check()
        return judgement

    def _check(self) -> None:
        """Raise ValueError where no patients can have these sums together."""
        for task, loss in self.losses.items():
            if loss.patients > MOST_PATIENTS:
                raise ValueError(f"{task}: {loss.patients} patients")
            if not LEAST_LOSS * loss.patients <= loss.total <= _LARGEST_LOSS * loss.patients:
                raise ValueError(f"{task}: a loss of {loss.total} over {loss.patients} patients")
        for survival, pairs in self.pairs.items():
            patients = self.losses[survival].patients
            if pairs.comparable > patients * (patients - 1) / 2:
                raise ValueError(f"{survival}: {pairs.comparable} pairs of {patients} patients")
        scores = int(self.mvi_scores.positive.sum() + self.mvi_scores.negative.sum())
        if scores > self.losses["mvi"].patients:
            raise ValueError(f"mvi: {scores} scores of {self.losses['mvi'].patients} patients")


def add_up(judgements: Iterable[Judgement]) -> Judgement:
    """Return the sum in the order given."""
    return sum(judgements, start=Judgement.empty())


def _total(value: float | list[float] | list[int]) -> float:
    if isinstance(value, list) or not np.isfinite(value):
        raise ValueError(f"expected one finite number, got {value!r}")
    return float(value)


def _count(value: float | list[float] | list[int]) -> int:
    number = _total(value)
    if number < 0 or number != int(number):
        raise ValueError(f"expected a count, got {value!r}")
    return int(number)


def _counts(value: float | list[float] | list[int]) -> list[int]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list of counts, got {value!r}")
    return [_count(item) for item in value]
