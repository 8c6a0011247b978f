"""Every configuration file composes and becomes the frozen settings that it stands for."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from client.command import read_words
from client.run import Request as SiteRequest
from client.site_file import read_site_file
from server.layout import CoordinatorSettings
from server.provision import ASKED
from server.provision import Request as ProvisionRequest
from shared.config import ConfigurationError, build
from simulation.settings import CohortSettings, SimulationSettings, settings_from

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
GROUPS = sorted(
    f"{path.parent.name}={path.stem}"
    for path in CONFIGS.glob("*/*.yaml")
    if path.parent.name not in ("experiment", "tables")
)
EXPERIMENTS = sorted(f"+experiment={path.stem}" for path in CONFIGS.glob("experiment/*.yaml"))


def settings(*overrides: str) -> SimulationSettings:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("simulation", list(overrides))
    values = OmegaConf.to_container(config, resolve=True)
    assert isinstance(values, dict)
    return settings_from({str(key): value for key, value in values.items()})


@pytest.mark.parametrize("choice", [*GROUPS, *EXPERIMENTS])
def test_every_file_becomes_settings(choice: str) -> None:
    extra = ["cohort.root=somewhere"] if choice == "cohort=folder" else []
    assert settings(choice, *extra).plan.rounds >= 1


def test_the_published_size_is_the_default() -> None:
    cohort = settings().cohort.settings
    assert cohort is not None
    patients = dict(cohort.patients)
    assert patients.pop("external") == 80
    assert sum(patients.values()) == 308
    assert len(patients) == 5


def test_the_smoke_run_is_small_and_takes_a_folder_too() -> None:
    smoke = settings("+experiment=smoke")
    assert smoke.cohort.settings is not None
    assert sum(dict(smoke.cohort.settings.patients).values()) == 55
    own = settings("+experiment=smoke", "cohort=folder", "cohort.root=somewhere")
    assert own.cohort == CohortSettings("folder", Path("somewhere"))
    assert own.plan == smoke.plan


def test_sites_are_not_drawn_where_they_have_no_names() -> None:
    assert settings("sites_per_round=3").sites_per_round == 3
    with pytest.raises(ConfigurationError, match="Ray's nodes have no names"):
        settings("sites_per_round=3", "runtime=ray")


def test_what_differs_from_plain_averaging_is_the_methods_name() -> None:
    assert settings().strategy == "fedavg"
    assert settings("algorithm=scaffold").strategy == "scaffold"
    assert settings("algorithm=fedper").strategy == "fedper"
    assert settings("algorithm=fedbn").strategy == "fedbn"
    assert settings("algorithm=fedprox").strategy == "fedprox"
    assert settings("algorithm=fedprox", "server_optimiser=fedadam").strategy == "fedprox-fedadam"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("rounds=0", "rounds"),
        ("+roundz=3", "configuration.roundz"),
        ("rounds=few", "configuration.rounds"),
        ("preprocessing.spacing_mm=-1", "spacing_mm must be finite and > 0"),
        ("optimisation.batch_size=0", "batch_size"),
        ("optimisation.optimiser=lbfgs", "optimiser"),
        ("algorithm.proximal_mu=-1", "proximal_mu"),
        ("algorithm.control_variates=true", "choose optimisation=sgd"),
        ("algorithm.personal=trunk", "personal"),
        ("+algorithm.mu=1", "configuration.algorithm.mu"),
        ("sites_per_round=1", "at least minimum_sites, which is 2"),
        ("server_optimiser.name=fedmagic", "fedmagic"),
        ("+server_optimiser.momentum=0.9", "configuration.server_optimiser.momentum"),
        ("time_grid_months=[12,6]", "strictly increasing"),
        ("loss.survival=ranking", "survival"),
        ("cohort.settings.patients.site_1=-4", "patients"),
    ],
)
def test_a_wrong_value_names_its_key(override: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        settings(override)


def test_the_example_of_a_site_is_read() -> None:
    assert read_site_file(CONFIGS / "site.yaml").name == "site_1"
    with pytest.raises(ConfigurationError, match="no such file"):
        read_site_file(CONFIGS / "absent.yaml")


def test_the_commands_of_both_sides_read_their_configuration() -> None:
    provision = composed("provision", "action=init", "names=[fl.example.org]")
    asked = {key: provision.pop(key) for key in ASKED}
    assert build(ProvisionRequest, asked, where="provision").action == "init"
    assert build(CoordinatorSettings, provision, where="provision").names == ("fl.example.org",)
    client = read_words(["site=site.yaml"], "client", "usage")
    assert build(SiteRequest, client, where="client").action == "join"


def composed(name: str, *overrides: str) -> dict[str, object]:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        values = OmegaConf.to_container(compose(name, list(overrides)))
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


@pytest.mark.parametrize("name", ["simulation", "server", "provision"])
def test_no_command_leaves_a_log_file_where_it_is_called(name: str) -> None:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        hydra = compose(name, return_hydra_config=True).hydra
    assert set(hydra.job_logging.handlers) == {"console"}
