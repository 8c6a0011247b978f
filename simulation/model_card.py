"""The model card: what a person must know before they use the model."""

from collections.abc import Mapping

from shared.model_folder import ModelFolder
from shared.results import Cohort, Estimate, Metric

_METRIC_NAMES: dict[Metric, str] = {
    "os_c_index": "OS C-index",
    "rfs_c_index": "RFS C-index",
    "mvi_f1": "MVI F1",
    "mvi_auc": "MVI AUC",
}


def model_card(
    about: ModelFolder,
    sites: Mapping[str, int],
    metrics: Mapping[Cohort, Mapping[Metric, Estimate]],
    versions: Mapping[str, str],
) -> str:
    """Return the card as Markdown.

    Parameters
    ----------
    about : ModelFolder
    sites : mapping of str to int
        Training patients of each institution.
    metrics : mapping
        Of this model, by cohort.
    versions : mapping of str to str
        Of the libraries it was trained with.
    """
    data = (
        "**Synthetic patients.** It has never seen a real one and must not be used on any."
        if about.synthetic
        else "Patients of the institutions below. Research use; not a medical device."
    )
    threshold = "none" if about.mvi_threshold is None else f"{about.mvi_threshold:.4f}"
    lines = [
        "# hepafed model",
        "",
        "Predicts microvascular invasion (MVI), recurrence-free survival (RFS) and overall",
        "survival (OS) of hepatocellular carcinoma from contrast-enhanced CT in up to three",
        "phases and a mask of liver and tumour.",
        "",
        f"- Trained on: {data}",
        f"- Sites: {', '.join(f'{name} ({count} patients)' for name, count in sites.items())}",
        f"- Seed {about.plan.seed}, round {about.best_round} of {about.plan.rounds}, chosen on"
        " internal validation",
        f"- MVI threshold: {threshold}, fixed on internal validation",
        f"- Versions: {', '.join(f'{name} {version}' for name, version in versions.items())}",
        "",
        "| metric | " + " | ".join(metrics) + " |",
        "|---|" + "---|" * len(metrics),
    ]
    for metric, name in _METRIC_NAMES.items():
        cells = [_cell(values[metric]) for values in metrics.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(estimate: Estimate) -> str:
    if estimate.value is None:
        return "not available"
    if estimate.ci95 is None:
        return f"{estimate.value:.3f} (n = {estimate.n})"
    low, high = estimate.ci95
    return f"{estimate.value:.3f} ({low:.3f} to {high:.3f}, n = {estimate.n})"
