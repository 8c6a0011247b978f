"""The site's own file: where its patients are, and what it allows; read by no one else."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flwr.app import Context
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from yaml import YAMLError

from client.cohort import PreparedSite, prepare_site
from client.evidence.secret import SEED_FILE, own_seed
from client.policy import Policy
from client.site import Site
from shared.config import ConfigurationError, build
from shared.model import check_clinical_variables
from shared.preprocessing import PreprocessingSettings

NODE_CONFIG_KEY = "site-file"


@dataclass(frozen=True)
class LinkSettings:
    """How a site reaches the coordinator.

    Attributes
    ----------
    address : str
        The proxy, as host:port.
    authority : Path
        Certificate of the authority to trust, PEM; no other is.
    key : Path
        The site's private key, OpenSSH; made by ``action=key``, never sent.
    runtime_port : int
        A free port on loopback, where the node speaks to its own executor.
    patience_s : float
        How long a refusal is borne before the site gives up: a node that was cut off counts as
        joined for up to a minute.
    """

    address: str
    authority: Path
    key: Path
    runtime_port: int = 9094
    patience_s: float = 180.0

    def __post_init__(self) -> None:
        host, _, port = self.address.rpartition(":")
        if not host or not port.isdigit() or not 1 <= int(port) <= 65535:
            raise ValueError(f"address must be host:port, got {self.address!r}")
        if not 1 <= self.runtime_port <= 65535:
            raise ValueError(f"runtime_port must lie in [1, 65535], got {self.runtime_port}")

    @property
    def host(self) -> str:
        """The proxy's name or address, without brackets."""
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The proxy's port."""
        return int(self.address.rpartition(":")[2])


@dataclass(frozen=True)
class SiteFile:
    """What an institution writes down once; ``configs/site.yaml`` is an example.

    Paths that are not absolute start at the file's own folder.

    Attributes
    ----------
    name : str
    folder : Path
        The site's folder of the data contract.
    cache_dir : Path
        Where prepared regions of interest are kept.
    state_dir : Path
        The log of what was asked and left, the launcher, the executor's secret, and what an
        algorithm has the site remember between rounds.
    preprocessing : PreprocessingSettings
        As the study prescribes: the plan is refused where it differs.
    minimum_count : int
        A statistic that rests on fewer labelled patients is not shared.
    clinical_variables : tuple of str
        Further columns of ``clinical.csv`` that a study may use as inputs; no other is read. One
        that a study asks for and that is not here counts as unknown.
    threads, workers : int
        CPU threads of training, processes of preparation.
    device : str
        Where the network runs, as torch names it.
    link : LinkSettings or None
        None: this site cannot join a federation.
    policy : Policy
        What a coordinator may ask; by default no bundle may run.
    """

    name: str
    folder: Path
    cache_dir: Path
    state_dir: Path = Path("state")
    preprocessing: PreprocessingSettings = field(default_factory=PreprocessingSettings)
    minimum_count: int = 5
    clinical_variables: tuple[str, ...] = ()
    threads: int = 1
    workers: int = 2
    device: str = "cpu"
    link: LinkSettings | None = None
    policy: Policy = field(default_factory=Policy)

    def __post_init__(self) -> None:
        check_clinical_variables(self.clinical_variables)
        if self.workers < 1 or self.threads < 1:
            raise ValueError(
                f"workers and threads must be at least 1, got {self.workers} and {self.threads}"
            )

    @property
    def audit_log(self) -> Path:
        """Where every message answered or refused is written down."""
        return self.state_dir / "messages.jsonl"

    @property
    def joined_lock(self) -> Path:
        """Held while the site is joined."""
        return self.state_dir / "joined.lock"


def read_site_file(path: Path) -> SiteFile:
    """Read and check a site's file.

    Raises
    ------
    ConfigurationError
        The file is absent, or a value in it is wrong.
    """
    if not path.is_file():
        raise ConfigurationError(f"{path}: no such file; copy configs/site.yaml and fill it in")
    try:
        values: Any = OmegaConf.to_container(
            OmegaConf.load(path), resolve=True, throw_on_missing=True
        )
    except MissingMandatoryValue as error:
        raise ConfigurationError(f"{path}: {error}: fill it in") from error
    except (OmegaConfBaseException, YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigurationError(f"{path}: not YAML like configs/site.yaml: {error}") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path}: a list; copy configs/site.yaml and fill it in")
    return _at(path.resolve().parent, build(SiteFile, values, where=str(path)))


def _at(folder: Path, site: SiteFile) -> SiteFile:
    link = site.link and replace(
        site.link, authority=folder / site.link.authority, key=folder / site.link.key
    )
    return replace(
        site,
        folder=folder / site.folder,
        cache_dir=folder / site.cache_dir,
        state_dir=folder / site.state_dir,
        link=link,
    )


def prepare_own(site: SiteFile, *, progress: bool = True) -> PreparedSite:
    """Prepare the site's patients as its file says; raises what `prepare_site` raises."""
    return prepare_site(
        site.folder,
        site.preprocessing,
        site.cache_dir,
        workers=site.workers,
        progress=progress,
        clinical_variables=site.clinical_variables,
    )


def site_from_node_config(context: Context) -> Site:
    """Return the site whose file the node was started with (``--node-config``)."""
    path = context.node_config.get(NODE_CONFIG_KEY)
    if path is None:
        raise ConfigurationError(f"start the node with --node-config '{NODE_CONFIG_KEY}=\"FILE\"'")
    site_file = read_site_file(Path(str(path)))
    prepared = prepare_own(site_file, progress=False)
    return Site(
        name=site_file.name,
        cases=prepared.cases,
        preprocessing=site_file.preprocessing.fingerprint,
        minimum_count=site_file.minimum_count,
        threads=site_file.threads,
        device=site_file.device,
        set_aside=prepared.set_aside,
        bootstrap_seed=own_seed(site_file.cache_dir / SEED_FILE),
        role=site_file.policy.role,
        policy=site_file.policy,
        state_dir=site_file.state_dir,
    )
