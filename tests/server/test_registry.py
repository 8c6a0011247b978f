"""The superlink's list of sites, with a superlink: who is on it, who never returns."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from flwr.proto.control_pb2 import ListNodesRequest, ListNodesResponse
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from rich.console import Console

from server.layout import CoordinatorSettings, Layout, services
from server.provision import Coordinator, Request, add, init, replace
from server.registry import Registry, RegistryError, open_registry, read_public_key
from tests.faults.federation import ENVIRONMENT, ROOT, free_ports
from tests.polling import wait_until


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    """Start a superlink alone."""
    home = tmp_path_factory.mktemp("registry") / "coordinator"
    port, link_port = free_ports(2)
    settings = CoordinatorSettings(home, ("localhost",), port=port, link_port=link_port)
    made = Coordinator(settings, Layout(home), Console(quiet=True))
    init(made, Request("init"))
    link = services(settings, made.layout)[0]
    process = subprocess.Popen(
        link.command,
        cwd=link.working_dir,
        env={**ENVIRONMENT, **link.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until("the link answers", lambda: answers(made), 120.0)
        yield made
    finally:
        process.terminate()
        process.wait(timeout=30)


def answers(coordinator: Coordinator) -> bool:
    try:
        keys(coordinator)
    except RegistryError:
        return False
    return True


def keys(coordinator: Coordinator) -> dict[str, bytes]:
    """Return the keys that may join, by name; no name may have two."""
    with open_registry(coordinator.settings, coordinator.layout) as registry:
        sites = registry.sites()
    found = {site.name: site.public_key for site in sites}
    assert len(found) == len(sites)
    return found


def control(coordinator: Coordinator) -> ControlHttpClient:
    return ControlHttpClient.from_server_address(
        coordinator.settings.link_address,
        insecure=False,
        root_certificates=coordinator.layout.internal_authority.certificate.read_bytes(),
        interceptors=[RuntimeVersionHttpInterceptor(component_name="hepafed")],
    )


def sent(folder: Path) -> Path:
    """Write a new public key as a site sends it."""
    key = ec.generate_private_key(ec.SECP384R1()).public_key()
    path = folder / "site.key.pub"
    path.write_bytes(
        key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    )
    return path


def revoke(coordinator: Coordinator, name: str) -> None:
    with open_registry(coordinator.settings, coordinator.layout) as registry:
        registry.revoke(name)


def test_a_site_keeps_its_key_where_the_new_one_is_anothers(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    (tmp_path / "b").mkdir()
    first, second = sent(tmp_path), sent(tmp_path / "b")
    add(coordinator, Request("add", "north", first))
    add(coordinator, Request("add", "south", second))
    before = keys(coordinator)
    with pytest.raises(RegistryError, match="registered for south: every site needs its own"):
        replace(coordinator, Request("replace", "north", second))
    with pytest.raises(RegistryError, match="north has this key already"):
        replace(coordinator, Request("replace", "north", first))
    with pytest.raises(RegistryError, match="no site 'west'"):
        replace(coordinator, Request("replace", "west", sent(tmp_path)))
    assert keys(coordinator) == before


def test_a_replaced_key_never_returns(coordinator: Coordinator, tmp_path: Path) -> None:
    old = sent(tmp_path)
    add(coordinator, Request("add", "mover", old))
    text = old.read_bytes()
    new = sent(tmp_path)
    replace(coordinator, Request("replace", "mover", new))
    key = read_public_key(new.read_bytes())
    assert keys(coordinator)["mover"] == key
    assert (coordinator.layout.public_keys / "mover.pem").read_bytes() == key
    old.write_bytes(text)
    for request in (Request("replace", "mover", old), Request("add", "other", old)):
        action = {"replace": replace, "add": add}[request.action]
        with pytest.raises(RegistryError, match=r"was revoked \(it was mover's\).*new pair made"):
            action(coordinator, request)
    assert keys(coordinator)["mover"] == key
    revoke(coordinator, "mover")
    with pytest.raises(RegistryError, match="was revoked"):
        add(coordinator, Request("add", "mover", coordinator.layout.public_keys / "mover.pem"))


def test_a_replacement_that_was_broken_off_is_finished(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    add(coordinator, Request("add", "halted", sent(tmp_path)))
    new = sent(tmp_path)

    class Broken:
        """A link that dies between the two halves."""

        def __init__(self, client: ControlHttpClient) -> None:
            self.ListNodes = client.ListNodes
            self.RegisterNode = client.RegisterNode

        def UnregisterNode(self, _: object) -> None:  # noqa: N802
            raise ConnectionError

    key = read_public_key(new.read_bytes())
    with control(coordinator) as client:
        broken = Registry(cast(ControlHttpClient, Broken(client)))
        with pytest.raises(ConnectionError):
            broken.replace("halted", key)
    replace(coordinator, Request("replace", "halted", new))
    assert keys(coordinator)["halted"] == key


def test_a_key_that_the_link_knows_and_does_not_list_is_told_in_words(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    public = sent(tmp_path)
    add(coordinator, Request("add", "hidden", public))

    class Silent:
        """Lists nobody, as where another command registers at the same time."""

        def __init__(self, client: ControlHttpClient) -> None:
            self.RegisterNode = client.RegisterNode

        def ListNodes(self, _: ListNodesRequest) -> ListNodesResponse:  # noqa: N802
            return ListNodesResponse()

    with control(coordinator) as client:
        silent = Registry(cast(ControlHttpClient, Silent(client)))
        with pytest.raises(RegistryError, match="knows this key already"):
            silent.add("again", read_public_key(public.read_bytes()))


def test_a_proxy_of_the_environment_is_not_asked_for_the_link(coordinator: Coordinator) -> None:
    script = str(ROOT / "server" / "provision.py")
    done = subprocess.run(
        [sys.executable, script, "action=list", f"home={coordinator.layout.home}"],
        env={**ENVIRONMENT, "HTTPS_PROXY": "http://proxy.invalid:3128", "NO_PROXY": "example.org"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_was_kept_of_a_lost_list_is_taken_again(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    public = sent(tmp_path)
    pem = read_public_key(public.read_bytes())
    kept = tmp_path / "kept.pem"
    kept.write_bytes(pem)
    add(coordinator, Request("add", "kept", kept))
    assert keys(coordinator)["kept"] == pem


RSA = rsa.generate_private_key(65537, 2048).public_key()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "must never leave the site"),
        (b"-----BEGIN CERTIFICATE-----\n", "a certificate, not a key"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not a public key"),
        (b"hello", "not a public key"),
        (b"", "not a public key"),
        (b"\xff\xfe\x00", "not a public key"),
        (b"ssh-magic AAAA x", "not a public key"),
        (
            b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl x",
            "P-384",
        ),
        (
            RSA.public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            "P-384",
        ),
    ],
)
def test_a_wrong_file_is_told_by_a_sentence(content: bytes, message: str) -> None:
    with pytest.raises(RegistryError, match=message):
        read_public_key(content)
