"""The site's own file: where its patients are, and what it allows; read by no one else."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flwr.app import Context
from omegaconf import OmegaConf

from client.cohort import prepare_site
from client.evidence.secret import SEED_FILE, own_seed
from client.site import Site
from shared.config import ConfigurationError, build
from shared.preprocessing import PreprocessingSettings

NODE_CONFIG_KEY = "site-file"


@dataclass(frozen=True)
class SiteFile:
    """What an institution writes down once; ``configs/site.yaml`` is an example.

    Attributes
    ----------
    name : str
    folder : Path
        The site's folder of the data contract.
    cache_dir : Path
        Where prepared regions of interest are kept.
    preprocessing : PreprocessingSettings
        As the study prescribes: the plan is refused where it differs.
    minimum_count : int
        A statistic that rests on fewer labelled patients is not shared.
    threads, workers : int
        CPU threads of training, processes of preparation.
    device : str
        Where the network runs, as torch names it.
    """

    name: str
    folder: Path
    cache_dir: Path
    preprocessing: PreprocessingSettings = field(default_factory=PreprocessingSettings)
    minimum_count: int = 5
    threads: int = 1
    workers: int = 2
    device: str = "cpu"


def read_site_file(path: Path) -> SiteFile:
    """Read and check a site's file.

    Raises
    ------
    ConfigurationError
        The file is absent, or a value in it is wrong.
    """
    if not path.is_file():
        raise ConfigurationError(f"{path}: no such file; copy configs/site.yaml and fill it in")
    values: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    return build(SiteFile, values, where=str(path))


def site_from_node_config(context: Context) -> Site:
    """Return the site whose file the node was started with (``--node-config``)."""
    path = context.node_config.get(NODE_CONFIG_KEY)
    if path is None:
        raise ConfigurationError(f"start the node with --node-config '{NODE_CONFIG_KEY}=\"FILE\"'")
    site_file = read_site_file(Path(str(path)))
    prepared = prepare_site(
        site_file.folder,
        site_file.preprocessing,
        site_file.cache_dir,
        workers=site_file.workers,
        progress=False,
    )
    return Site(
        name=site_file.name,
        cases=prepared.cases,
        preprocessing=site_file.preprocessing.fingerprint,
        minimum_count=site_file.minimum_count,
        threads=site_file.threads,
        device=site_file.device,
        set_aside=prepared.set_aside,
        bootstrap_seed=own_seed(site_file.cache_dir / SEED_FILE),
    )
