"""Which seed draws the default cohort: ``python -m tests.benchmarks.default_cohort``.

Draws the default federation with every seed, and says which draws lie closest to the population by
what their true risks reach: C-index of OS and RFS among patients of the same site, and the best F1
of MVI, at the five sites together and outside. The distance is Euclidean, each figure in standard
deviations over the seeds. No image is made and no model looked at.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from omegaconf import OmegaConf
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.metrics import precision_recall_curve

from shared.metrics.concordance import PairCounts, concordance_pairs
from simulation.cohort.patient import Patient, draw_patients
from simulation.cohort.settings import EXTERNAL, SyntheticCohortSettings
from tests.benchmarks.over_seeds import REPOSITORY, Values

CONFIG = REPOSITORY / "configs" / "cohort" / "synthetic.yaml"
FIGURES = ("OS inside", "RFS inside", "F1 inside", "OS outside", "RFS outside", "F1 outside")
# The population is one draw of as many times the patients, by a seed that is none of those.
POPULATION_SEED, POPULATION_TIMES = 1_000_003, 80


def true_c_index(patients: Sequence[Patient], task: Literal["os", "rfs"]) -> float:
    """Return the C-index of a true risk among patients of the same site."""
    pairs = PairCounts()
    for site in {patient.site for patient in patients}:
        here = [patient for patient in patients if patient.site == site]
        seen = [getattr(patient.labels, task) for patient in here]
        pairs += concordance_pairs(
            [np.nan if survival is None else survival.months for survival in seen],
            [np.nan if survival is None else survival.event for survival in seen],
            [getattr(patient.risk, f"{task}_log_hazard") for patient in here],
        )
    return np.nan if pairs.c_index is None else pairs.c_index


def true_f1(patients: Sequence[Patient]) -> float:
    """Return the best F1 that thresholds of the true probability of MVI reach."""
    known = [(p.labels.mvi, p.risk.mvi_probability) for p in patients if p.labels.mvi is not None]
    precision, recall, _ = precision_recall_curve(*zip(*known, strict=True))
    return float(np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12)))


def figures(settings: SyntheticCohortSettings) -> Values:
    """Return what the true risks of a draw reach, in the order of `FIGURES`."""
    patients = list(draw_patients(settings))
    inside = [patient for patient in patients if patient.site != EXTERNAL]
    outside = [patient for patient in patients if patient.site == EXTERNAL]
    return np.array(
        [
            figure
            for group in (inside, outside)
            for figure in (true_c_index(group, "os"), true_c_index(group, "rfs"), true_f1(group))
        ]
    )


def default_settings(path: Path = CONFIG) -> SyntheticCohortSettings:
    """Return the settings of the default cohort."""
    config = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    if not isinstance(config, dict):
        raise TypeError(f"{path} holds no mapping")
    return SyntheticCohortSettings.from_config(config["settings"])


def main() -> None:
    """Print the population's figures and those of the seeds closest to it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--shown", type=int, default=5)
    arguments = parser.parse_args()
    settings = default_settings()
    many = {site: count * POPULATION_TIMES for site, count in settings.patients.items()}
    population = figures(replace(settings, seed=POPULATION_SEED, patients=many))
    drawn = np.array(
        [
            figures(replace(settings, seed=seed))
            for seed in track(range(arguments.seeds), "Drawing", console=Console(stderr=True))
        ]
    )
    distance = np.linalg.norm((drawn - population) / drawn.std(axis=0, ddof=1), axis=1)
    table = Table("seed", *FIGURES, "distance")
    table.add_row("population", *(f"{figure:.3f}" for figure in population), "")
    for seed in np.argsort(distance, kind="stable")[: arguments.shown]:
        cells = (f"{figure:.3f}" for figure in drawn[seed])
        table.add_row(str(seed), *cells, f"{distance[seed]:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
