"""A cohort of eight small patients a site, in the contract's layout, with a truth."""

import csv
from pathlib import Path

import numpy as np

from simulation.cohort.folder import TRUTH_COLUMNS
from tests.client.patients import write_clinical, write_patient

SITES = ("external", "site_1", "site_2", "site_3")


def write_cohort(root: Path, seed: int) -> Path:
    """Write all sites: the lower a patient's RFS, the higher its true risk."""
    generator = np.random.default_rng(seed)
    truth = []
    for name in SITES:
        rows = {}
        for k, rfs in enumerate(generator.uniform(2, 30, 8)):
            rows[f"{name}{k}"] = f"{k % 2},{rfs:.1f},1,{rfs + 20:.1f},1"
            truth.append((f"{name}{k}", name, -rfs, -rfs, 0.25 + k % 2 / 2))
        write_clinical(root / name, rows)
        for number, patient in enumerate(rows):
            write_patient(root / name / patient, seed=number + 100 * seed)
    with (root / "truth.csv").open("w", newline="") as file:
        csv.writer(file).writerows([TRUTH_COLUMNS, *truth])
    return root
