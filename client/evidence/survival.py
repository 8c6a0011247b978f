"""Sums that judge the predictions of one survival task on one institution's patients.

Ties of an event and a censoring: the event comes first, so that who is censored at a time has
outlived it. Weights are inverse probabilities of being under observation still, just before a
time, by the Kaplan-Meier estimate of censoring of these patients alone. A curve of the
coordinator's would code times in weights, one digit each, and read them from the sums; and
censoring differs between institutions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from client.evidence.follow_up import follow_up_cells
from client.evidence.rule import Rule
from shared.evidence.axes import PROBABILITY, RISK
from shared.evidence.cells import Cells, FloatArray, IntArray, count_cells, merged_starts
from shared.evidence.follow_up import FollowUpCells
from shared.evidence.request import EvidenceRequest
from shared.evidence.sums import SurvivalSums
from shared.metrics.kaplan_meier import SurvivalCounts, survival_counts
from shared.metrics.labelled import BoolArray, SurvivalRows, labelled_survival
from shared.metrics.predictions import SurvivalPredictions
from shared.results import Cohort
from shared.tasks import SurvivalTask
from shared.time_grid import TimeGrid


@dataclass(frozen=True, eq=False)
class _Weighted:
    """Patients by their outcome, and how much each of them stands for.

    Attributes
    ----------
    rows : SurvivalRows
    weights : ndarray, shape (R, n)
        Of the resamples.
    grid : TimeGrid
    """

    rows: SurvivalRows
    weights: FloatArray
    grid: TimeGrid

    @cached_property
    def _counts(self) -> SurvivalCounts:
        return survival_counts(self.rows.time, self.rows.event)

    def inverse_at(self, months: FloatArray) -> FloatArray:
        """Return 1 / G at times at which somebody is under observation, of their shape."""
        place = np.searchsorted(self._counts.times_months, months)
        inverse: FloatArray = 1 / self._counts.observed[place]
        return inverse

    @cached_property
    def inverse(self) -> FloatArray:
        """1 / G at each patient's own time, shape (n,)."""
        return self.inverse_at(self.rows.time)

    def cases(self, months: float) -> BoolArray:
        """Return who had the event by a time, shape (n,)."""
        return self.rows.event & (self.rows.time <= months)

    def controls(self, months: float) -> BoolArray:
        """Return who is known to have outlived it, shape (n,)."""
        time = self.rows.time
        outlived: BoolArray = (time > months) | ((time == months) & ~self.rows.event)
        return outlived


def survival_sums(
    predictions: SurvivalPredictions,
    curve_months: tuple[float, ...],
    *,
    site: str,
    cohort: Cohort,
    task: SurvivalTask,
    request: EvidenceRequest,
    rule: Rule,
) -> SurvivalSums:
    """Return a cohort's sums; all are withheld where too few had the event, or too few did not.

    Parameters
    ----------
    predictions : SurvivalPredictions
    curve_months : tuple of float
        Where the predicted curves are given.
    site, cohort, task : str
        Whose resamples are drawn.
    request : EvidenceRequest
    rule : Rule
    """
    rows = labelled_survival(predictions.months, predictions.event, predictions.risk)
    patients, events = len(rows.time), int(rows.event.sum())
    if not rule.allows(patients):
        return SurvivalSums(labelled=None)
    if patients == 0 or not rule.allows(events, patients - events):
        return SurvivalSums(labelled=patients)
    weights = rule.weights(site, patients, f"{cohort}/{task}", request.resamples)
    if request.thresholds is None:
        return SurvivalSums(labelled=patients, risk=_risk(rows, rule))
    known = _Weighted(rows, weights, request.follow_up)
    pairs, weighted = _pairs(known, request.horizons_months[-1])
    curves = predictions.survival[rows.known] if len(curve_months) else None
    brier, brier_patients = None, None
    calibration: tuple[Cells, ...] = ()
    if curves is not None and curves.shape[1] and request.brier_months:
        at = curves_at(curves, curve_months, request.brier_months)
        predicted = dict(zip(request.brier_months, at.T, strict=True))
        brier, brier_patients = _brier(known, predicted, rule)
        calibration = _calibration(known, predicted, request.horizons_months, rule)
    return SurvivalSums(
        labelled=patients,
        pairs=pairs,
        weighted_pairs=weighted,
        groups=_groups(known, request.thresholds.cuts(task), rule),
        auc=_auc(known, request.horizons_months, rule),
        brier=brier,
        brier_patients=brier_patients,
        calibration=calibration,
    )


def curves_at(
    curves: FloatArray, curve_months: tuple[float, ...], months: tuple[float, ...]
) -> FloatArray:
    """Return predicted survival at given times, shape (n, len(months)), linear between edges.

    Raises
    ------
    ValueError
        A time beyond the last edge: there nothing is predicted.
    """
    if max(months, default=0.0) > curve_months[-1]:
        raise ValueError(f"predicted curves end at {curve_months[-1]:g} months, asked {months}")
    known = np.concatenate([np.ones((len(curves), 1)), curves], axis=1)
    edges = (0.0, *curve_months)
    return np.array([np.interp(months, edges, curve) for curve in known]).reshape(
        len(known), len(months)
    )


def _risk(rows: SurvivalRows, rule: Rule) -> Cells:
    position = RISK.position(rows.risk)
    starts = merged_starts(np.bincount(position, minlength=RISK.bins), rule.minimum_count)
    once = np.ones((1, len(position)))
    return count_cells(once, position, np.ones((len(position), 1)), starts)


def _pairs(known: _Weighted, last_months: float) -> tuple[FloatArray, FloatArray]:
    """Return Harrell's pairs, and Uno's up to the last horizon."""
    rows, weights = known.rows, known.weights
    time, risk = rows.time, rows.risk
    first = rows.event
    outlived = (time > time[first, None]) | ((time == time[first, None]) & ~rows.event)
    higher, equal = risk[first, None] > risk, risk[first, None] == risk
    orders = [outlived & higher, outlived & ~higher & ~equal, outlived & equal]
    sums = [_pair_sum(weights[:, first], order.astype(float), weights) for order in orders]
    inverse = known.inverse[first] ** 2 * (time[first] < last_months)
    concordant = inverse[:, None] * (orders[0] + orders[2] / 2)
    comparable = inverse[:, None] * outlived
    weighted = [_pair_sum(weights[:, first], m, weights) for m in (concordant, comparable)]
    return np.stack(sums, axis=1), np.stack(weighted, axis=1)


def _groups(known: _Weighted, cuts: tuple[float, ...], rule: Rule) -> tuple[FollowUpCells, ...]:
    """Return events and censorings of each risk group; none where a group is too small."""
    rows = known.rows
    group = np.searchsorted(np.array(cuts), rows.risk, side="left")
    sizes = np.bincount(group, minlength=len(cuts) + 1)
    if not cuts or not rule.allows(*sizes.tolist()):
        return ()
    members = [group == number for number in range(len(sizes))]
    return tuple(
        follow_up_cells(rows.time[own], rows.event[own], known.weights[:, own], known.grid, rule)
        for own in members
    )


def _auc(known: _Weighted, horizons: tuple[float, ...], rule: Rule) -> FloatArray:
    """Return weighted pairs at each horizon (Uno et al., JASA 2007;102:527), shape (R, H, 2).

    A pair is seen where neither is censored: of a case i and a control at t with probability
    G(T_i) G(t). Within a site G(t) cancels; over sites it does not.
    """
    risk, weights = known.rows.risk, known.weights
    sums = np.zeros((len(weights), len(horizons), 2))
    for index, months in enumerate(horizons):
        case, control = known.cases(months), known.controls(months)
        if not _followed(case, control, rule):
            continue
        inverse = known.inverse[case, None] * known.inverse_at(np.array(months))
        first, second = risk[case, None], risk[None, control]
        order = ((first > second) + (first == second) / 2) * inverse
        for column, matrix in enumerate((order, inverse * np.ones_like(order))):
            sums[:, index, column] = _pair_sum(weights[:, case], matrix, weights[:, control])
    return sums


def _brier(
    known: _Weighted, predicted: Mapping[float, FloatArray], rule: Rule
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Return weighted squared errors (Graf et al., Stat Med 1999;18:2529), shape (R, K, 3).

    Of survival predicted at K times, by the month.
    """
    sums = np.zeros((len(known.weights), len(predicted), 3))
    patients = np.zeros(len(predicted), dtype=np.int64)
    for index, (months, survival) in enumerate(predicted.items()):
        case, control = known.cases(months), known.controls(months)
        if not _followed(case, control, rule):
            continue
        dead = case * known.inverse
        alive = control * known.inverse_at(np.array(months))
        error = dead * survival**2 + alive * (1 - survival) ** 2
        sums[:, index] = known.weights @ np.stack([error, dead, alive], axis=1)
        patients[index] = len(case)
    return sums, patients


def _calibration(
    known: _Weighted,
    survival: Mapping[float, FloatArray],
    horizons: tuple[float, ...],
    rule: Rule,
) -> tuple[Cells, ...]:
    """Return patients, predictions and weighted events by predicted probability.

    An event weighs the mean of enough events of about its prediction: its own weight would tell
    when the only one of a cell had it. Of nobody at a horizon that the predicted curves do not
    reach, or that too few were followed to: who was censored has no stand-in there, and would
    count as alive.
    """
    cells = []
    for months in horizons:
        case, control = known.cases(months), known.controls(months)
        if months not in survival or not _followed(case, control, rule):
            cells.append(Cells(np.zeros(1, np.int64), np.zeros((1, 1, 3))))
            continue
        predicted = 1 - survival[months]
        position = PROBABILITY.position(predicted)
        patients = np.bincount(position, minlength=PROBABILITY.bins)
        starts = merged_starts(patients, rule.minimum_count)
        dead = np.zeros_like(predicted)
        dead[case] = _shared_weights(known.inverse[case], position[case], rule)
        columns = np.stack([np.ones_like(predicted), predicted, dead], axis=1)
        cells.append(count_cells(known.weights[:1], position, columns, starts))
    return tuple(cells)


def _shared_weights(weights: FloatArray, position: IntArray, rule: Rule) -> FloatArray:
    """Return the mean weight of each patient's neighbours along an axis, shape (n,)."""
    starts = merged_starts(np.bincount(position), rule.minimum_count)
    block = np.searchsorted(starts, position, side="right") - 1
    means = np.bincount(block, weights) / np.maximum(np.bincount(block), 1)
    return np.asarray(means[block])


def _followed(case: BoolArray, control: BoolArray, rule: Rule) -> bool:
    """Return whether a time may be told of: enough were followed to it, and not too few died.

    Where nobody was, those who were censored have no stand-in, and would count as nothing.
    """
    return bool(control.any()) and rule.allows(int(case.sum()), int(control.sum()))


def _pair_sum(first: FloatArray, pairs: FloatArray, second: FloatArray) -> FloatArray:
    sums: FloatArray = np.einsum("bj,bj->b", first @ pairs, second)
    return sums
