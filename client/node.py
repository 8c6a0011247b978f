"""A site as a SuperNode: its processes, and how it gets in again after a cut."""

import logging
import os
import secrets
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout
from flwr.supercore.constant import TASK_TYPE_TO_COMMAND, TaskType

from client.launcher import SERVE
from client.link import Admission, ask_admission, why_unreachable
from client.site_file import NODE_CONFIG_KEY, LinkSettings, SiteFile
from shared.config import ConfigurationError
from shared.proxies import loopback_direct
from shared.secret_file import write_secret
from shared.supervisor import Service, StopRequest, stop_on_signals, supervise
from shared.systemd import UnitSettings, service_unit

logger = logging.getLogger("hepafed.site")

ROOT = Path(__file__).resolve().parents[1]
LOOPBACK = "127.0.0.1"
NODE = "node"
EXECUTOR = "executor"
QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
ASK_AGAIN_S = 2.0
SECRET_BYTES = 32


class NotAdmittedError(RuntimeError):
    """The coordinator does not let this site in; the message says what to do."""


def join(site: SiteFile, path: Path) -> None:
    """Be a SuperNode until a signal comes.

    Parameters
    ----------
    site : SiteFile
    path : Path
        Its file, which the ClientApp reads again with every message.

    Raises
    ------
    ConfigurationError
        The file says nothing of a link, or no bundle may run.
    NotAdmittedError
        The key was refused for longer than the site's patience, or the site is joined already.
    """
    link = link_of(site)
    if not site.policy.bundles:
        raise ConfigurationError(
            f"{path}: policy.bundles is empty, so nothing may run here: compare the line that"
            " action=bundle prints with the coordinator's, and write it there"
        )
    site.state_dir.mkdir(parents=True, exist_ok=True)
    try:
        with (
            FileLock(site.joined_lock, timeout=0),
            # A Unix socket's address may be no longer than 107 bytes: a short folder of its own.
            tempfile.TemporaryDirectory(prefix="hepafed-") as private,
            stop_on_signals() as stop,
        ):
            running = services(site, path, Path(private) / "launcher")

            def before_start(service: Service) -> None:
                if service.name == NODE:
                    await_admission(link, stop)

            supervise(running, stop, before_start=before_start)
    except Timeout as error:
        raise NotAdmittedError(
            f"another process has joined with {path}: end that one first"
        ) from error


def link_of(site: SiteFile) -> LinkSettings:
    """Return how a site reaches the coordinator, which its file must say."""
    if site.link is None:
        raise ConfigurationError(f"{site.name}: the site's file has no link; see configs/site.yaml")
    return site.link


def await_admission(
    link: LinkSettings,
    stop: StopRequest,
    ask: Callable[[LinkSettings], Admission] = ask_admission,
    explain: Callable[[LinkSettings], str] = why_unreachable,
) -> None:
    """Wait until the link would take this site.

    A link that cannot be reached is waited for without an end, and why it cannot be is told; so is
    a place that a node still holds which was cut off, for it is given back within two heartbeats
    (a minute). A key that is not known is borne for the site's patience.

    Raises
    ------
    NotAdmittedError
    """
    last, told, since = None, "", time.monotonic()
    while stop.signal is None:
        answer = ask(link)
        if answer is Admission.FREE:
            return
        if answer is not last:
            last, since = answer, time.monotonic()
        found = answer.value
        if answer is Admission.UNREACHABLE:
            found = f"{found} ({explain(link)})"
        if found != told:
            logger.warning("%s: %s; asked again until that changes", link.address, found)
            told = found
        if answer is Admission.UNKNOWN_KEY and time.monotonic() - since > link.patience_s:
            raise NotAdmittedError(
                f"{link.address} has refused this site's key for {link.patience_s:.0f} s: send"
                f" {link.key.name}.pub to the coordinator to be registered, and compare the clocks"
                " (action=check)"
            )
        stop.wait(ASK_AGAIN_S)


def services(site: SiteFile, path: Path, socket: Path) -> tuple[Service, ...]:
    """Return the site's processes: SuperNode, executor, and the launcher of the ClientApp.

    Writes what they need first: the secret that the two share, and the programs that the
    executor finds.

    Parameters
    ----------
    site : SiteFile
    path : Path
        Its file.
    socket : Path
        Where the launcher listens.
    """
    link = link_of(site)
    programs = Path(sys.executable).parent
    secret = site.state_dir / "executor-secret"
    write_secret(secret, secrets.token_hex(SECRET_BYTES).encode())
    launchers = write_launchers(site.state_dir / "launchers", path, socket)
    environment = {
        **QUIET,
        **loopback_direct(os.environ),
        "FLWR_HOME": str(site.state_dir / "flwr"),
        "PYTHONPATH": str(ROOT),
    }
    node = (
        *(str(programs / "flower-supernode"), "--superlink", link.address),
        *("--root-certificates", str(link.authority)),
        *("--auth-supernode-private-key", str(link.key)),
        *("--isolation", "process", "--superexec-auth-secret-file", str(secret)),
        *("--host", LOOPBACK, "--port", str(link.runtime_port)),
        *("--node-config", f'{NODE_CONFIG_KEY}="{path.resolve()}"'),
    )
    executor = (
        *(str(programs / "flower-superexec"), "--insecure"),
        *("--runtime-api-address", f"{LOOPBACK}:{link.runtime_port}"),
        *("--superexec-auth-secret-file", str(secret)),
    )
    search = {"PATH": f"{launchers}:/usr/bin:/bin"}
    return (
        Service(NODE, node, site.state_dir, environment),
        Service(EXECUTOR, executor, site.state_dir, {**environment, **search}),
        Service("launcher", (*launcher(path), SERVE, str(socket)), site.state_dir, environment),
    )


def launcher(site_file: Path) -> tuple[str, ...]:
    """Return the command that answers a message under the site's guard."""
    return (sys.executable, "-P", "-m", "client.launcher", str(site_file.resolve()))


def write_launchers(folder: Path, site_file: Path, socket: Path) -> Path:
    """Write the programs that the executor finds: the guarded ClientApp, and nothing else.

    A link may ask a node to run other kinds of tasks (agents, connectors): their names end in a
    refusal here. The ClientApp's asks the warm launcher, and starts a cold one where none
    listens yet.
    """
    folder.mkdir(parents=True, exist_ok=True)
    send = (sys.executable, "-I", "-S", str(ROOT / "client" / "send.py"), str(socket))
    answer = f'{shlex.join(send)} "$@" || exec {shlex.join(launcher(site_file))} "$@"'
    for kind, name in TASK_TYPE_TO_COMMAND.items():
        body = answer if kind == TaskType.CLIENT_APP else 'echo "refused: $0" >&2; exit 1'
        program = folder / name
        program.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        program.chmod(0o700)
    return folder


def systemd_unit(site: SiteFile, path: Path, user: str) -> str:
    """Return the unit that joins at every start of the machine."""
    command = (sys.executable, str(ROOT / "client" / "run.py"), f"site={path.resolve()}")
    unit = UnitSettings(
        description=f"hepafed site: {site.name}",
        user=user,
        writable=(site.state_dir, site.cache_dir),
    )
    return service_unit(Service("site", command, site.state_dir), unit)
