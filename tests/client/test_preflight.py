"""The check before joining: whatever stands in the way is found, with what to do about it."""

import select
import signal
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar, Literal

import pytest

from client.link import make_key, why_unreachable
from client.node import await_admission, link_of
from client.policy import Policy
from client.preflight import Finding, look
from client.site_file import LinkSettings, SiteFile
from server.certificates import KeyPair, make_authority, make_server_certificate
from shared.app_bundle import bundle_hash
from shared.supervisor import StopRequest
from tests.client.patients import GOOD_ROW, SMALL, write_clinical, write_patient


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    """Make an authority."""
    folder = tmp_path_factory.mktemp("authority")
    pair = KeyPair(folder / "ca.pem", folder / "ca.key")
    make_authority(pair, "authority")
    return pair


@contextmanager
def coordinator(
    authority: KeyPair,
    *,
    name: str = "localhost",
    days: int = 90,
    skew_s: float = 0,
    status: int = 200,
) -> Iterator[int]:
    """Serve ``/health`` over TLS, with a clock of its own, and refuse every key; yield the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response_only(status)
            now = datetime.now(UTC) - timedelta(seconds=skew_s)
            self.send_header("Date", format_datetime(now, usegmt=True))
            self.end_headers()

        def do_POST(self) -> None:
            self.send_response_only(401)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    pair = KeyPair(authority.key.with_name("proxy.pem"), authority.key.with_name("proxy.key"))
    make_server_certificate(pair, authority, names=[name], addresses=[], days=days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def site(authority: KeyPair, tmp_path: Path) -> SiteFile:
    """Write a site that could join if its coordinator answered."""
    folder = tmp_path / "north"
    write_clinical(folder, dict.fromkeys(["p1", "p2"], GOOD_ROW))
    for seed, patient in enumerate(("p1", "p2")):
        write_patient(folder / patient, seed=seed)
    link = LinkSettings("localhost:1", authority.certificate, tmp_path / "north.key")
    make_key(link, "north")
    return SiteFile(
        name="north",
        folder=folder,
        cache_dir=tmp_path / "cache",
        state_dir=tmp_path / "state",
        preprocessing=SMALL,
        workers=1,
        link=link,
        policy=Policy(bundles=(bundle_hash(),), min_training_patients=2),
    )


def at(site: SiteFile, port: int) -> SiteFile:
    assert site.link is not None
    return replace(site, link=replace(site.link, address=f"localhost:{port}"))


def findings(site: SiteFile) -> dict[str, Finding]:
    return {finding.subject: finding for finding in look(site)}


def bad(found: dict[str, Finding]) -> set[str]:
    """Return the subjects that stand in the way; each of them says what to do."""
    assert all(finding.todo for finding in found.values() if finding.verdict != "good")
    return {subject for subject, finding in found.items() if finding.verdict == "bad"}


def test_a_key_that_is_not_registered_is_all_that_stands_in_the_way(
    site: SiteFile, authority: KeyPair
) -> None:
    with coordinator(authority) as port:
        found = findings(at(site, port))
    assert bad(found) == {"admission"}
    assert "north.key.pub to the coordinator" in found["admission"].todo
    assert found["patients"].found == "2 usable"


@pytest.mark.parametrize(
    ("skew_s", "verdict"),
    [(0, "good"), (120, "warning"), (-120, "warning"), (400, "bad"), (-400, "bad")],
)
def test_the_clock_is_compared(
    site: SiteFile, authority: KeyPair, skew_s: float, verdict: str
) -> None:
    with coordinator(authority, skew_s=skew_s) as port:
        clock = findings(at(site, port))["clock"]
    assert clock.verdict == verdict
    direction = "ahead of" if skew_s > 0 else "behind"
    assert verdict == "good" or direction in clock.found


def test_nobody_at_the_address(site: SiteFile) -> None:
    found = findings(site)
    assert bad(found) == {"address and TLS"}
    assert "is the coordinator up" in found["address and TLS"].todo


def test_an_unknown_name(site: SiteFile) -> None:
    assert site.link is not None
    lost = replace(site, link=replace(site.link, address="no-such-host.invalid:8443"))
    assert "unknown here" in findings(lost)["address and TLS"].todo


def test_a_certificate_of_somebody_else(site: SiteFile, tmp_path: Path) -> None:
    other = KeyPair(tmp_path / "other.pem", tmp_path / "other.key")
    make_authority(other, "authority")
    with coordinator(other) as port:
        found = findings(at(site, port))
    assert "somebody stands in between" in found["address and TLS"].todo


def test_a_certificate_for_another_name(site: SiteFile, authority: KeyPair) -> None:
    with coordinator(authority, name="other.example.org") as port:
        assert "does not verify" in findings(at(site, port))["address and TLS"].todo


def test_a_site_that_waits_says_what_is_wrong_with_the_certificate(
    site: SiteFile, authority: KeyPair, caplog: pytest.LogCaptureFixture
) -> None:
    class Stop(StopRequest):
        def wait(self, seconds: float) -> bool:
            self.signal = signal.SIGTERM
            return True

    with coordinator(authority, name="other.example.org") as port:
        await_admission(link_of(at(site, port)), Stop())
    assert "no link answers (the certificate does not verify (Hostname mismatch" in caplog.text


def test_a_certificate_that_soon_expires(site: SiteFile, authority: KeyPair) -> None:
    with coordinator(authority, days=10) as port:
        assert findings(at(site, port))["TLS"].verdict == "warning"


class Tunnel(BaseHTTPRequestHandler):
    """A hospital's proxy: carries what goes by CONNECT to whoever names the right user."""

    asked: ClassVar[list[str]] = []

    def do_CONNECT(self) -> None:
        if self.headers.get("Proxy-Authorization") != f"Basic {b64encode(b'me:secret').decode()}":
            self.send_error(407)
            return
        self.asked.append(self.path)
        host, port = self.path.split(":")
        with socket.create_connection((host, int(port))) as beyond:
            self.send_response_only(200)
            self.end_headers()
            ends = {self.connection: beyond, beyond: self.connection}
            while True:
                for ready in select.select(list(ends), [], [])[0]:
                    if not (some := ready.recv(65536)):
                        return
                    ends[ready].sendall(some)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hospital_proxy() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Tunnel)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    Tunnel.asked.clear()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_behind_a_proxy_all_is_looked_at_through_it(
    site: SiteFile, authority: KeyPair, hospital_proxy: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:secret@127.0.0.1:{hospital_proxy}")
    monkeypatch.setenv("NO_PROXY", "")
    with coordinator(authority, days=10) as port:
        found = findings(at(site, port))
        assert Tunnel.asked == [f"localhost:{port}"] * len(Tunnel.asked)
        assert len(Tunnel.asked) > 1
        assert found["proxy"].found == "HTTPS_PROXY set: this site reaches localhost through it"
        assert found["TLS"].verdict == "warning"
        assert bad(found) == {"admission"}
        assert "north.key.pub to the coordinator" in found["admission"].todo
        monkeypatch.setenv("NO_PROXY", "localhost")
        Tunnel.asked.clear()
        assert "but not for localhost" in findings(at(site, port))["proxy"].found
        assert Tunnel.asked == []


@pytest.mark.parametrize(
    ("proxy", "why"),
    [
        ("http://you:secret@127.0.0.1:{port}", "the proxy refuses (407"),
        ("http://me:secret@127.0.0.1:1", "the proxy, or the coordinator behind it"),
        ("gopher://me:secret@127.0.0.1:1", "HTTPS_PROXY names a proxy of a kind"),
    ],
)
def test_a_proxy_that_does_not_let_through_is_named_without_its_password(
    site: SiteFile, hospital_proxy: int, monkeypatch: pytest.MonkeyPatch, proxy: str, why: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.format(port=hospital_proxy))
    monkeypatch.setenv("NO_PROXY", "")
    found = findings(site)
    assert bad(found) == {"address and TLS"}
    assert why in found["address and TLS"].todo
    assert "secret" not in str(found)
    assert why in why_unreachable(link_of(site))


def test_a_proxy_without_a_link_behind_it(site: SiteFile, authority: KeyPair) -> None:
    with coordinator(authority, status=502) as port:
        found = findings(at(site, port))
    assert bad(found) == {"coordinator"}
    assert "502" in found["coordinator"].found


def without_link(site: SiteFile) -> SiteFile:
    return replace(site, link=None)


def without_key(site: SiteFile) -> SiteFile:
    assert site.link is not None
    site.link.key.unlink()
    return site


def open_key(site: SiteFile) -> SiteFile:
    assert site.link is not None
    site.link.key.chmod(0o644)
    return site


def without_folder(site: SiteFile) -> SiteFile:
    return replace(site, folder=site.folder / "absent")


def without_table(site: SiteFile) -> SiteFile:
    (site.folder / "clinical.csv").unlink()
    return site


def too_few(site: SiteFile) -> SiteFile:
    return replace(site, policy=replace(site.policy, min_training_patients=3))


def no_code(site: SiteFile) -> SiteFile:
    return replace(site, policy=replace(site.policy, bundles=()))


def broken_log(site: SiteFile) -> SiteFile:
    site.state_dir.mkdir()
    site.audit_log.write_text("nonsense\n")
    return site


def state_in_a_file(site: SiteFile) -> SiteFile:
    site.state_dir.write_text("a file in its place")
    return site


def cache_in_a_file(site: SiteFile) -> SiteFile:
    site.cache_dir.write_text("a file in its place")
    return site


def other_device(site: SiteFile) -> SiteFile:
    return replace(site, device="cuda:77")


@pytest.mark.parametrize(
    ("spoil", "subject", "todo"),
    [
        (without_link, "link", "configs/site.yaml"),
        (without_key, "key", "action=key"),
        (open_key, "key", "chmod 600"),
        (without_folder, "folder", "set folder in the site's file"),
        (without_table, "folder", "data contract"),
        (too_few, "patients", "set_aside.csv"),
        (no_code, "app", "action=bundle"),
        (broken_log, "log", "find out who changed it"),
        (other_device, "device", "device: cpu"),
        (state_in_a_file, "state", "right to write"),
        (cache_in_a_file, "cache", "set cache_dir elsewhere"),
    ],
)
def test_what_is_wrong_at_home_is_named(
    site: SiteFile, spoil: Callable[[SiteFile], SiteFile], subject: str, todo: str
) -> None:
    found = findings(spoil(site))
    assert found[subject].verdict == "bad"
    assert todo in found[subject].todo


@pytest.mark.parametrize(
    ("role", "least", "verdict"),
    [("external", 2, "good"), ("training", 2, "warning"), ("training", 3, "bad")],
)
def test_a_site_of_whom_too_few_would_train_is_warned(
    site: SiteFile, role: Literal["training", "external"], least: int, verdict: str
) -> None:
    """Of two patients each trains with a chance of 192 in 308: both do in 39% of studies."""
    policy = replace(site.policy, role=role, min_training_patients=least)
    assert findings(replace(site, policy=policy))["patients"].verdict == verdict


def test_folders_that_others_can_look_into_are_named(site: SiteFile) -> None:
    assert findings(site)["privacy"].verdict == "good"
    site.cache_dir.chmod(0o700)
    site.state_dir.chmod(0o750)
    found = findings(site)["privacy"]
    assert (found.verdict, found.todo) == ("warning", f"chmod go-rwx {site.state_dir}")
    site.state_dir.chmod(0o700)
    assert findings(site)["privacy"].verdict == "good"


def test_patients_set_aside_are_told_in_a_file_of_the_site(site: SiteFile) -> None:
    (site.folder / "p2" / "mask.nii.gz").unlink()
    found = findings(site)
    assert found["patients"].verdict == "bad"
    table = (site.state_dir / "set_aside.csv").read_text()
    assert "p2" in table
    assert not any("p2" in finding.found for finding in found.values())


def test_a_variable_that_nobody_has_is_told(site: SiteFile) -> None:
    table = site.folder / "clinical.csv"
    header, *rows = table.read_text().splitlines()
    table.write_text("\n".join([f"{header},age", *(f"{row},63" for row in rows)]))
    found = findings(replace(site, clinical_variables=("age", "afp")))
    assert found["variable age"].verdict == "good"
    assert found["variable afp"].verdict == "warning"
    assert found["variable afp"].found == "known of 0 of 2 patients"
