"""What a site that lacks phases, and one that lacks MVI, cost the federation.

A cohort's folder is made anew by links, as those sites would have it: without a third of the
phases at the largest site, and without a word on MVI at the second largest. The federation is
trained on it like any other and judged by patients' rows; `tests.benchmarks.accuracy` sets that
beside the run on the whole cohort.
"""

import csv
import os
import shutil
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import numpy as np

from shared.seeds import derive_seed
from shared.tasks import PHASES
from simulation.cohort.folder import CLINICAL_CSV, TRUTH_CSV, find_sites
from simulation.evaluation import as_sites_predict
from simulation.methods import FederationData
from simulation.pipeline import federation_data, locate_cohort, prepare
from simulation.row_evidence import by_rows
from simulation.settings import CohortSettings
from tests.benchmarks.goals import JUDGED, METRICS
from tests.benchmarks.internal import InternalRun, internal_run, keep, state_of, trained

MISSING = 1 / 3
PHASES_LACK_AT, MVI_LACKS_AT = "site_1", "site_2"


def lacking_run(folder: Path, cohort: int, seed: int, words: list[str]) -> InternalRun:
    """Return the run, judged or to be judged, of a cohort in which two sites lack much."""
    name = f"lacking_{PHASES_LACK_AT}_{MVI_LACKS_AT}"
    return internal_run(folder, name, cohort, seed, words, "federated")


def train_lacking(run: InternalRun) -> None:
    """Make the cohort's folder, train, judge inside and outside, and write the figures."""
    whole = locate_cohort(run.settings)
    root = next(iter(whole.training)).path.parent
    lacking = state_of(run) / "cohort"
    shutil.rmtree(lacking, ignore_errors=True)
    lacking_cohort(root, lacking, PHASES_LACK_AT, MVI_LACKS_AT, run.settings.seed)
    settings = replace(run.settings, cohort=CohortSettings("folder", lacking))
    run = replace(run, settings=settings)
    federation = find_sites(lacking)
    prepared = prepare(federation, settings, state_of(run))
    keep(run, figures(run, federation_data(prepared, federation, settings)))


def figures(run: InternalRun, data: FederationData) -> dict[str, dict[str, float | None]]:
    """Train, and return cohort -> metric -> value from patients' rows."""
    checkpoint, own = trained(run, data)
    predictions = {
        cohort: as_sites_predict(patients, checkpoint, own, run.settings.plan)
        for cohort, patients in data.cohorts().items()
        if cohort in JUDGED
    }
    # The interval that counts is the one over seeds: a single resample is drawn for form's sake.
    found = by_rows(predictions, resamples=1, seed=0)
    return {
        cohort: {metric: values[metric].value for metric in METRICS}
        for cohort, values in found.items()
    }


def lacking_cohort(root: Path, target: Path, phases_at: str, mvi_at: str, seed: int) -> None:
    """Make a federation's folder in which two sites lack much; all else are links to `root`.

    Parameters
    ----------
    root : Path
        A federation's folder of the data contract.
    target : Path
        Made here; must not be there.
    phases_at, mvi_at : str
        The site without a third of its phases, and the one without MVI.
    seed : int
        Which phases are left out.

    Raises
    ------
    ValueError
        A site is not there, or the same is named twice.
    """
    root = root.resolve()
    federation = find_sites(root)
    names = [site.name for site in federation.training]
    if phases_at == mvi_at or not {phases_at, mvi_at} <= set(names):
        raise ValueError(f"{phases_at} and {mvi_at} must be two of {names}")
    target.mkdir(parents=True)
    for site in [*federation.training, *([federation.external] if federation.external else [])]:
        own = target / site.name
        if site.name == phases_at:
            _link_tree(site.path, own, _left_out(site.path, seed))
        elif site.name == mvi_at:
            _link_tree(site.path, own, {site.path / CLINICAL_CSV})
            _copy_without_mvi(site.path / CLINICAL_CSV, own / CLINICAL_CSV)
        else:
            own.symlink_to(site.path)
    if federation.truth_csv is not None:
        (target / TRUTH_CSV).symlink_to(federation.truth_csv)


def _left_out(site: Path, seed: int) -> set[Path]:
    """Draw a third of a site's phases; every patient keeps one, or would not be in the study."""
    phases = {
        folder: sorted(path for path in folder.iterdir() if path.name.split(".")[0] in PHASES)
        for folder in sorted(site.iterdir())
        if folder.is_dir()
    }
    everything = [path for paths in phases.values() for path in paths]
    left = {folder: len(paths) for folder, paths in phases.items()}
    generator = np.random.default_rng(derive_seed(seed, "left out", site.name))
    chosen: set[Path] = set()
    for index in generator.permutation(len(everything)):
        path = everything[index]
        if len(chosen) < round(MISSING * len(everything)) and left[path.parent] > 1:
            chosen.add(path)
            left[path.parent] -= 1
    return chosen


def _link_tree(source: Path, target: Path, without: Collection[Path]) -> None:
    """Copy folders and link files, but for some."""

    def ignored(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if Path(folder, name) in without]

    link: Callable[[str, str], None] = os.symlink
    shutil.copytree(source, target, ignore=ignored, copy_function=link)


def _copy_without_mvi(source: Path, target: Path) -> None:
    with source.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        rows, columns = list(reader), list(reader.fieldnames or ())
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({**row, "mvi": ""} for row in rows)
