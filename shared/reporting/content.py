"""What the report shows: plain values, whoever computed them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared.activation_share import ActivationShares
from shared.results import Cohort, Estimate, Metric, Results
from shared.tasks import SurvivalTask, Task

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ModelSummary:
    """What the model reads and tells, for the page to describe it truly.

    Attributes
    ----------
    clinical_variables : tuple of str
        Which the heads read beside images.
    normalisation : str
        As in `shared.preprocessing.PreprocessingSettings`.
    measurements : bool
        Whether the heads read the lesion's measurements.
    curves : bool
        Whether survival is told as a curve, or as a risk alone.
    """

    clinical_variables: tuple[str, ...]
    normalisation: Literal["liver", "window"]
    measurements: bool
    curves: bool


@dataclass(frozen=True)
class RunSummary:
    """What was run, and what it takes to run it again.

    Attributes
    ----------
    name : str
    strategy : str
        The federated method's key in the results.
    synthetic : bool
    seed, rounds : int
    best_round : int or None
        The round whose model was kept.
    command : str
        A shell line.
    versions : mapping of str to str
        Package to version.
    model : ModelSummary
    created, code_version : str or None
        Shown where given. A date that changes makes the page's bytes change with it.
    seconds : float or None
        Wall time of the whole run.
    """

    name: str
    strategy: str
    synthetic: bool
    seed: int
    rounds: int
    best_round: int | None
    command: str
    versions: Mapping[str, str]
    model: ModelSummary
    created: str | None = None
    code_version: str | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class SiteSummary:
    """One institution in numbers; counts of patients, None where too few for the site to tell.

    Attributes
    ----------
    role : str
        ``"training"`` or ``"external"``.
    patients : int
        Patients used.
    phases : mapping of str to int
        Patients with each phase.
    tumour_diameter_mm : float or None
        Median diameter of a sphere of the tumour's volume.
    follow_up_months : float or None
        Median time under observation for overall survival.
    set_aside : mapping of str to int
        Entries of ``set_aside.csv`` by reason; a patient may have several, and may still be
        used in part.
    excluded : int or None
        Patients that could not be used at all; None where only the entries are known.
    tumour_volume_ml, in_plane_spacing_mm, slice_thickness_mm : float or None
        Medians, shown where any institution has them.
    """

    name: str
    role: str
    patients: int | None
    training: int | None
    internal: int | None
    mvi_known: int | None
    mvi_positive: int | None
    rfs_known: int | None
    rfs_events: int | None
    os_known: int | None
    os_events: int | None
    phases: Mapping[str, int | None]
    tumour_diameter_mm: float | None
    follow_up_months: float | None
    set_aside: Mapping[str, int | None]
    excluded: int | None = None
    tumour_volume_ml: float | None = None
    in_plane_spacing_mm: float | None = None
    slice_thickness_mm: float | None = None


@dataclass(frozen=True, eq=False)
class RiskGroup:
    """A Kaplan-Meier curve of one predicted risk group.

    Attributes
    ----------
    months, survival, lower, upper : ndarray, shape (n,)
        A step curve from (0, 1) with its 95% band, as far as follow-up is certain.
    at_risk : mapping of int to int
        Patients still at risk at some of these months, the events until then taken off.
    bounds : tuple of two ndarray, each of shape (n,), or None
        Lowest and highest that the curve of patients' exact times can be, where it is made from
        sums.
    """

    label: str
    patients: int
    months: FloatArray
    survival: FloatArray
    lower: FloatArray
    upper: FloatArray
    at_risk: Mapping[int, int]
    bounds: tuple[FloatArray, FloatArray] | None = None

    @property
    def errors(self) -> FloatArray:
        """How far the curve can be off at most, shape (n,); empty where it is exact."""
        if self.bounds is None:
            return np.zeros(0)
        lowest, highest = self.bounds
        return np.maximum(highest - self.survival, self.survival - lowest)


@dataclass(frozen=True)
class RiskGroups:
    """Risk groups of one task in one cohort, from low to high; their cut is frozen.

    Attributes
    ----------
    hazard_ratio : Estimate or None
        Of the highest group against the lowest (Cox, Efron's ties).
    """

    task: SurvivalTask
    cohort: Cohort
    groups: tuple[RiskGroup, ...]
    log_rank_p: float | None
    hazard_ratio: Estimate | None = None


@dataclass(frozen=True, eq=False)
class RocCurve:
    """MVI in one cohort.

    Attributes
    ----------
    false_positive_rate, true_positive_rate : ndarray, shape (n,)
    chosen : tuple of float or None
        The curve's point at the frozen threshold, (false, true positive rate).
    auc_error : float or None
        How far the AUC can be from that of patients' rows at most, where it is made from
        binned sums; 0 where it is exact.
    """

    cohort: Cohort
    false_positive_rate: FloatArray
    true_positive_rate: FloatArray
    auc: Estimate
    chosen: tuple[float, float] | None
    auc_error: float | None = None


@dataclass(frozen=True)
class ConfusionTable:
    """MVI calls at the frozen threshold in one cohort, and what they give.

    Attributes
    ----------
    true_positive, false_positive, false_negative, true_negative : int
    threshold : float
    rates : mapping of str to Estimate
        ``sensitivity``, ``specificity``, ``ppv``, ``npv``, ``f1``, ``accuracy``.
    """

    cohort: Cohort
    threshold: float
    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int
    rates: Mapping[str, Estimate]


@dataclass(frozen=True, eq=False)
class CalibrationCurve:
    """Predicted against observed share of patients with MVI, or with an event by a horizon.

    Attributes
    ----------
    horizon_months : float or None
        None for MVI.
    predicted, observed : ndarray, shape (b,)
        Mean prediction and observed share in each bin, in [0, 1].
    patients : ndarray, shape (b,), int64
    """

    task: Task
    cohort: Cohort
    horizon_months: float | None
    predicted: FloatArray
    observed: FloatArray
    patients: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class DecisionCurve:
    """Net benefit of acting on the MVI probability in one cohort (Vickers and Elkin 2006).

    Attributes
    ----------
    threshold, model, all_positive : ndarray, shape (n,)
        Threshold probability; net benefit of the model, and of calling everybody positive.
        Calling nobody positive has net benefit 0.
    """

    cohort: Cohort
    threshold: FloatArray
    model: FloatArray
    all_positive: FloatArray


@dataclass(frozen=True)
class HorizonScore:
    """How well survival at one horizon is predicted in one cohort.

    Attributes
    ----------
    auc : Estimate
        Time-dependent, over pairs within a site.
    brier, null_brier : Estimate
        Of the model, and of the cohort's own Kaplan-Meier curve.
    """

    task: SurvivalTask
    cohort: Cohort
    months: float
    auc: Estimate
    brier: Estimate
    null_brier: Estimate


@dataclass(frozen=True)
class Hidden:
    """What suppression of small counts keeps from the page.

    Attributes
    ----------
    statistic : str
        In words: ``"MVI, all statistics"``, ``"OS, risk groups"``.
    sites : tuple of str
        Sites that withhold it.
    patients : int
        Their patients, of those sites that may tell how many.
    untold : int
        Sites with so few patients that not even their number is told.
    """

    statistic: str
    cohort: Cohort
    sites: tuple[str, ...]
    patients: int
    untold: int


@dataclass(frozen=True)
class Summary:
    """One characteristic of one site, or of all.

    Attributes
    ----------
    patients : int or None
        Who have it, or for whom it is known; None where they are too few to be told.
    count : int or None
        Of a category; None where too few, or where it is a measure.
    mean, deviation, median : float or None
        Of a measure; the median within a bin of its histogram.
    difference : float or None
        Standardised difference from all other training sites together.
    """

    patients: int | None
    count: int | None = None
    mean: float | None = None
    deviation: float | None = None
    median: float | None = None
    difference: float | None = None


@dataclass(frozen=True)
class Characteristic:
    """One row of the table of cohorts.

    Attributes
    ----------
    name, unit : str
        In words; the unit is empty for a share of patients.
    by_site : mapping of str to Summary
        In the order of the sites.
    overall : Summary
        All training sites together.
    """

    name: str
    unit: str
    by_site: Mapping[str, Summary]
    overall: Summary


@dataclass(frozen=True, eq=False)
class ActivationSample:
    """One patient's slice with its activation map; never an identifier.

    Attributes
    ----------
    image, activation : ndarray, shape (H, W)
        Grey values and activation, both in [0, 1].
    tumour : ndarray, shape (H, W), bool
    caption : str
        What was predicted.
    """

    image: FloatArray
    activation: FloatArray
    tumour: NDArray[np.bool_]
    caption: str


@dataclass(frozen=True, eq=False)
class ReportContent:
    """Everything on the page.

    Attributes
    ----------
    rounds : tuple of mapping
        Records of ``rounds.jsonl``.
    by_site : mapping of str to mapping of Metric to Estimate
        The federated model at each institution: at a training institution on its internal
        validation patients, at the external one on all. Shown where given.
    confusion, calibration, decision, horizons
        Of the federated model, by cohort.
    characteristics : tuple of Characteristic
        Who the patients are, and how sites differ.
    hidden : tuple of Hidden
        What sites withhold because it rests on too few patients.
    activation_shares : mapping of Cohort to ActivationShares
        How much of the maps of death lies in the tumour and its margin, as sums over patients.
    unjudged : mapping of str to str
        Institution -> the code of why it gave no answer about the federated model that counts.
    """

    run: RunSummary
    sites: tuple[SiteSummary, ...]
    results: Results
    rounds: tuple[Mapping[str, Any], ...]
    risk_groups: tuple[RiskGroups, ...]
    roc: tuple[RocCurve, ...]
    activation: tuple[ActivationSample, ...]
    by_site: Mapping[str, Mapping[Metric, Estimate]] = field(default_factory=dict)
    confusion: tuple[ConfusionTable, ...] = ()
    calibration: tuple[CalibrationCurve, ...] = ()
    decision: tuple[DecisionCurve, ...] = ()
    horizons: tuple[HorizonScore, ...] = ()
    characteristics: tuple[Characteristic, ...] = ()
    hidden: tuple[Hidden, ...] = ()
    activation_shares: Mapping[Cohort, ActivationShares] = field(default_factory=dict)
    unjudged: Mapping[str, str] = field(default_factory=dict)
