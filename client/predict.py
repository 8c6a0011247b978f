"""One patient: ``python client/predict.py model=DIR patient=DIR output_dir=DIR``.

Writes ``prediction.json`` (MVI probability, RFS and OS curves as far as training patients were
followed, risk groups, median times, what is unusual compared with training), ``prediction.png``
(the same on one sheet, with the activation map) and ``activation_{mvi,rfs,os}.nii.gz``, which open
over the patient's CT. The patient's folder has the contract's phases, or mixed DICOM series beside
a mask: then the phases are chosen as at a site, and the file says which series they are.
"""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml

from client.activation import activation_map
from client.activation_file import write_activation
from client.batches import stack_rois
from client.clinical import SiteFolderError
from client.cohort import build_region, build_roi
from client.command import arguments, keep_private, read_words, writing_into
from client.device import find_device
from client.imaging.errors import ImagingError
from client.memory import SiteMemory
from client.personal import put_own_part
from client.prediction import Prediction, predict
from client.prediction_sheet import prediction_sheet
from client.series.choose import Choice
from client.series.patient import chosen_phases
from client.site_file import read_site_file
from client.unfamiliar import warnings_for
from shared.activation_share import activation_shares
from shared.bundle_network import pack
from shared.config import ConfigurationError, build
from shared.model import MultiTaskNet
from shared.model_folder import ModelFolder, ModelFolderError, folder_digest, read_model_folder
from shared.preprocessing import PreprocessingSettings
from shared.protocol import ProtocolError
from shared.reporting import figures
from shared.tasks import SURVIVAL_TASKS, TASKS, TUMOUR_LABEL

USAGE = (
    "python client/predict.py model=DIR patient=DIR output_dir=DIR [device=cpu]"
    " ['clinical={age: 63}'] [site=site.yaml]"
)
SYNTHETIC = "This model was trained on synthetic patients: its prediction means nothing."


@dataclass(frozen=True)
class PredictSettings:
    """What to predict with, for whom, and where to.

    Attributes
    ----------
    note : str
        Shown first on the sheet and in the file, such as what a trial is for.
    clinical : mapping of str to float or None
        The clinical variables that are known, of those that the model reads.
    site : Path or None
        The site's own file: with a personal model, such as FedPer's, the part that this site
        keeps is put in the average's place.
    """

    model: Path
    patient: Path
    output_dir: Path
    device: str = "cpu"
    note: str = ""
    clinical: Mapping[str, float | None] = field(default_factory=dict)
    site: Path | None = None


def predict_patient(settings: PredictSettings) -> dict[str, Any]:
    """Predict for one patient and write what was found; return what ``prediction.json`` holds.

    Raises
    ------
    ModelFolderError
        The model folder cannot be used.
    ConfigurationError
        A clinical variable that the model does not read, a value that is no number, a site whose
        own part of the model cannot be had, a device that is not here, or an output that cannot
        be written.
    ImagingError
        The patient's folder cannot be used.
    """
    device = find_device(settings.device)
    model, about = read_model_folder(settings.model)
    own_site, doubts = use_own_part(model, about, settings.site)
    names = about.plan.model.clinical_variables
    clinical = known_variables(settings.clinical, names)
    if not settings.patient.is_dir():
        raise ImagingError("no such folder", settings.patient)
    choice = chosen_phases(settings.patient)
    region = build_region(settings.patient, about.preprocessing, choice)
    batch = stack_rois([region.roi], [clinical], names).to(device)
    model = model.to(device)
    prediction = predict(model, batch, about)
    maps = {task: activation_map(model, batch, task) for task in TASKS}
    warnings = (
        *doubts,
        *_follow_up_unknown(prediction),
        *warnings_for(region, batch, about),
        *_unsure(choice),
    )
    shares = activation_shares(maps["os"], region.roi.mask[None] == TUMOUR_LABEL)
    told = {
        **as_json(prediction, about, settings, own_site),
        **({"clinical": {name: clinical.get(name) for name in names}} if names else {}),
        "phases": list(region.scans),
        "left_out": [{"file": file, "reason": reason} for reason, file in region.problems],
        "series": [asdict(row) for row in choice.rows] if choice else [],
        "warnings": list(warnings),
        "os_activation": {
            "in_tumour": shares.mean(shares.in_tumour),
            "in_tumour_and_margin": shares.mean(shares.in_margin),
            "volume_of_tumour": shares.mean(shares.tumour_volume),
            "volume_of_tumour_and_margin": shares.mean(shares.margin_volume),
        },
    }
    sheet = prediction_sheet(
        region,
        prediction,
        maps["os"][0],
        notices=notices(about, settings),
        warnings=warnings,
        shares=shares,
        footer=_footer(about, told["model"]),
        patient=settings.patient.resolve().name,
    )
    picture = figures.prediction_sheet_png(sheet)
    text = json.dumps(told, indent=2, allow_nan=False) + "\n"
    with writing_into(settings.output_dir):
        (settings.output_dir / "prediction.json").write_text(text, encoding="utf-8")
        for task, found in maps.items():
            name = f"activation_{task}.nii.gz"
            write_activation(found[0], region.frame.lattice, settings.output_dir / name)
        (settings.output_dir / "prediction.png").write_bytes(picture)
    return told


def as_json(
    prediction: Prediction, about: ModelFolder, settings: PredictSettings, own_site: str | None
) -> dict[str, Any]:
    """Return a prediction and its model, with whose own part in it, as plain values."""
    told: dict[str, Any] = {
        "note": settings.note,
        "model": {
            "sha256": folder_digest(settings.model),
            "code_version": about.provenance.code_version,
            "round": about.best_round,
            "own_part_of": own_site,
        },
        "synthetic_model": about.synthetic,
        "mvi_probability": prediction.mvi_probability,
        "mvi_threshold": prediction.mvi_threshold,
        "mvi_positive": prediction.mvi_positive,
    }
    for task in SURVIVAL_TASKS:
        found = prediction.survival(task)
        told[task] = {"risk": found.risk, "risk_group": found.group}
        if found.grid_months is not None:
            told[task]["followed_months"] = found.followed_months
            told[task]["median_months"] = found.median_months
            told[task]["months"] = list(found.months)
            told[task]["survival"] = list(found.survival)
    return told


def use_own_part(
    model: MultiTaskNet, about: ModelFolder, site_file: Path | None
) -> tuple[str | None, list[str]]:
    """Put a site's own part into a personal model; return whose it is, and what to warn of.

    Raises
    ------
    ConfigurationError
        A site is given for a model without own parts, or its part is lost.
    """
    if about.plan.algorithm.personal == "none":
        if site_file is not None:
            raise ConfigurationError(
                f"site={site_file}: sites use this model alike; leave site= out"
            )
        return None, []
    average = "this is the prediction of the average, whose thresholds are the sites'."
    if site_file is None:
        return None, [f"Sites use this model with a part of their own (site=site.yaml); {average}"]
    site = read_site_file(site_file)
    own_round = about.own_rounds.get(site.name)
    if own_round is None:
        return None, [f"{site.name} has no part of its own in this model; {average}"]
    memory = SiteMemory(site.state_dir, about.plan, about.federation)
    try:
        if put_own_part(model, about.plan, memory, own_round):
            return site.name, []
        problem = "cannot be read"
    except ProtocolError as error:
        problem = f"is of another model ({error})"
    raise ConfigurationError(
        f"{site.state_dir}: what {site.name} kept of round {own_round} {problem}; leave site= out"
        " to predict with the average"
    )


def notices(about: ModelFolder, settings: PredictSettings) -> tuple[str, ...]:
    """Return what must be read before any number."""
    notes = [SYNTHETIC] if about.synthetic else []
    notes += [settings.note] if settings.note else []
    return (*notes, "Research software, not a medical device.")


def _follow_up_unknown(prediction: Prediction) -> list[str]:
    """Warn where nothing says how far a curve rests on patients."""
    curves = {task: prediction.survival(task) for task in SURVIVAL_TASKS}
    unknown = [
        task.upper()
        for task, curve in curves.items()
        if curve.grid_months is not None and curve.followed_months is None
    ]
    if not unknown:
        return []
    return [
        f"How far the training patients were followed is not known ({', '.join(unknown)}): curve"
        " and median reach to the end of the time grid, and may lie where nobody was followed."
    ]


def _unsure(choice: Choice | None) -> list[str]:
    return [
        f"The {row.phase.replace('_', ' ')} phase is series {row.number}, but that is not sure:"
        " look at it."
        for row in (choice.rows if choice else ())
        if row.decision == "used" and row.confidence == "low"
    ]


def _footer(about: ModelFolder, model: dict[str, Any]) -> tuple[str, ...]:
    sites, own_site = about.provenance.sites, model["own_part_of"]
    with_own = f" with {own_site}'s own part" if own_site else ""
    return (
        f"Model {model['sha256'][:16]}, round {about.best_round}{with_own}, trained on"
        f" {sum(sites.values())} patients of {len(sites)} institutions; code"
        f" {about.provenance.code_version}",
        "Risk groups and the MVI threshold were fixed on internal validation. RFS:"
        " recurrence-free survival; OS: overall survival.",
    )


def known_variables(given: Mapping[str, float | None], names: Sequence[str]) -> dict[str, float]:
    """Return those clinical variables that are given a value; None is unknown.

    Raises
    ------
    ConfigurationError
        A name that is not among those that the model reads, or a value that is not finite.
    """
    strange = sorted(given.keys() - set(names))
    if strange:
        read = ", ".join(names) or "no clinical variable"
        raise ConfigurationError(f"clinical: {', '.join(strange)}: the model reads {read}")
    known = {name: value for name, value in given.items() if value is not None}
    infinite = [name for name, value in known.items() if not math.isfinite(value)]
    if infinite:
        raise ConfigurationError(f"clinical: {', '.join(infinite)}: not a finite number")
    return known


def bundle_image(
    patient: str, preprocessing: PreprocessingSettings, clinical: Mapping[str, float | None]
) -> torch.Tensor:
    """Return a patient as the input of the bundle's network; ``inference.json`` calls this.

    `clinical` has all variables that the model reads, in its order; None where unknown.
    """
    roi, _ = build_roi(Path(patient), preprocessing)
    names = tuple(clinical)
    return pack(stack_rois([roi], [known_variables(clinical, names)], names))


def predict_into(
    bundle_root: str, patient: str, output_dir: str, clinical: Mapping[str, float | None]
) -> dict[str, Any]:
    """Predict as the command does; ``inference.json`` calls this."""
    return predict_patient(
        PredictSettings(Path(bundle_root), Path(patient), Path(output_dir), clinical=clinical)
    )


def read_command(words: Sequence[str]) -> PredictSettings:
    """Return what ``key=value`` words ask for; the rest is as in ``configs/predict.yaml``.

    Raises
    ------
    ConfigurationError
        A word that is no ``key=value``, an unknown key, or one that is missing.
    """
    values = read_words(words, "predict", USAGE)
    if isinstance(values["clinical"], str):
        values["clinical"] = _mapping(values["clinical"])
    return build(PredictSettings, values, where="predict")


def _mapping(text: str) -> Any:
    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"clinical={text}: write it as '{{age: 63}}'") from error
    if not isinstance(read, dict):
        raise ConfigurationError(f"clinical={text}: write it as '{{age: 63}}'")
    return read


def main() -> None:
    """Predict for the patient that the command line names."""
    given = arguments(__doc__)
    keep_private()
    try:
        settings = read_command(given)
        prediction = predict_patient(settings)
    except (ConfigurationError, ModelFolderError, SiteFolderError, ImagingError) as error:
        sys.exit(f"Cannot predict: {error}")
    except OSError as error:
        sys.exit(f"Cannot predict: {error.filename}: {error.strerror}")
    if prediction["synthetic_model"]:
        print(SYNTHETIC)
    for warning in prediction["warnings"]:
        print(f"Warning: {warning}")
    print(f"MVI probability {prediction['mvi_probability']:.3f}; see {settings.output_dir}")


if __name__ == "__main__":
    main()
