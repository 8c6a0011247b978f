"""A small model in a folder, for tests."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from shared.losses.multitask import LossSettings
from shared.model import ModelSettings
from shared.model_card import model_card
from shared.model_folder import ModelFolder, Provenance, write_model_folder
from shared.plan import Plan, new_model
from shared.preprocessing import PreprocessingSettings
from shared.tasks import SurvivalTask
from shared.training_inputs import training_inputs
from shared.weights import Weights, weights_of
from tests.client.patients import SMALL

PACKAGES = ("hepafed", "monai", "torch", "numpy")


def small_plan(survival: str = "logistic_hazard", clinical_variables: tuple[str, ...] = ()) -> Plan:
    return Plan(
        preprocessing=SMALL.fingerprint,
        model=ModelSettings(
            init_features=8,
            growth_rate=4,
            block_config=(2, 2),
            clinical_variables=clinical_variables,
        ),
        loss=LossSettings(survival="cox" if survival == "cox" else "logistic_hazard"),
    )


def small_weights(plan: Plan, seed: int = 0) -> Weights:
    """Return drawn weights whose statistics are those of patients like `tests.client.patients`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = new_model(plan)
        # Heads begin at zero; these have an opinion.
        for name, parameter in model.heads.named_parameters():
            if name.endswith("weight"):
                torch.nn.init.normal_(parameter, std=0.3)
        weights = weights_of(model)
    mean = dict.fromkeys(plan.model.feature_names, 0.3)
    mean |= {"log_diameter_mm": np.log(25.0), "present_delayed": 0.88, "present_arterial": 1.0}
    deviation = dict.fromkeys(plan.model.feature_names, 1.5) | {"log_diameter_mm": 0.3}
    weights["standardise.mean"] = np.array(list(mean.values()), np.float32)
    weights["standardise.deviation"] = np.array(list(deviation.values()), np.float32)
    return weights


def about_small_model(
    plan: Plan,
    weights: Weights,
    preprocessing: PreprocessingSettings = SMALL,
    followed: Mapping[SurvivalTask, float] | None = None,
) -> ModelFolder:
    return ModelFolder(
        plan=plan,
        preprocessing=preprocessing,
        mvi_threshold=0.5,
        best_round=3,
        synthetic=True,
        provenance=Provenance(
            {"north": 8, "south": 5}, "0.1.0+0123", {name: version(name) for name in PACKAGES}
        ),
        risk_cuts={"os": (-3.0,), "rfs": (-3.0,)},
        inputs=training_inputs(weights, clinical_variables=plan.model.clinical_variables),
        followed_months={"rfs": 120.0, "os": 120.0} if followed is None else followed,
    )


def write_small_model(
    folder: Path,
    survival: str = "logistic_hazard",
    seed: int = 0,
    clinical_variables: tuple[str, ...] = (),
    followed: Mapping[SurvivalTask, float] | None = None,
) -> Path:
    """Write a model; `followed` is how far its patients were, by default all of the time grid."""
    plan = small_plan(survival, clinical_variables)
    weights = small_weights(plan, seed)
    about = about_small_model(plan, weights, followed=followed)
    write_model_folder(folder, weights, about, model_card(about, {}))
    return folder
