"""The files generated for a coordinator: nginx, systemd units, a script, the kits of the sites."""

import json
import shlex
import socket
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from server.layout import (
    CONNECTION,
    LINK_NAME,
    LOOPBACK,
    PROXY,
    CoordinatorSettings,
    Layout,
    services,
)
from shared.systemd import UnitSettings, service_unit, target_unit

ROOT = Path(__file__).resolve().parents[1]
TARGET = "hepafed.target"
# Ports below this one take a capability that the unit's account does not have of itself.
PRIVILEGED = 1024
BIND = "CAP_NET_BIND_SERVICE"


def write_layout(settings: CoordinatorSettings, layout: Layout) -> list[Path]:
    """Write everything that is generated from the configuration; return the files."""
    for folder in (layout.database.parent, layout.nginx_config.parent / "tmp", layout.public_keys):
        folder.mkdir(parents=True, exist_ok=True)
    settings.outputs_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files = [
        _write(layout.nginx_config, nginx_config(settings, layout)),
        _write(layout.flwr_home / "config.toml", connection(settings, layout)),
        _write(layout.script, _script(layout), mode=0o700),
    ]
    units = systemd_units(settings, layout)
    return files + [_write(layout.units / name, text) for name, text in units.items()]


def nginx_config(settings: CoordinatorSettings, layout: Layout) -> str:
    """Return the proxy's configuration."""
    return _render(
        "nginx.conf.j2",
        settings=settings,
        layout=layout,
        listen=_listen(settings),
        nginx_dir=layout.nginx_config.parent,
        loopback=LOOPBACK,
        link_name=LINK_NAME,
    )


def _listen(settings: CoordinatorSettings) -> list[str]:
    """Return what the proxy listens on: every address; nginx starts with none that is not here."""
    every = [str(settings.port)]
    return [*every, f"[::]:{settings.port}"] if speaks_ipv6() else every


def speaks_ipv6() -> bool:
    """Return whether this machine takes IPv6."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as tried:
            tried.bind(("::", 0))
    except OSError:
        return False
    return True


def try_proxy(settings: CoordinatorSettings, layout: Layout) -> str:
    """Return what nginx says to its configuration, in a line; empty where there is no nginx."""
    if not settings.nginx.is_file():
        return ""
    command = [str(settings.nginx), "-t", "-c", str(layout.nginx_config), "-e", "stderr"]
    done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603
    if done.returncode == 0:
        return "nginx takes the configuration"
    wrong = [line for line in done.stderr.splitlines() if "[emerg]" in line]
    said = "; ".join(line.partition("[emerg] ")[2] for line in wrong) or done.stderr.strip()
    if settings.port < PRIVILEGED and "Permission denied" in said and "bind()" in said:
        return f"nginx takes the configuration; port {settings.port} is for its systemd unit alone"
    return f"nginx REFUSES the configuration: {said}"


def systemd_units(settings: CoordinatorSettings, layout: Layout) -> dict[str, str]:
    """Return the units of all services and of the target that holds them, by file name."""
    units: dict[str, str] = {}
    for service in services(settings, layout):
        is_proxy = service.name == PROXY
        unit = UnitSettings(
            description=f"hepafed coordinator: {service.name}",
            user=settings.user,
            # The executor's child is the ServerApp, which keeps its run's state there.
            writable=(layout.home, settings.outputs_folder),
            after=tuple(units),
            part_of=TARGET,
            capabilities=(BIND,) if is_proxy and settings.port < PRIVILEGED else (),
        )
        units[f"hepafed-{service.name}.service"] = service_unit(service, unit)
    return {**units, TARGET: target_unit("hepafed coordinator", list(units))}


def connection(settings: CoordinatorSettings, layout: Layout) -> str:
    """Return Flower's own configuration: how ``flwr run`` reaches the superlink."""
    return (
        f'[superlink]\ndefault = "{CONNECTION}"\n\n[superlink.{CONNECTION}]\n'
        f'address = "{settings.link_address}"\n'
        # What JSON quotes, TOML reads.
        f"root-certificates = {json.dumps(str(layout.internal_authority.certificate))}\n"
    )


def write_kit(settings: CoordinatorSettings, layout: Layout, site: str, bundle: str) -> Path:
    """Write what a site is handed, nothing of it secret; return the folder.

    Parameters
    ----------
    settings : CoordinatorSettings
    layout : Layout
    site : str
    bundle : str
        SHA-256 of the app that the coordinator means to run.
    """
    kit = layout.kits / site
    authority = layout.site_authority.certificate
    values = {
        "site": site,
        "address": settings.public_address,
        "bundle": bundle,
        "fingerprint": fingerprint(authority),
    }
    _write(kit / "site.yaml", _render("site.yaml.j2", **values))
    _write(kit / "INSTRUCTIONS.txt", _render("INSTRUCTIONS.txt.j2", **values))
    _write(kit / "ca.pem", authority.read_text(encoding="ascii"))
    return kit


def fingerprint(certificate: Path) -> str:
    """Return a certificate's SHA-256 fingerprint, as people read it out."""
    digest = x509.load_pem_x509_certificate(certificate.read_bytes()).fingerprint(hashes.SHA256())
    return digest.hex(":").upper()


def key_fingerprint(public_key: bytes) -> str:
    """Return the SHA-256 of a public key in PEM, shortened for a table."""
    return sha256(public_key).hexdigest()[:16]


def _script(layout: Layout) -> str:
    command = (sys.executable, str(ROOT / "server/provision.py"), "action=start", "home=.")
    return (
        "#!/bin/sh\n"
        "# All of the coordinator's processes in this terminal, for trials; Ctrl-C ends them.\n"
        f"cd {shlex.quote(str(layout.home))} && exec {shlex.join(command)}\n"
    )


def _render(template: str, **values: Any) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - plain text, not a page
    )
    environment.filters["quoted"] = _quoted
    return environment.get_template(template).render(**values)


def _quoted(path: Path) -> str:
    """Return a path as a word of nginx's configuration."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _write(path: Path, content: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    path.chmod(mode)
    return path
