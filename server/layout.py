"""Where a coordinator keeps what, and which processes it runs.

Sites reach nginx and nothing else. Behind it, on loopback alone: the superlink with TLS and node
authentication, and the executor that starts the ServerApp, which knows a secret.
"""

import ipaddress
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from server.certificates import KeyPair
from shared.proxies import loopback_direct
from shared.supervisor import Service

LOOPBACK = "127.0.0.1"
LINK_NAME = "localhost"  # nginx compares names, not addresses
CONNECTION = "hepafed"
PROXY = "proxy"
QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
_DNS_NAME = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
)


@dataclass(frozen=True)
class CoordinatorSettings:
    """A coordinator's own configuration (``configs/provision.yaml``).

    Attributes
    ----------
    home : Path
        Certificates, keys, state and generated files; belongs to the coordinator's user alone.
    names, addresses : tuple of str
        DNS names and IP addresses by which the sites reach the proxy.
    port : int
        The proxy's, the only one that the sites see.
    link_port : int
        The superlink's, on loopback.
    certificate_days : int
        Validity of the server certificates.
    nginx : Path
        The program.
    user : str
        Whom the systemd units run as.
    outputs : Path or None
        Where runs may write under systemd; None: a folder of the home.
    """

    home: Path
    names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    port: int = 8443
    link_port: int = 8000
    certificate_days: int = 825
    nginx: Path = Path("/usr/sbin/nginx")
    user: str = "hepafed"
    outputs: Path | None = None

    def __post_init__(self) -> None:
        if not self.names and not self.addresses:
            raise ValueError(
                "give names or addresses by which the sites reach this machine, such as"
                " 'names=[fl.example.org]'; they are kept for later actions"
            )
        for name in self.names:
            if not _DNS_NAME.fullmatch(name):
                raise ValueError(f"names: {name!r} is not a DNS name in lower case")
        for address in self.addresses:
            ipaddress.ip_address(address)
        if not 1 <= self.port <= 65535 or not 1 <= self.link_port <= 65535:
            raise ValueError("port and link_port must lie in [1, 65535]")
        if self.port == self.link_port:
            raise ValueError("port and link_port must differ")
        if self.certificate_days < 1:
            raise ValueError("certificate_days must be at least 1")

    @property
    def hosts(self) -> list[str]:
        """Names and addresses, as a certificate tells them."""
        return [*self.names, *(str(ipaddress.ip_address(each)) for each in self.addresses)]

    @property
    def outputs_folder(self) -> Path:
        """Where runs may write under systemd."""
        return (self.outputs or self.home / "outputs").resolve()

    @property
    def public_address(self) -> str:
        """What a site dials, as host:port."""
        host = self.hosts[0]
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def link_address(self) -> str:
        """The superlink's own address, as host:port; the internal authority vouches for it."""
        return f"{LOOPBACK}:{self.link_port}"


@dataclass(frozen=True)
class Layout:
    """The files below a coordinator's home.

    Attributes
    ----------
    home : Path
        Absolute.
    """

    home: Path

    @property
    def settings(self) -> Path:
        """What the coordinator was set up with."""
        return self.home / "settings.yaml"

    @property
    def site_authority(self) -> KeyPair:
        """Vouches for the proxy; its certificate goes to every site."""
        return self._pair("site-authority")

    @property
    def internal_authority(self) -> KeyPair:
        """Vouches for the superlink; never leaves the coordinator."""
        return self._pair("internal-authority")

    @property
    def proxy(self) -> KeyPair:
        """The proxy's certificate."""
        return self._pair("proxy")

    @property
    def link(self) -> KeyPair:
        """The superlink's certificate."""
        return self._pair("link")

    @property
    def executor_secret(self) -> Path:
        """What the executor shows to the superlink."""
        return self.home / "private" / "executor-secret"

    @property
    def database(self) -> Path:
        """The superlink's state: runs, nodes, messages."""
        return self.home / "state" / "link.db"

    @property
    def flwr_home(self) -> Path:
        """``FLWR_HOME`` of every command that speaks to the superlink."""
        return self.home / "flwr"

    @property
    def nginx_config(self) -> Path:
        """The proxy's configuration, whole."""
        return self.home / "nginx" / "nginx.conf"

    @property
    def units(self) -> Path:
        """The units of systemd."""
        return self.home / "systemd"

    @property
    def script(self) -> Path:
        """Starts all of the coordinator's processes in a terminal."""
        return self.home / "coordinator.sh"

    @property
    def public_keys(self) -> Path:
        """Registered sites' public keys."""
        return self.home / "sites"

    @property
    def kits(self) -> Path:
        """What is handed to the sites."""
        return self.home / "kits"

    def _pair(self, name: str) -> KeyPair:
        return KeyPair(
            self.home / "certificates" / f"{name}.pem", self.home / "private" / f"{name}.key"
        )


def services(settings: CoordinatorSettings, layout: Layout) -> tuple[Service, ...]:
    """Return the coordinator's processes, in the order in which they start."""
    programs = Path(sys.executable).parent
    environment = {**QUIET, **loopback_direct(os.environ), "FLWR_HOME": str(layout.flwr_home)}
    state = layout.database.parent
    link = (
        *(str(programs / "flower-superlink"), "--host", LOOPBACK),
        *("--port", str(settings.link_port)),
        *("--ssl-certfile", str(layout.link.certificate), "--ssl-keyfile", str(layout.link.key)),
        *("--ssl-ca-certfile", str(layout.internal_authority.certificate)),
        *("--isolation", "process", "--database", str(layout.database)),
        *("--enable-supernode-auth", "--disable-runtime-dependency-installation"),
        *("--superexec-auth-secret-file", str(layout.executor_secret)),
    )
    executor = (
        *(str(programs / "flower-superexec"), "--runtime-api-address", settings.link_address),
        *("--root-certificates", str(layout.internal_authority.certificate)),
        *("--superexec-auth-secret-file", str(layout.executor_secret)),
    )
    proxy = (
        *(str(settings.nginx), "-c", str(layout.nginx_config)),
        *("-e", "stderr", "-g", "daemon off;"),
    )
    return (
        Service("link", link, state, environment),
        Service("executor", executor, state, _with_programs(environment, programs)),
        Service(PROXY, proxy, layout.nginx_config.parent),
    )


def _with_programs(environment: dict[str, str], programs: Path) -> dict[str, str]:
    """Let the executor find ``flwr-serverapp``, and the ServerApp nothing of a login's PATH."""
    return {**environment, "PATH": f"{programs}:/usr/bin:/bin"}
