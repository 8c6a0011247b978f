import copy
from typing import Any

import pytest
from omegaconf import OmegaConf

from shared.config import ConfigurationError
from simulation.cohort.settings import SyntheticCohortSettings
from tests.benchmarks.default_cohort import CONFIG


@pytest.fixture
def values() -> dict[str, Any]:
    config = OmegaConf.to_container(OmegaConf.load(CONFIG), resolve=True)
    assert isinstance(config, dict)
    return copy.deepcopy(config["settings"])


def test_the_default_has_the_published_size(values: dict[str, Any]) -> None:
    patients = dict(SyntheticCohortSettings.from_config(values).patients)
    assert patients.pop("external") == 80
    assert sum(patients.values()) == 308
    assert len(set(patients.values())) == len(patients) == 5


def test_an_unknown_key_is_named(values: dict[str, Any]) -> None:
    values["sites"]["site_1"]["scanner"]["noise"] = 3
    with pytest.raises(ConfigurationError, match=r"sites\.site_1\.scanner\.noise"):
        SyntheticCohortSettings.from_config(values)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("patients", "site_1"), 0, "patients.site_1 must be at least 1"),
        (("patients", "site_9"), 4, "sites has no 'site_9'"),
        (("patients", "a/b"), 4, "a site's name is letters"),
        (("patients",), {"external": 3}, "at least one training site"),
        (("seed",), -1, "seed must be at least 0"),
        (("coarsening",), 0.5, "coarsening must lie in"),
        (("sites", "site_1", "scanner", "noise_hu"), -2, "noise_hu must lie in"),
        (("sites", "site_1", "scanner", "kernel"), "blurry", "'soft', 'standard' or 'sharp'"),
        (("sites", "site_1", "scanner", "spacing_mm"), [2.0, 1.0], r"must be \[low, high\]"),
        (("sites", "site_1", "scanner", "slice_thickness_mm"), [], "at least one thickness"),
        (("sites", "site_1", "contrast", "missing"), {"late": 0.1}, "'delayed'"),
        (("sites", "site_1", "contrast", "missing"), {"delayed": 1.5}, "missing.delayed"),
        (("sites", "site_1", "mix", "mvi_known"), 2, "mvi_known must lie in"),
        (("sites", "site_1", "mix", "loss_per_year"), -0.1, "loss_per_year must lie in"),
    ],
)
def test_a_wrong_value_is_refused_with_its_reason(
    values: dict[str, Any], place: tuple[str, ...], value: object, message: str
) -> None:
    node = values
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    with pytest.raises(ConfigurationError, match=message):
        SyntheticCohortSettings.from_config(values)
