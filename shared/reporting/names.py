"""Names as a reader knows them."""

from shared.results import Cohort, Estimate, Metric

METRIC_NAMES: dict[Metric, str] = {
    "os_c_index": "OS C-index",
    "rfs_c_index": "RFS C-index",
    "mvi_f1": "MVI F1",
    "mvi_auc": "MVI AUC",
}
COHORT_NAMES: dict[Cohort, str] = {
    "training": "Training",
    "internal": "Internal validation",
    "external": "External site",
}
TASK_NAMES = {"os": "Overall survival", "rfs": "Recurrence-free survival"}
PHASE_NAMES = {"arterial": "arterial", "portal_venous": "portal venous", "delayed": "delayed"}


def method_name(method: str) -> str:
    """Return a method's name for a reader; a site's name is taken as it is."""
    known = {
        "oracle": "Best possible (true risk)",
        "pooled": "Pooled (data in one place)",
        "radiomics": "Radiomics, pooled (linear)",
        "local": "Each site alone (mean)",
        "fedavg": "Federated (FedAvg)",
    }
    if method.startswith("local/"):
        return f"Only {method.removeprefix('local/')}"
    return known.get(method, f"Federated ({method})")


def in_words(estimate: Estimate) -> str:
    """Return an estimate with its interval: ``0.712 (0.621 to 0.788)``."""
    if estimate.value is None:
        return "not available"
    if estimate.ci95 is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} ({estimate.ci95[0]:.3f} to {estimate.ci95[1]:.3f})"
