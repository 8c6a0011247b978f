"""Certificates, generated files and the command that makes them."""

import io
import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from rich.console import Console

from server.certificates import KeyPair, make_authority, make_server_certificate
from server.files import nginx_config, speaks_ipv6, systemd_units, write_kit, write_layout
from server.layout import CoordinatorSettings, Layout, services
from server.provision import Coordinator, ProvisionError, Request, init, renew
from shared.config import ConfigurationError, build
from tests.faults.federation import NGINX, free_ports
from tests.polling import wait_until


def settings(home: Path, **changes: object) -> CoordinatorSettings:
    values = {"home": home, "names": ("fl.example.org",), "addresses": ("127.0.0.1",)}
    return build(CoordinatorSettings, {**values, **changes}, where="provision")


@pytest.fixture
def coordinator(tmp_path: Path) -> Coordinator:
    """Make a coordinator's home."""
    home = tmp_path / "coordinator"
    made = Coordinator(settings(home), Layout(home), Console(quiet=True))
    init(made, Request("init"))
    return made


def test_private_files_are_for_their_owner_alone(coordinator: Coordinator) -> None:
    home = coordinator.layout.home
    assert home.stat().st_mode & 0o777 == 0o700
    private = sorted((home / "private").iterdir())
    assert len(private) == 5
    assert {path.stat().st_mode & 0o777 for path in private} == {0o600}


def test_an_authority_is_never_made_twice(coordinator: Coordinator) -> None:
    with pytest.raises(ProvisionError, match="would lock every site out"):
        init(coordinator, Request("init"))


def test_renewed_certificates_stand_under_the_same_authority(coordinator: Coordinator) -> None:
    layout = coordinator.layout
    authority = layout.site_authority.certificate.read_bytes()
    before = layout.proxy.certificate.read_bytes()
    renew(coordinator, Request("renew"))
    assert layout.site_authority.certificate.read_bytes() == authority
    assert layout.proxy.certificate.read_bytes() != before
    issuer = x509.load_pem_x509_certificate(authority)
    x509.load_pem_x509_certificate(layout.proxy.certificate.read_bytes()).verify_directly_issued_by(
        issuer
    )


def handshake(pair: KeyPair, authority: Path, name: str) -> str | None:
    """Return what a client says to a server's certificate; None where it trusts it."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pair.certificate, pair.key)
    client = ssl.create_default_context(cafile=str(authority))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(theirs, server_side=True).close()
        except (ssl.SSLError, OSError):
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        client.wrap_socket(ours, server_hostname=name).close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    finally:
        ours.close()
        thread.join()
    return None


def test_a_client_trusts_the_configured_names_and_no_others(coordinator: Coordinator) -> None:
    layout = coordinator.layout
    authority = layout.site_authority.certificate
    assert handshake(layout.proxy, authority, "fl.example.org") is None
    assert handshake(layout.proxy, authority, "127.0.0.1") is None
    assert "Hostname mismatch" in str(handshake(layout.proxy, authority, "other.example.org"))
    # The link's certificate is the internal authority's, which no site trusts.
    assert handshake(layout.link, layout.internal_authority.certificate, "localhost") is None
    assert "unable to get" in str(handshake(layout.link, authority, "localhost"))


def test_a_strangers_authority_is_not_trusted(coordinator: Coordinator, tmp_path: Path) -> None:
    fake = KeyPair(tmp_path / "fake.pem", tmp_path / "fake.key")
    make_authority(fake, "hepafed site authority")
    pair = KeyPair(tmp_path / "proxy.pem", tmp_path / "proxy.key")
    make_server_certificate(pair, fake, names=["fl.example.org"], addresses=[], days=1)
    told = handshake(pair, coordinator.layout.site_authority.certificate, "fl.example.org")
    assert told is not None


HAS_NGINX = pytest.mark.skipif(not NGINX.exists(), reason="nginx is not installed")


def told(home: Path, **changes: object) -> str:
    """Set a coordinator up and return what the command said."""
    console = Console(file=io.StringIO(), width=100)
    init(Coordinator(settings(home, **changes), Layout(home), console), Request("init"))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@HAS_NGINX
@pytest.mark.parametrize("name", ["coordinator", "a \"b\" (c); 'd' #\\e{f}"])
@pytest.mark.parametrize("ipv6", [True, False])
def test_nginx_takes_the_configuration(
    tmp_path: Path, name: str, ipv6: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where this machine has no IPv6, what it would write with it cannot be tried.
    monkeypatch.setattr("server.files.speaks_ipv6", lambda: ipv6 and speaks_ipv6())
    home = tmp_path / name
    assert "nginx takes the configuration" in told(home)
    done = subprocess.run(
        [NGINX, "-t", "-c", Layout(home).nginx_config], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr.replace('the "user" directive', "")


def test_what_nginx_says_is_told(tmp_path: Path) -> None:
    def nginx(name: str, says: str) -> Path:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\necho '{says}' >&2; exit 1\n")
        path.chmod(0o700)
        return path

    broken = nginx("broken", "nginx: [emerg] cannot load certificate")
    denied = nginx("denied", "nginx: [emerg] bind() to 0.0.0.0:443 failed (13: Permission denied)")
    assert "REFUSES the configuration: cannot load" in told(tmp_path / "1", nginx=broken)
    assert "REFUSES" in told(tmp_path / "2", nginx=denied)
    assert "its systemd unit alone" in told(tmp_path / "3", nginx=denied, port=443)
    assert "install nginx" in told(tmp_path / "4", nginx=tmp_path / "absent")


@HAS_NGINX
def test_the_proxy_answers_where_it_listens_and_logs_no_poll(tmp_path: Path) -> None:
    """A link that answers polls with 200, the proxy before it, and a site on each protocol."""
    port, link_port = free_ports(2)
    home = tmp_path / "my coordinator"
    told(home, names=("localhost",), port=port, link_port=link_port)
    layout = Layout(home)
    here = settings(home, names=("localhost",), port=port, link_port=link_port)
    proxy = services(here, layout)[2]
    with answering(layout.link, link_port):
        process = subprocess.Popen(proxy.command, cwd=proxy.working_dir)
        try:
            wait_until("nginx listens", lambda: ask(layout, "127.0.0.1", port, "/") == 404, 30.0)
            families = ["127.0.0.1", *(["::1"] if speaks_ipv6() else [])]
            for address in families:
                for path in ("pull-messages", "send-node-heartbeat", "get-run"):
                    assert ask(layout, address, port, f"/v1/fleet/{path}") == 200
            assert ask(layout, "127.0.0.1", port, "/v1/fleet/pull-messages?fail") == 500
        finally:
            process.terminate()
            process.wait(timeout=30)
    log = (layout.nginx_config.parent / "access.log").read_text()
    assert log.count("get-run") == len(families)
    assert log.count("pull-messages") == 1
    assert "pull-messages?fail" in log
    assert "heartbeat" not in log


def ask(layout: Layout, address: str, port: int, path: str) -> int:
    """POST to the proxy at one of this machine's addresses; return the status, 0 for no answer."""
    context = ssl.create_default_context(cafile=str(layout.site_authority.certificate))
    try:
        with (
            socket.create_connection((address, port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as secure,
        ):
            request = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
            secure.sendall(request.encode())
            return int(secure.recv(64).split()[1])
    except ConnectionRefusedError:
        return 0


@contextmanager
def answering(pair: KeyPair, port: int) -> Iterator[None]:
    """Serve TLS as the link does: 200 to everything, 500 where a failure is asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response_only(500 if "fail" in self.path else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_low_port_is_the_proxys_alone(coordinator: Coordinator) -> None:
    low = settings(coordinator.layout.home, port=443)
    units = systemd_units(low, coordinator.layout)
    wanted = (
        "AmbientCapabilities=CAP_NET_BIND_SERVICE\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\n"
    )
    assert wanted in units["hepafed-proxy.service"]
    assert "Capabilit" not in units["hepafed-link.service"] + units["hepafed-executor.service"]
    high = systemd_units(coordinator.settings, coordinator.layout)
    assert not any("Capabilit" in text for text in high.values())


def test_the_proxy_passes_only_the_fleet_and_health(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = nginx_config(coordinator.settings, coordinator.layout)
    assert re.findall(r"proxy_pass (\S+);", text) == [
        "https://link/v1/fleet/",
        "https://link/health",
    ]
    monkeypatch.setattr("server.files.speaks_ipv6", lambda: False)
    plain = nginx_config(coordinator.settings, coordinator.layout)
    assert re.findall(r"listen (\S+)", plain) == ["8443"]
    monkeypatch.setattr("server.files.speaks_ipv6", lambda: True)
    both = nginx_config(coordinator.settings, coordinator.layout)
    assert re.findall(r"listen (\S+)", both) == ["8443", "[::]:8443"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_takes_the_units(coordinator: Coordinator, tmp_path: Path) -> None:
    # The proxy's program may be absent here; what is checked is the unit.
    usable = settings(coordinator.layout.home, nginx="/bin/true", user="root", port=443)
    for name, text in systemd_units(usable, coordinator.layout).items():
        (tmp_path / name).write_text(text)
    units = sorted(tmp_path.glob("hepafed*"))
    assert len(units) == 4
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "hepafed" not in done.stderr


def test_runs_may_write_where_provisioning_says(coordinator: Coordinator, tmp_path: Path) -> None:
    layout, outputs = coordinator.layout, coordinator.layout.home / "outputs"
    assert outputs.stat().st_mode & 0o777 == 0o700
    elsewhere = tmp_path / "runs"
    units = {
        outputs: systemd_units(coordinator.settings, layout),
        elsewhere: systemd_units(settings(layout.home, outputs=elsewhere), layout),
    }
    for folder, texts in units.items():
        writable = f'ReadWritePaths="{layout.home}" "{folder}"'
        assert writable in texts["hepafed-executor.service"]


def test_a_path_with_odd_characters_survives_the_units(tmp_path: Path) -> None:
    home = tmp_path / 'a "b" %n $HOME'
    text = systemd_units(settings(home), Layout(home))["hepafed-link.service"]
    assert r'a \"b\" %%n $$HOME/state/link.db"' in text


def test_the_link_listens_on_loopback_with_its_guards_on(coordinator: Coordinator) -> None:
    link, executor, _ = services(coordinator.settings, coordinator.layout)
    words = " ".join(link.command)
    assert "--host 127.0.0.1" in words
    assert "--enable-supernode-auth" in words
    assert "--isolation process" in words
    assert "--insecure" not in words
    assert "--superexec-auth-secret-file" in words
    assert "--superexec-auth-secret-file" in executor.command


def test_the_services_reach_each_other_without_a_proxy(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", ".hospital")
    monkeypatch.delenv("no_proxy", raising=False)
    units = systemd_units(coordinator.settings, coordinator.layout)
    for name in ("link", "executor"):
        assert '"no_proxy=.hospital,127.0.0.1,localhost"' in units[f"hepafed-{name}.service"]


def test_a_kit_holds_nothing_secret(coordinator: Coordinator) -> None:
    kit = write_kit(coordinator.settings, coordinator.layout, "north", "0" * 64)
    assert sorted(path.name for path in kit.iterdir()) == [
        "INSTRUCTIONS.txt",
        "ca.pem",
        "site.yaml",
    ]
    assert not any("PRIVATE" in path.read_text() for path in kit.iterdir())
    # A study's variable that the site's file does not name counts as unknown: it must be seen.
    assert "clinical_variables: []" in (kit / "site.yaml").read_text()


def test_the_same_configuration_gives_the_same_files(coordinator: Coordinator) -> None:
    def contents() -> list[bytes]:
        files = write_layout(coordinator.settings, coordinator.layout)
        return [path.read_bytes() for path in files]

    assert contents() == contents()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": (), "addresses": ()}, "give names or addresses"),
        ({"names": ("bad name",)}, "not a DNS name"),
        ({"names": ("x;return 200",)}, "not a DNS name"),
        ({"addresses": ("300.1.1.1",)}, "address"),
        ({"port": 8000}, "must differ"),
        ({"port": 0}, "port"),
        ({"certificate_days": 0}, "certificate_days"),
    ],
)
def test_a_wrong_value_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        settings(tmp_path, **change)
