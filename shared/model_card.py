"""The model card: what a person must know before they use the model."""

from collections.abc import Mapping
from dataclasses import asdict

from shared.model_folder import ModelFolder
from shared.reporting.names import METRIC_NAMES, PHASE_NAMES, printable
from shared.results import Cohort, Estimate, Metric
from shared.tasks import PHASES, SURVIVAL_TASKS
from shared.training_inputs import DEVIATIONS, DIAMETER

_RANGE_NAMES = {
    DIAMETER: ("Tumour diameter", "mm"),
    "in_plane_spacing_mm": ("Pixel", "mm"),
    "slice_spacing_mm": ("Distance of slices", "mm"),
}


def model_card(about: ModelFolder, metrics: Mapping[Cohort, Mapping[Metric, Estimate]]) -> str:
    """Return the card as Markdown.

    Parameters
    ----------
    about : ModelFolder
    metrics : mapping
        Of this model, by cohort; a cohort or a metric that a run does not have may be absent.
    """
    lines = [*_opening(about), *_results(metrics), *_usual(about), *_use(about)]
    return "\n".join(lines) + "\n"


def _opening(about: ModelFolder) -> list[str]:
    provenance, plan = about.provenance, about.plan
    data = (
        "**Synthetic patients.** It has never seen a real one and must not be used on any."
        if about.synthetic
        else "Patients of the institutions below. Research use; not a medical device."
    )
    sites = [f"{printable(name)} ({count} patients)" for name, count in provenance.sites.items()]
    kept = "the last" if about.best_round is None else f"{about.best_round}"
    return [
        f"# hepafed model{' (synthetic patients)' if about.synthetic else ''}",
        "",
        "Predicts microvascular invasion (MVI), recurrence-free survival (RFS) and overall",
        "survival (OS) of hepatocellular carcinoma from contrast-enhanced CT in up to three",
        "phases and a mask of liver and tumour.",
        "",
        f"- Trained on: {data}",
        f"- Sites: {', '.join(sites)}",
        f"- Seed {plan.seed}, round {kept} of {plan.rounds}, chosen on internal validation",
        f"- MVI threshold: {_threshold(about)}",
        *(
            f"- {task.upper()} risk groups are cut at {', '.join(f'{cut:.4f}' for cut in cuts)},"
            " fixed on internal validation"
            for task, cuts in about.risk_cuts.items()
            if cuts
        ),
        f"- Training patients were followed: {_followed(about)}; no survival is told later",
        f"- Code: {provenance.code_version}",
        f"- Versions: {', '.join(f'{n} {v}' for n, v in provenance.versions.items())}",
        "",
    ]


def _followed(about: ModelFolder) -> str:
    months = {task: about.followed_months.get(task) for task in SURVIVAL_TASKS}
    return ", ".join(
        f"{task.upper()} {'not known' if last is None else f'to {last:g} months'}"
        for task, last in months.items()
    )


def _threshold(about: ModelFolder) -> str:
    if about.mvi_threshold is None:
        return "none"
    return f"{about.mvi_threshold:.4f}, half of the best F1 expected on internal validation"


def _results(metrics: Mapping[Cohort, Mapping[Metric, Estimate]]) -> list[str]:
    rows = ["| metric | " + " | ".join(metrics) + " |", "|---|" + "---|" * len(metrics)]
    for metric, name in METRIC_NAMES.items():
        cells = [_cell(values.get(metric)) for values in metrics.values()]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*rows, ""]


def _usual(about: ModelFolder) -> list[str]:
    shares = [
        f"{PHASE_NAMES[phase]} {about.inputs.phase_share[phase]:.0%}"
        for phase in PHASES
        if phase in about.inputs.phase_share
    ]
    ranges = [
        f"- {name}: {usual[0]:.1f} to {usual[1]:.1f} {unit}"
        for key, (name, unit) in _RANGE_NAMES.items()
        if (usual := about.inputs.ranges.get(key)) is not None
    ]
    ranges += [
        f"- {printable(name)} (a clinical variable): {usual[0]:.3g} to {usual[1]:.3g}"
        for name in about.plan.model.clinical_variables
        if (usual := about.inputs.ranges.get(name)) is not None
    ]
    if not shares and not ranges:
        return []
    return [
        f"The usual range in training (mean ± {DEVIATIONS:g} standard deviations); whoever lies"
        " outside of it is warned of:",
        "",
        "- Phases (share of the training patients of the sites that tell it):"
        f" {', '.join(shares) or 'not known'}",
        *ranges,
        "",
    ]


def _use(about: ModelFolder) -> list[str]:
    return [
        "`python client/predict.py model=THIS_FOLDER patient=DIR output_dir=DIR` predicts for one",
        "patient. The folder is a MONAI bundle: `monai.bundle.ConfigParser` reads",
        "`configs/inference.json`, with this project on the path and `bundle_root` set to this",
        f"folder. Preprocessing: {_settings(about)}.",
    ]


def _settings(about: ModelFolder) -> str:
    return ", ".join(f"{key} {value}" for key, value in asdict(about.preprocessing).items())


def _cell(estimate: Estimate | None) -> str:
    if estimate is None or estimate.value is None:
        return "not available"
    if estimate.ci95 is None:
        return f"{estimate.value:.3f} (n = {estimate.n})"
    low, high = estimate.ci95
    return f"{estimate.value:.3f} ({low:.3f} to {high:.3f}, n = {estimate.n})"
