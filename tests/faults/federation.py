"""A whole federation on loopback: certificates, proxy, link, executor, sites, each a process."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml
from flwr.proto.control_pb2 import ListRunsRequest
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor

from client.link import make_key
from client.node import link_of
from client.site_file import read_site_file
from server import checkpoint as checkpoints
from server.checkpoint import Checkpoint
from server.federation import FederationSettings
from server.files import write_kit
from server.layout import CoordinatorSettings, Layout
from server.registry import RegisteredSite, RegistryError, open_registry, read_public_key
from server.roll import Roll
from server.terms import Patience, Terms
from shared.app_bundle import bundle_hash
from shared.config import to_json
from shared.plan import Plan
from tests.faults.cohort import SITE_SETTINGS, write_site
from tests.polling import wait_until

ROOT = Path(__file__).resolve().parents[2]
NGINX = Path("/usr/sbin/nginx")
PROGRAMS = Path(sys.executable).parent
# A machine that others use too may take its time; a test that passes never waits so long.
PATIENCE_S = 400.0
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
}


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@dataclass
class Federation:
    """A coordinator and its sites below one folder.

    Attributes
    ----------
    root : Path
    port, link_port : int
        The proxy's and the superlink's.
    """

    root: Path
    port: int
    link_port: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def app(self) -> Path:
        """A copy of the app: whoever edits the checkout meanwhile does not change the bundle."""
        return self.root / "hepafed"

    @property
    def settings(self) -> CoordinatorSettings:
        """The coordinator's configuration."""
        return CoordinatorSettings(
            self.home, names=("localhost",), port=self.port, link_port=self.link_port
        )

    @property
    def home(self) -> Path:
        """The coordinator's home."""
        return self.root / "coordinator"

    def provision(self, action: str, *overrides: str) -> str:
        """Run the coordinator's set-up command and return what it printed."""
        done = subprocess.run(
            [*self._provision(action), *overrides],
            env=ENVIRONMENT,
            cwd=self.root,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start_coordinator(self) -> None:
        """Start link, executor and proxy under one supervisor, and wait until they answer."""
        self._start("coordinator", self._provision("start"))
        self.wait_for_link()

    def wait_for_link(self) -> float:
        """Wait until the link answers on loopback."""
        return wait_until("the link answers", lambda: self._nodes() is not None, PATIENCE_S)

    def enrol(self, name: str, folder: Path, **settings: object) -> Path:
        """Do all that a site and the coordinator do before the site joins; return its file.

        What the commands do, without a process for each: `test_commands` runs those.
        """
        coordinator, layout = self.settings, Layout(self.home)
        site_file = write_kit(coordinator, layout, name, bundle_hash(self.app)) / "site.yaml"
        values = yaml.safe_load(site_file.read_text())
        # The cohort's sites have five patients each.
        few = {"min_training_patients": 1, "min_labelled_patients": 1}
        policy = {**values["policy"], **few}
        values |= {"folder": str(folder), "workers": 1, "policy": policy}
        values["link"]["runtime_port"] = free_ports(1)[0]
        site_file.write_text(yaml.safe_dump(values | settings))
        public = make_key(link_of(read_site_file(site_file)), name)
        with open_registry(coordinator, layout) as registry:
            registry.add(name, read_public_key(public.read_bytes()))
        return site_file

    def change_policy(self, name: str, **changes: object) -> None:
        """Write other limits into a site's file; they hold from its next message on."""
        values = yaml.safe_load(self.site_file(name).read_text())
        values["policy"] |= changes
        partial = self.site_file(name).with_suffix(".partial")
        partial.write_text(yaml.safe_dump(values))
        partial.replace(self.site_file(name))

    def client(self, site_file: Path, action: str) -> subprocess.CompletedProcess[str]:
        """Run a site's command to its end."""
        return subprocess.run(
            self._client(site_file, action),
            env=ENVIRONMENT,
            cwd=site_file.parent,
            capture_output=True,
            text=True,
        )

    def join(self, name: str) -> None:
        """Start a site."""
        self._start(name, self._client(self.site_file(name), "join"))

    def site_file(self, name: str) -> Path:
        """Return a site's own file."""
        return self.home / "kits" / name / "site.yaml"

    def audit_lines(self, name: str, run: int) -> list[dict[str, Any]]:
        """Return what a site's log holds of a run."""
        log = read_site_file(self.site_file(name)).audit_log
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [line for line in lines if line["run"] == run]

    def wait_for_sites(self, *names: str) -> float:
        """Wait until the link counts these sites as joined."""
        return wait_until(
            f"{names} are online", lambda: set(names) <= self.online(), PATIENCE_S, poll_s=1.0
        )

    def online(self) -> set[str]:
        """Return the names of the sites that the link counts as joined."""
        return {site.name for site in self._nodes() or [] if site.status == "online"}

    def _nodes(self) -> list[RegisteredSite] | None:
        try:
            with open_registry(self.settings, Layout(self.home)) as registry:
                return registry.sites()
        except RegistryError:
            return None

    def submit(
        self,
        plan: Plan,
        state_dir: Path,
        names: Sequence[str],
        *,
        minimum_sites: int,
        app: Path | None = None,
    ) -> int:
        """Submit a run over these sites and return its number."""
        patience = Patience(minimum_sites, deadline_s=PATIENCE_S, attempts=1, gathering_s=60.0)
        config = {
            "plan": to_json(plan),
            "terms": to_json(Terms(Roll(tuple(names)), patience)),
            "state-dir": str(state_dir),
        }
        file = self.root / "run.toml"
        file.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in config.items()))
        done = self.flwr(
            "run", str(app or self.app), "hepafed", "-c", str(file), "--format", "json"
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return int(json.loads(done.stdout[done.stdout.index("{") :])["run-id"])

    def status(self, run: int) -> str:
        """Return a run's status as the link tells it; unknown while it does not answer."""
        client = ControlHttpClient.from_server_address(
            self.settings.link_address,
            insecure=False,
            root_certificates=Layout(self.home).internal_authority.certificate.read_bytes(),
            interceptors=[RuntimeVersionHttpInterceptor(component_name="hepafed")],
        )
        with client:
            try:
                found = client.ListRuns(ListRunsRequest(run_id=run)).run_dict[run].status
            except httpx.HTTPError:
                return "unknown"
        return ":".join(word for word in (found.status, found.sub_status) if word)

    def wait_for_end(self, run: int) -> str:
        """Wait until a run has ended, and return its status."""
        wait_until(
            f"run {run} ends",
            lambda: self.status(run).startswith("finished"),
            PATIENCE_S,
            poll_s=1.0,
        )
        return self.status(run)

    def flwr(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run Flower's own command as the coordinator does."""
        return subprocess.run(
            [str(PROGRAMS / "flwr"), *words],
            env={**ENVIRONMENT, "FLWR_HOME": str(self.home / "flwr")},
            cwd=self.root,
            capture_output=True,
            text=True,
        )

    def kill(self, name: str, word: str = "") -> None:
        """Kill -9 a process started here, or the descendant whose command holds a word."""
        process = psutil.Process(self.processes[name].pid)
        if not word:
            process.kill()
            self.processes.pop(name).wait()
            return
        self.descendant(name, word).kill()

    def descendant(self, name: str, word: str) -> psutil.Process:
        """Return a process that one started here runs, by a word of its command."""
        for process in psutil.Process(self.processes[name].pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if word in " ".join(process.cmdline()):
                    return process
        raise AssertionError(f"{name} runs nothing with {word!r}")

    def wait_for_access(self, pattern: str) -> None:
        """Wait until the proxy's access log has a line; it writes one after it has answered."""
        log = self.home / "nginx" / "access.log"
        wait_until(
            f"{pattern} in {log.name}",
            lambda: re.search(pattern, log.read_text()) is not None,
            PATIENCE_S,
        )

    def log(self, name: str) -> str:
        """Return what a process printed so far."""
        return (self.root / f"{name}.log").read_text(errors="replace")

    def close(self) -> None:
        """End everything, sites first."""
        for process in reversed(self.processes.values()):
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                for each in psutil.Process(process.pid).children(recursive=True):
                    each.kill()
                process.kill()
                process.wait()

    def _start(self, name: str, command: list[str]) -> None:
        with (self.root / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command,
                env=ENVIRONMENT,
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _provision(self, action: str) -> list[str]:
        return [
            *(sys.executable, str(ROOT / "server" / "provision.py"), f"action={action}"),
            f"home={self.home}",
        ]

    def _client(self, site_file: Path, action: str) -> list[str]:
        return [
            *(sys.executable, str(ROOT / "client" / "run.py")),
            *(f"site={site_file}", f"action={action}"),
        ]


def copy_app(checkout: Path, to: Path) -> None:
    """Copy what ``flwr run`` makes a bundle of."""
    for folder in ("client", "server", "shared"):
        shutil.copytree(
            checkout / folder, to / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(checkout / file, to / file)


@contextmanager
def open_federation(root: Path) -> Iterator[Federation]:
    """Set up and start a coordinator; end everything afterwards."""
    port, link_port = free_ports(2)
    federation = Federation(root, port, link_port)
    copy_app(ROOT, federation.app)
    ports = (f"port={port}", f"link_port={link_port}")
    federation.provision("init", "names=[localhost]", *ports)
    try:
        federation.start_coordinator()
        yield federation
    finally:
        federation.close()


@contextmanager
def open_federation_of(root: Path, sites: Sequence[str]) -> Iterator[Federation]:
    """Open a federation, write small sites by these names, and have them join."""
    with open_federation(root) as federation:
        for seed, name in enumerate(sites):
            write_site(root / name, seed)
            federation.enrol(name, root / name, **SITE_SETTINGS)
            federation.join(name)
        federation.wait_for_sites(*sites)
        yield federation


def last_checkpoint(plan: Plan, state_dir: Path) -> Checkpoint:
    """Return what the coordinator kept."""
    checkpoint = checkpoints.load(FederationSettings(plan, state_dir).identity, state_dir)
    assert checkpoint is not None, f"{state_dir} holds no checkpoint"
    return checkpoint
