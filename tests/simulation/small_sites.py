"""Institutions of a few small patients with labels drawn from a seed, and plans that suit them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.cohort import prepare_site
from client.site import Site
from server.checkpoint import Checkpoint
from server.federation import FederationSettings
from server.optimiser import FedAvg, ServerOptimiser
from server.terms import Patience, Terms
from shared.model import ModelSettings
from shared.plan import AugmentationSettings, OptimisationSettings, Plan
from shared.tasks import Labels, Survival
from simulation.federate import federate
from simulation.settings import RuntimeSettings
from tests.client.patients import GOOD_ROW, SMALL, write_clinical, write_patient

PLAN = Plan(
    rounds=3,
    preprocessing=SMALL.fingerprint,
    training_fraction=0.6,
    model=ModelSettings(init_features=8, growth_rate=4, block_config=(2, 2), embedding=8),
)

NO_AUGMENTATION = AugmentationSettings(
    flip=False, shift_voxels=0, intensity_shift=0, intensity_scale=0, noise=0, phase_dropout=0
)
# Nothing is drawn, nothing is clipped, and a batch holds everybody: local training is plain
# gradient descent on the site's own loss.
GRADIENT_DESCENT = replace(
    PLAN,
    model=replace(PLAN.model, dropout=0.0),
    augmentation=NO_AUGMENTATION,
    optimisation=OptimisationSettings(
        optimiser="sgd",
        local_steps=0,
        batch_size=16,
        learning_rate=0.02,
        head_learning_rate=0.05,
        final_learning_rate=1.0,
        max_grad_norm=1e9,
    ),
)


def labelled_sites(root: Path, patients: Mapping[str, int]) -> list[Site]:
    """Write and prepare one site a name, of so many patients."""
    generator = np.random.default_rng(0)
    made = []
    for name, count in patients.items():
        ids = [f"{name}{index}" for index in range(count)]
        write_clinical(root / name, dict.fromkeys(ids, GOOD_ROW))
        for index, patient in enumerate(ids):
            write_patient(root / name / patient, seed=index)
        prepared = prepare_site(root / name, SMALL, root / "cache", workers=1, progress=False)
        cases = [
            replace(
                case,
                labels=Labels(
                    mvi=bool(generator.random() < 0.5),
                    rfs=Survival(float(generator.uniform(2, 30)), bool(generator.random() < 0.7)),
                    os=Survival(float(generator.uniform(5, 60)), bool(generator.random() < 0.5)),
                ),
            )
            for case in prepared.cases
        ]
        made.append(Site(name, tuple(cases), SMALL.fingerprint, minimum_count=1, threads=1))
    return made


def run(
    sites: list[Site],
    state_dir: Path,
    on_checkpoint: Callable[[Checkpoint], None] = lambda _: None,
    plan: Plan = PLAN,
    runtime: str = "inprocess",
    minimum_sites: int = 1,
    optimiser: ServerOptimiser = FedAvg(),  # noqa: B008
    sites_per_round: int | None = None,
) -> Checkpoint:
    """Federate the sites to the last round."""
    terms = Terms(
        patience=Patience(minimum_sites=minimum_sites, attempts=1, gathering_s=0.0),
        optimiser=optimiser,
        sites_per_round=sites_per_round,
    )
    settings = FederationSettings(plan, state_dir, terms)
    how = RuntimeSettings(name="ray" if runtime == "ray" else "inprocess", threads=1)
    return federate(sites, settings, how, on_checkpoint)


def assert_equal(first: Mapping[str, NDArray[Any]], second: Mapping[str, NDArray[Any]]) -> None:
    """Assert that two sets of arrays agree to the byte."""
    assert first.keys() == second.keys()
    assert all(first[key].tobytes() == second[key].tobytes() for key in first)
