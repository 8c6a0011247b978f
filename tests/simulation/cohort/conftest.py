from dataclasses import replace
from pathlib import Path

import pytest

from simulation.cohort.settings import SyntheticCohortSettings
from simulation.cohort.writer import write_cohort
from tests.benchmarks import default_cohort


@pytest.fixture(scope="session")
def default_settings() -> SyntheticCohortSettings:
    return default_cohort.default_settings()


@pytest.fixture(scope="session")
def small_settings(default_settings: SyntheticCohortSettings) -> SyntheticCohortSettings:
    patients = {"site_1": 3, "site_3": 1, "site_5": 2, "external": 2}
    return replace(default_settings, patients=patients, coarsening=1.8)


@pytest.fixture(scope="session")
def small_cohort(
    small_settings: SyntheticCohortSettings, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return write_cohort(small_settings, tmp_path_factory.mktemp("data"), workers=2)
