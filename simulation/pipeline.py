"""The steps of a run, in order: cohort, preparation, training, evaluation, files."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from client.cohort import PreparedSite, SiteFolderError, prepare_site, write_set_aside
from client.site import Site
from server.question import FederationFailedError
from shared.config import ConfigurationError
from shared.run_folder import (
    OutputFolderError,
    keep_state_of,
    open_run_folder,
)
from simulation.cohort.folder import FederationFolder, FederationFolderError, find_sites
from simulation.cohort.writer import write_cohort
from simulation.federate import remembering
from simulation.methods import FederationData, groups
from simulation.outputs import write_outputs
from simulation.settings import SimulationSettings
from simulation.training import state_of, train_methods

SITES = "sites"

# What a person can mend: told in one line, without a traceback.
USER_ERRORS = (
    ConfigurationError,
    FederationFailedError,
    FederationFolderError,
    OutputFolderError,
    SiteFolderError,
)


@dataclass(frozen=True)
class Command:
    """How a run was asked for.

    Attributes
    ----------
    overrides : tuple of str
        The words after the command.
    config_yaml : str
        The resolved configuration, kept as ``config.yaml``.
    identity : str
        The part of it that decides the results: the same identity is the same run.
    """

    overrides: tuple[str, ...]
    config_yaml: str
    identity: str


def run(settings: SimulationSettings, command: Command, console: Console) -> Path:
    """Run a simulation to its report and return its folder.

    Parameters
    ----------
    settings : SimulationSettings
    command : Command
    console : Console
        Where progress and the table go.
    """
    folder = open_run_folder(settings.name, settings.output_dir, command.identity)
    (folder.path / "config.yaml").write_text(command.config_yaml, encoding="utf-8")
    federation = locate_cohort(settings)
    prepared = prepare(federation, settings, folder.path)
    data = federation_data(prepared, federation, settings)
    folder = keep_state_of(folder, fingerprint(data))
    if folder.resumed:
        console.print(f"Going on with the unfinished run in {folder.path}", highlight=False)
    methods = groups(settings.strategy, data.sites)
    trained = train_methods(methods, settings, folder.state, console)
    own = state_of(settings.strategy, folder.state)
    data = replace(data, sites=tuple(remembering(data.sites, own)))
    write_outputs(folder.path, settings, federation, data, trained, command.overrides, console)
    folder.finish(keep_state=settings.keep_state)
    return folder.path


def locate_cohort(settings: SimulationSettings) -> FederationFolder:
    """Return the federation's folder, written first if it is synthetic and not there yet."""
    if settings.cohort.root is not None:
        return find_sites(settings.cohort.root)
    if settings.cohort.settings is None:
        raise ValueError("a synthetic cohort needs settings")
    root = write_cohort(settings.cohort.settings, settings.data_dir, workers=settings.workers)
    return find_sites(root)


def prepare(
    federation: FederationFolder, settings: SimulationSettings, run_dir: Path
) -> dict[str, PreparedSite]:
    """Prepare every site and write what it set aside; keys are the sites' names in order."""
    folders = [*federation.training, *([federation.external] if federation.external else [])]
    prepared = {}
    for site in folders:
        result = prepare_site(
            site.path,
            settings.preprocessing,
            settings.cache_dir,
            workers=settings.workers,
            clinical_variables=settings.model.clinical_variables,
        )
        target = run_dir / SITES / site.name
        target.mkdir(parents=True, exist_ok=True)
        write_set_aside(result.set_aside, target / "set_aside.csv")
        prepared[site.name] = result
    return prepared


def federation_data(
    prepared: dict[str, PreparedSite],
    federation: FederationFolder,
    settings: SimulationSettings,
) -> FederationData:
    """Return the institutions that have patients, as their ClientApps will see them."""

    def site(name: str) -> Site:
        return Site(
            name=name,
            cases=prepared[name].cases,
            preprocessing=settings.preprocessing.fingerprint,
            minimum_count=settings.minimum_count,
            threads=settings.runtime.threads,
            device=settings.runtime.device,
            role="external" if external and name == external.name else "training",
            set_aside=prepared[name].set_aside,
            bootstrap_seed=settings.seed,
        )

    external = federation.external
    training = [folder.name for folder in federation.training if prepared[folder.name].cases]
    if not training:
        raise SiteFolderError("no site has a usable patient: see sites/<site>/set_aside.csv")
    return FederationData(
        sites=tuple(site(name) for name in training),
        external=site(external.name) if external and prepared[external.name].cases else None,
        seed=settings.seed,
        training_fraction=settings.training_fraction,
        without_patients=tuple(site(name) for name in prepared if not prepared[name].cases),
    )


def fingerprint(data: FederationData) -> str:
    """Return a digest of whose data trains: a checkpoint belongs to it."""
    digest = hashlib.blake2b(digest_size=16)
    for site in data.sites:
        for case in site.cases:
            digest.update(repr((site.name, case.patient_id, case.roi_path.name)).encode())
            digest.update(repr((case.labels, case.clinical)).encode())
    return digest.hexdigest()
