"""The results table: method x cohort x metric, and its file ``metrics.json``."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Cohort = Literal["training", "internal", "external"]
Metric = Literal[
    "os_c_index",
    "rfs_c_index",
    "mvi_f1",
    "mvi_auc",
    "os_c_index_rows",
    "rfs_c_index_rows",
    "mvi_f1_rows",
    "mvi_auc_rows",
    "mvi_auc_difference",
    "mvi_brier",
    "mvi_sensitivity",
    "mvi_specificity",
    "mvi_ppv",
    "mvi_npv",
    "mvi_accuracy",
    "os_uno_c",
    "rfs_uno_c",
    "os_auc_12",
    "os_auc_24",
    "os_auc_36",
    "os_auc_60",
    "rfs_auc_12",
    "rfs_auc_24",
    "rfs_auc_36",
    "rfs_auc_60",
    "os_brier_12",
    "os_brier_24",
    "os_brier_36",
    "os_brier_60",
    "rfs_brier_12",
    "rfs_brier_24",
    "rfs_brier_36",
    "rfs_brier_60",
    "os_ibs",
    "rfs_ibs",
    "os_ibs_null",
    "rfs_ibs_null",
    "os_hazard_ratio",
    "rfs_hazard_ratio",
]

COHORTS: tuple[Cohort, ...] = ("training", "internal", "external")
# Those that every method has; a run may add any of the others.
METRICS: tuple[Metric, ...] = ("os_c_index", "rfs_c_index", "mvi_f1", "mvi_auc")
SCHEMA = 1


@dataclass(frozen=True)
class Estimate:
    """A statistic with its interval.

    Attributes
    ----------
    value : float or None
        None where the statistic cannot be had (no events, one class).
    ci95 : tuple of float or None
        Lower and upper end of the 95% interval; None where it cannot be had.
    n : int
        Patients who have the label.
    """

    value: float | None
    ci95: tuple[float, float] | None
    n: int

    def as_json(self) -> dict[str, Any]:
        """Return the contract's ``{"value", "ci95", "n"}``."""
        ci95 = None if self.ci95 is None else list(self.ci95)
        return {"value": self.value, "ci95": ci95, "n": self.n}


# method -> cohort -> metric -> estimate
Results = Mapping[str, Mapping[Cohort, Mapping[Metric, Estimate]]]


def write_metrics_json(results: Results, path: Path) -> None:
    """Write ``metrics.json`` of the data contract."""
    methods = {
        method: {
            cohort: {metric: estimate.as_json() for metric, estimate in metrics.items()}
            for cohort, metrics in cohorts.items()
        }
        for method, cohorts in results.items()
    }
    document = {"schema": SCHEMA, "methods": methods}
    path.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
