"""What the report shows: plain values, whoever computed them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.results import Cohort, Estimate, Metric, Results
from shared.tasks import SurvivalTask

FloatArray = NDArray[np.float64]


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
    created: str | None = None
    code_version: str | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class SiteSummary:
    """One institution in numbers; counts of patients.

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
    patients: int
    training: int
    internal: int
    mvi_known: int
    mvi_positive: int
    rfs_known: int
    rfs_events: int
    os_known: int
    os_events: int
    phases: Mapping[str, int]
    tumour_diameter_mm: float | None
    follow_up_months: float | None
    set_aside: Mapping[str, int]
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
        A step curve from (0, 1) with its 95% band.
    at_risk : mapping of int to int
        Patients at risk at some months.
    """

    label: str
    patients: int
    months: FloatArray
    survival: FloatArray
    lower: FloatArray
    upper: FloatArray
    at_risk: Mapping[int, int]


@dataclass(frozen=True)
class RiskGroups:
    """Risk groups of one task in one cohort, from low to high; their cut is frozen."""

    task: SurvivalTask
    cohort: Cohort
    groups: tuple[RiskGroup, ...]
    log_rank_p: float | None


@dataclass(frozen=True, eq=False)
class RocCurve:
    """MVI in one cohort.

    Attributes
    ----------
    false_positive_rate, true_positive_rate : ndarray, shape (n,)
    chosen : tuple of float or None
        The curve's point at the frozen threshold, (false, true positive rate).
    """

    cohort: Cohort
    false_positive_rate: FloatArray
    true_positive_rate: FloatArray
    auc: Estimate
    chosen: tuple[float, float] | None


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
    """

    run: RunSummary
    sites: tuple[SiteSummary, ...]
    results: Results
    rounds: tuple[Mapping[str, Any], ...]
    risk_groups: tuple[RiskGroups, ...]
    roc: tuple[RocCurve, ...]
    activation: tuple[ActivationSample, ...]
    by_site: Mapping[str, Mapping[Metric, Estimate]] = field(default_factory=dict)
