"""Which sites the superlink knows: their names and public keys."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    RegisterNodeRequest,
    UnregisterNodeRequest,
)
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor

from server.layout import CoordinatorSettings, Layout

SITE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
GONE = "unregistered"


class RegistryError(RuntimeError):
    """The superlink cannot be asked, or refuses; the message says what to do."""


@dataclass(frozen=True)
class RegisteredSite:
    """A site as the superlink knows it.

    Attributes
    ----------
    name : str
    node_id : int
    status : str
        ``registered`` (never came), ``online`` or ``offline``.
    public_key : bytes
        PEM.
    """

    name: str
    node_id: int
    status: str
    public_key: bytes


class Registry:
    """The superlink's list of sites, over its control interface on loopback."""

    def __init__(self, client: ControlHttpClient) -> None:
        self._client = client

    def sites(self) -> list[RegisteredSite]:
        """Return the sites that may join, by name."""
        nodes = self._client.ListNodes(ListNodesRequest()).nodes_info
        sites = [
            RegisteredSite(node.name, node.node_id, node.status, node.public_key)
            for node in nodes
            if node.status != GONE
        ]
        return sorted(sites, key=lambda site: (site.name, site.node_id))

    def add(self, name: str, public_key: bytes) -> None:
        """Register a site's public key (PEM) under its name.

        Raises
        ------
        RegistryError
            The name is taken, or the key is another site's.
        """
        if not SITE_NAME.fullmatch(name):
            raise RegistryError(f"{name!r} is no name for a site: letters, digits, '_', '-', '.'")
        known = self.sites()
        if any(site.name == name for site in known):
            raise RegistryError(f"{name} is registered: use action=replace, or action=revoke first")
        owner = next((site.name for site in known if site.public_key == public_key), None)
        if owner is not None:
            raise RegistryError(f"this key is registered for {owner}: every site needs its own")
        self._client.RegisterNode(RegisterNodeRequest(public_key=public_key, name=name))

    def revoke(self, name: str) -> None:
        """Take a site off the list: its key is refused from now on, a running node's too.

        Raises
        ------
        RegistryError
            No site of this name.
        """
        found = [site for site in self.sites() if site.name == name]
        if not found:
            raise RegistryError(f"no site {name!r} is registered: see action=list")
        for site in found:
            self._client.UnregisterNode(UnregisterNodeRequest(node_id=site.node_id))


@contextmanager
def open_registry(settings: CoordinatorSettings, layout: Layout) -> Iterator[Registry]:
    """Speak to the superlink, which must be running.

    Raises
    ------
    RegistryError
        It is not, or it refused.
    """
    client = ControlHttpClient.from_server_address(
        settings.link_address,
        insecure=False,
        root_certificates=layout.internal_authority.certificate.read_bytes(),
        interceptors=[RuntimeVersionHttpInterceptor(component_name="hepafed")],
    )
    try:
        yield Registry(client)
    except httpx.TransportError as error:
        raise RegistryError(
            f"the superlink at {settings.link_address} does not answer"
            f" ({type(error).__name__}): start it with {layout.script}"
        ) from error
    except httpx.HTTPStatusError as error:
        raise RegistryError(f"the superlink refused: {error.response.text[:200]}") from error
    finally:
        client.close()


def read_public_key(content: bytes) -> bytes:
    """Return a site's public key in PEM from the OpenSSH line that it sent.

    Raises
    ------
    RegistryError
        Not an ECDSA P-384 public key; a private one is refused by name.
    """
    if b"PRIVATE KEY" in content:
        raise RegistryError(
            "this is a PRIVATE key: it must never leave the site; have a new pair made, and take"
            " the file that ends in .pub"
        )
    try:
        key = serialization.load_ssh_public_key(content)
    except ValueError as error:
        raise RegistryError("not a public key as action=key writes it (OpenSSH)") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise RegistryError("not an ECDSA P-384 key: make it with client/run.py action=key")
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
