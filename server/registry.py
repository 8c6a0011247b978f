"""Which sites the superlink knows: their names and public keys."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    RegisterNodeRequest,
    UnregisterNodeRequest,
)
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.error import ApiErrorCode, FlowerError
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor

from server.layout import CoordinatorSettings, Layout

SITE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
GONE = "unregistered"
NEW_PAIR = "move the old one away, then client/run.py action=key"


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
        sites = [site for site in self._all() if site.status != GONE]
        return sorted(sites, key=lambda site: (site.name, site.node_id))

    def add(self, name: str, public_key: bytes) -> None:
        """Register a site's public key (PEM) under its name.

        Raises
        ------
        RegistryError
            The name is taken, or the key is another site's or was revoked.
        """
        if not SITE_NAME.fullmatch(name):
            raise RegistryError(f"{name!r} is no name for a site: letters, digits, '_', '-', '.'")
        known = self._all()
        if any(site.name == name and site.status != GONE for site in known):
            raise RegistryError(f"{name} is registered: use action=replace, or action=revoke first")
        self._register(name, public_key, known)

    def replace(self, name: str, public_key: bytes) -> None:
        """Exchange a site's key; the old one stands until the new one is registered.

        Called again with the same key it finishes what was broken off.

        Raises
        ------
        RegistryError
            No site of this name, or the key is one that the superlink knows.
        """
        known = self._all()
        old = [site for site in known if site.name == name and site.status != GONE]
        if not old:
            raise RegistryError(f"no site {name!r} is registered: see action=list")
        others = [site for site in old if site.public_key != public_key]
        if not others:
            raise RegistryError(f"{name} has this key already")
        if others == old:
            self._register(name, public_key, known)
        for site in others:
            self._client.UnregisterNode(UnregisterNodeRequest(node_id=site.node_id))

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

    def _all(self) -> list[RegisteredSite]:
        """Return every node that the superlink ever registered, revoked ones too."""
        nodes = self._client.ListNodes(ListNodesRequest()).nodes_info
        return [
            RegisteredSite(node.name, node.node_id, node.status, node.public_key) for node in nodes
        ]

    def _register(self, name: str, public_key: bytes, known: list[RegisteredSite]) -> None:
        """Register a key that must be none of those known: the superlink takes each once."""
        owner = next((site for site in known if site.public_key == public_key), None)
        if owner is not None and owner.status == GONE:
            raise RegistryError(
                f"this key was revoked (it was {owner.name}'s), and a revoked key never returns:"
                f" have a new pair made ({NEW_PAIR})"
            )
        if owner is not None:
            raise RegistryError(
                f"this key is registered for {owner.name}: every site needs its own"
            )
        try:
            self._client.RegisterNode(RegisterNodeRequest(public_key=public_key, name=name))
        except httpx.HTTPStatusError as error:
            answer = FlowerError.from_json(error.response.text)
            if answer is None or answer.code != ApiErrorCode.PUBLIC_KEY_ALREADY_IN_USE:
                raise
            raise RegistryError(
                "the superlink knows this key already, be it revoked: see action=list, or have a"
                f" new pair made ({NEW_PAIR})"
            ) from error


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
    """Return a site's public key in PEM, from the OpenSSH line that it sent or from PEM.

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
    if b"BEGIN CERTIFICATE" in content:
        raise RegistryError("this is a certificate, not a key: take the site's file *.key.pub")
    is_pem = b"BEGIN PUBLIC KEY" in content
    load = serialization.load_pem_public_key if is_pem else serialization.load_ssh_public_key
    try:
        key = load(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise RegistryError(
            "not a public key, neither as action=key writes it (OpenSSH, the site's *.key.pub) nor"
            " as the coordinator keeps it (PEM)"
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise RegistryError("not an ECDSA P-384 key: make it with client/run.py action=key")
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
