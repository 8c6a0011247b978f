"""The coordinator's set-up: ``python server/provision.py action=...``.

``init`` makes authorities, certificates and the layout; ``start`` runs it in a terminal; ``kit``
writes what a site is handed; ``add``, ``list``, ``revoke`` and ``replace`` keep the superlink's
list of sites; ``renew`` makes new server certificates; ``layout`` rewrites the generated files;
``bundle`` prints the hash of the app. What ``init`` was told is kept in the home.
"""

import getpass
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import MISSING, DictConfig, OmegaConf
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from server.certificates import expiring, hosts_of, make_authority, make_server_certificate
from server.files import ROOT, fingerprint, key_fingerprint, try_proxy, write_kit, write_layout
from server.kept import keep, read_kept
from server.layout import LINK_NAME, LOOPBACK, CoordinatorSettings, Layout, services
from server.registry import (
    SITE_NAME,
    RegistryError,
    open_registry,
    read_public_key,
)
from shared.app_bundle import bundle_hash
from shared.config import ConfigurationError, build
from shared.proxies import keep_loopback_direct
from shared.secret_file import write_secret
from shared.supervisor import stop_on_signals, supervise

Action = Literal[
    "init", "layout", "start", "kit", "add", "list", "revoke", "replace", "renew", "bundle"
]
SECRET_BYTES = 32


class ProvisionError(RuntimeError):
    """What was asked cannot be done; the message says what to do instead."""


@dataclass(frozen=True)
class Request:
    """What the command was asked for.

    Attributes
    ----------
    action : str
    site : str or None
        Whose, for ``kit``, ``add``, ``revoke`` and ``replace``.
    public_key : Path or None
        What the site sent, for ``add`` and ``replace``.
    drop_names : bool
        Whether ``renew`` may make a certificate that holds for fewer names than the one in use.
    """

    action: Action
    site: str | None = None
    public_key: Path | None = None
    drop_names: bool = False

    @property
    def named_site(self) -> str:
        """The site, which must be given."""
        if self.site is None or not SITE_NAME.fullmatch(self.site):
            raise ProvisionError(
                f"action={self.action} needs site=NAME (letters, digits, '_', '-', '.')"
            )
        return self.site

    def read_key(self) -> bytes:
        """Return the public key, which must be given, in PEM."""
        if self.public_key is None or not self.public_key.is_file():
            raise ProvisionError(f"action={self.action} needs public_key=FILE, as the site sent it")
        return read_public_key(self.public_key.read_bytes())


@dataclass(frozen=True)
class Coordinator:
    """Settings, layout and terminal that every action works with."""

    settings: CoordinatorSettings
    layout: Layout
    console: Console

    def tell(self, text: str) -> None:
        """Print a line as it is."""
        self.console.print(text, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def keep(self) -> None:
        """Keep the settings for later actions; say which of them are others than before."""
        changed = keep(self.settings, self.layout)
        if changed:
            self.tell(
                f"kept in {self.layout.settings}: {', '.join(changed)}; it reaches the generated"
                " files by action=layout, the certificates by action=renew, and what runs by a"
                " restart"
            )


def init(coordinator: Coordinator, request: Request) -> None:
    """Make authorities, certificates, secret and layout; never over existing ones."""
    layout = coordinator.layout
    if layout.site_authority.key.exists():
        raise ProvisionError(
            f"{layout.home} holds an authority: new ones would lock every site out; use"
            " action=renew for new server certificates, action=layout for the generated files"
        )
    layout.home.mkdir(parents=True, exist_ok=True)
    layout.home.chmod(0o700)
    make_authority(layout.site_authority, "hepafed site authority")
    make_authority(layout.internal_authority, "hepafed internal authority")
    write_secret(layout.executor_secret, secrets.token_hex(SECRET_BYTES).encode())
    coordinator.keep()
    renew(coordinator, request)
    layout_files(coordinator, request)


def renew(coordinator: Coordinator, request: Request) -> None:
    """Make new server certificates under the authorities that are there."""
    settings, layout = coordinator.settings, coordinator.layout
    if not request.drop_names:
        _require_the_same_names(settings, layout)
    make_server_certificate(
        layout.proxy,
        layout.site_authority,
        names=settings.names,
        addresses=settings.addresses,
        days=settings.certificate_days,
    )
    make_server_certificate(
        layout.link,
        layout.internal_authority,
        names=[LINK_NAME],
        addresses=[LOOPBACK],
        days=settings.certificate_days,
    )
    coordinator.tell(
        f"Certificates for {', '.join(settings.hosts)}, valid"
        f" {settings.certificate_days} days: restart the proxy and the link to use them."
    )
    coordinator.tell(f"Authority for the sites: {fingerprint(layout.site_authority.certificate)}")


def layout_files(coordinator: Coordinator, request: Request) -> None:
    """Write what is generated from the configuration."""
    settings = coordinator.settings
    for path in write_layout(settings, coordinator.layout):
        coordinator.tell(f"wrote {path}")
    coordinator.tell(
        try_proxy(settings, coordinator.layout)
        or f"{settings.nginx}: no such program; install nginx, or say where it is: nginx=PATH"
    )
    if settings.user != getpass.getuser():
        coordinator.tell(
            f"The systemd units run as {settings.user}, and what was written here is"
            f" {getpass.getuser()}'s: give it to that account (chown -R), or run this as it, or set"
            " user=NAME"
        )
    coordinator.tell(
        "Under systemd a run can only write here:"
        f" server/run.py output_dir={settings.outputs_folder}/NAME"
    )


def start(coordinator: Coordinator, request: Request) -> None:
    """Run the link, its executor and the proxy in the foreground until a signal comes."""
    if not coordinator.settings.nginx.is_file():
        raise ProvisionError(f"{coordinator.settings.nginx}: no such program; install nginx")
    coordinator.keep()
    with stop_on_signals() as stop:
        supervise(services(coordinator.settings, coordinator.layout), stop)


def kit(coordinator: Coordinator, request: Request) -> None:
    """Write a site's kit."""
    settings, layout = coordinator.settings, coordinator.layout
    if settings.hosts[0] not in hosts_of(layout.proxy.certificate):
        raise ProvisionError(
            f"the proxy's certificate does not hold for {settings.hosts[0]}: run action=renew first"
        )
    folder = write_kit(settings, layout, request.named_site, bundle_hash(ROOT))
    coordinator.tell(f"wrote {folder}: hand it to {request.named_site}; nothing in it is secret")


def add(coordinator: Coordinator, request: Request) -> None:
    """Register a site's public key."""
    site, key = request.named_site, request.read_key()
    with open_registry(coordinator.settings, coordinator.layout) as registry:
        registry.add(site, key)
    _keep(coordinator.layout, site, key)
    coordinator.tell(f"{site} is registered with key {key_fingerprint(key)}: compare by telephone")


def replace(coordinator: Coordinator, request: Request) -> None:
    """Exchange a site's key: once the new one is known, the old one is refused."""
    site, key = request.named_site, request.read_key()
    with open_registry(coordinator.settings, coordinator.layout) as registry:
        registry.replace(site, key)
    _keep(coordinator.layout, site, key)
    coordinator.tell(f"{site}'s key is now {key_fingerprint(key)}: compare by telephone")


def revoke(coordinator: Coordinator, request: Request) -> None:
    """Take a site off the list."""
    site = request.named_site
    with open_registry(coordinator.settings, coordinator.layout) as registry:
        registry.revoke(site)
    (coordinator.layout.public_keys / f"{site}.pem").unlink(missing_ok=True)
    coordinator.tell(f"{site} is revoked: its node stops within a minute")


def list_sites(coordinator: Coordinator, request: Request) -> None:
    """Print the sites that may join, and which certificates expire."""
    layout = coordinator.layout
    for warning in expiring([layout.proxy.certificate, layout.link.certificate]):
        coordinator.tell(warning)
    with open_registry(coordinator.settings, coordinator.layout) as registry:
        sites = registry.sites()
    table = Table("site", "status", "key", "node")
    for site in sites:
        table.add_row(site.name, site.status, key_fingerprint(site.public_key), str(site.node_id))
    coordinator.console.print(table)


ACTIONS: dict[Action, Callable[[Coordinator, Request], None]] = {
    "init": init,
    "layout": layout_files,
    "start": start,
    "kit": kit,
    "add": add,
    "list": list_sites,
    "revoke": revoke,
    "replace": replace,
    "renew": renew,
}


def _require_init(layout: Layout) -> None:
    if not layout.site_authority.key.exists():
        raise ProvisionError(f"{layout.home} holds no authority: run action=init first")


def _require_the_same_names(settings: CoordinatorSettings, layout: Layout) -> None:
    """Refuse a certificate that would lock out sites which the one in use lets in."""
    if not layout.proxy.certificate.exists():
        return
    lost = sorted(hosts_of(layout.proxy.certificate) - set(settings.hosts))
    if lost:
        raise ProvisionError(
            f"the certificate in use holds for {', '.join(lost)}, the new one would not: sites"
            " that dial it would be locked out. Give every name (names=[...]) and address, or"
            " drop_names=true where no site dials it any more"
        )


def _keep(layout: Layout, site: str, key: bytes) -> None:
    """Keep a copy of what was registered, so that a lost database can be made again."""
    layout.public_keys.mkdir(parents=True, exist_ok=True)
    (layout.public_keys / f"{site}.pem").write_bytes(key)


def _coordinator(
    request: Request, values: dict[str, Any], told: set[str], console: Console
) -> Coordinator:
    """Put together what the configuration says, what the home keeps and what was told now."""
    layout = Layout(Path(str(values["home"])).resolve())
    if request.action != "init":
        _require_init(layout)
    kept = {key: value for key, value in read_kept(layout).items() if key not in told}
    values = {key: value for key, value in {**values, **kept}.items() if value != MISSING}
    return Coordinator(build(CoordinatorSettings, values, where="provision"), layout, console)


CONFIGS = ROOT / "configs"
ASKED = ("action", "site", "public_key", "drop_names")


@hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name="provision")
def main(config: DictConfig) -> None:
    """Compose the configuration and do what was asked."""
    keep_loopback_direct()
    console = Console(width=None if sys.stdout.isatty() else 100)
    told = {word.partition("=")[0] for word in HydraConfig.get().overrides.task}
    try:
        values = cast(dict[str, Any], OmegaConf.to_container(config))
        request = build(Request, {key: values.pop(key) for key in ASKED}, where="provision")
        if request.action == "bundle":
            console.print(bundle_hash(ROOT), highlight=False)
            return
        coordinator = _coordinator(request, values, told, console)
        ACTIONS[request.action](coordinator, request)
        coordinator.keep()
    except PermissionError as error:
        _fail(console, f"{error.filename}: run this as the account that ran action=init")
    except (ConfigurationError, ProvisionError, RegistryError) as error:
        _fail(console, str(error))


def _fail(console: Console, reason: str) -> None:
    console.print(f"[bold red]Cannot do this:[/] {escape(reason)}", highlight=False, soft_wrap=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
