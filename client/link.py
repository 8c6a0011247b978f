"""The way to the coordinator: TLS, clock, and whether it knows the site's key."""

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from hashlib import sha256
from pathlib import Path

import httpx
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.proto.fleet_pb2 import ActivateNodeRequest, DeactivateNodeRequest
from flwr.supercore.error import ApiErrorCode, FlowerError
from flwr.supercore.interceptors.http.runtime_version import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.protobuf.client import ProtobufClientInterceptor
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from client.site_file import LinkSettings
from shared.proxies import goes_through_proxy, proxy_variables
from shared.secret_file import write_secret

TIMEOUT_S = 10.0
# Flower's shortest: a probe that is cut off blocks the site no longer than this.
PROBE_HEARTBEAT_S = 30.0
HTTP_OK = 200
# What a proxy says that has no link behind it, or that is not the coordinator's.
NO_LINK = (404, 502, 503, 504)


class LinkError(RuntimeError):
    """The coordinator cannot be reached as it should; the message says what to do."""


class KeyFileError(ValueError):
    """The site's key cannot be used; the message says what to do."""


class Admission(Enum):
    """What the link says to a site that wants to join."""

    FREE = "the key is known and no node holds its place"
    TAKEN = "the key is known and a node counts as joined with it"
    UNKNOWN_KEY = "the key is not registered, or the clocks differ"
    UNREACHABLE = "no link answers"


@dataclass(frozen=True)
class Health:
    """What a site finds at the coordinator's address.

    Attributes
    ----------
    status : int
        HTTP status of ``/health``: 200 where proxy and link are up.
    clock_skew_s : float
        This machine's clock minus the coordinator's.
    certificate_days : float
        Until the proxy's certificate expires.
    """

    status: int
    clock_skew_s: float
    certificate_days: float


def make_key(link: LinkSettings, site: str) -> Path:
    """Make the site's key pair; return the public half's file.

    Raises
    ------
    KeyFileError
        There is one already.
    """
    public = link.key.with_name(f"{link.key.name}.pub")
    if link.key.exists():
        raise KeyFileError(
            f"{link.key} exists: the coordinator may know it; move it away to make another"
        )
    key = ec.generate_private_key(ec.SECP384R1())
    private_text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    write_secret(link.key, private_text)
    line = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    public.write_bytes(line + f" {site}\n".encode())
    return public


def read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read the site's private key.

    Raises
    ------
    KeyFileError
        Absent, readable by others, or not an ECDSA P-384 key.
    """
    if not path.is_file():
        raise KeyFileError(f"{path}: no such file; make it with action=key")
    if path.stat().st_mode & 0o077:
        raise KeyFileError(f"{path} can be read by others: chmod 600 {path}")
    try:
        key = serialization.load_ssh_private_key(path.read_bytes(), None)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path}: not a key as action=key makes it") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP384R1):
        raise KeyFileError(f"{path}: not an ECDSA P-384 key; make one with action=key")
    return key


def key_fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """Return what the coordinator's list shows of a public key."""
    return sha256(public_key_to_bytes(key)).hexdigest()[:16]


def resolve(link: LinkSettings) -> None:
    """Open a connection and close it; where a proxy is in between, that is left to it.

    Raises
    ------
    LinkError
        Unknown name, nothing listening, or a firewall that swallows the attempt.
    """
    if goes_through_proxy(link.host):
        return
    try:
        socket.create_connection((link.host, link.port), timeout=TIMEOUT_S).close()
    except socket.gaierror as error:
        raise LinkError(
            f"the name {link.host} is unknown here: ask your network's office"
        ) from error
    except TimeoutError as error:
        raise LinkError(
            f"no answer in {TIMEOUT_S:.0f} s: have outgoing TCP to {link.address} opened"
        ) from error
    except OSError as error:
        raise LinkError(
            f"{error.strerror or error}: is the coordinator up, is link.address right?"
        ) from error


def ask_health(link: LinkSettings) -> Health:
    """Speak TLS with the coordinator and ask how it is, on the way that the node takes.

    Raises
    ------
    LinkError
        A proxy does not let this site through, the certificate does not verify, or nothing
        sensible answers.
    """
    try:
        context = ssl.create_default_context(cafile=str(link.authority))
    except (OSError, ssl.SSLError) as error:
        raise LinkError(f"{link.authority}: not the authority's certificate of the kit") from error
    try:
        with (
            _client_of(context) as client,
            client.stream("GET", f"https://{link.address}/health") as response,
        ):
            secured = response.extensions["network_stream"].get_extra_info("ssl_object")
            date = response.headers.get("Date")
            return _health(response.status_code, date, secured.getpeercert())
    except httpx.ProxyError as error:
        raise LinkError(f"the proxy refuses ({error}): {_let_through(link)}") from error
    except httpx.HTTPError as error:
        raise LinkError(_what_went_wrong(link, error)) from error
    except ValueError as error:
        raise LinkError(f"no HTTPS at {link.address} ({type(error).__name__})") from error


def _client_of(context: ssl.SSLContext) -> httpx.Client:
    try:
        return httpx.Client(verify=context, timeout=TIMEOUT_S)
    except (ImportError, ValueError) as error:
        # Its words may hold the proxy's address, and that a password.
        variables = ", ".join(proxy_variables())
        raise LinkError(
            f"{variables} names a proxy of a kind that the node cannot use: give one of HTTP"
            " (http://host:port)"
        ) from error


def _what_went_wrong(link: LinkSettings, error: httpx.HTTPError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the certificate does not verify ({cause.verify_message}): is link.authority from"
                " your kit and link.address a name in the certificate? If both are right, somebody"
                " stands in between"
            )
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) and goes_through_proxy(
        link.host
    ):
        return f"the proxy, or the coordinator behind it, cannot be reached: {_let_through(link)}"
    return f"no HTTPS at {link.address} ({type(error).__name__})"


def _let_through(link: LinkSettings) -> str:
    return (
        f"{', '.join(proxy_variables())} sends this site through it; have CONNECT to {link.address}"
        f" opened there, or go directly with NO_PROXY={link.host}"
    )


def why_unreachable(link: LinkSettings) -> str:
    """Return what stands between this site and the link, as far as it can be seen from here."""
    try:
        resolve(link)
        status = ask_health(link).status
    except LinkError as error:
        return str(error)
    if status != HTTP_OK:
        return f"the coordinator's health answers {status}: wait, or ask whether its link runs"
    return "the coordinator's health is good by now"


def _health(status: int, date: str | None, certificate: Mapping[str, object]) -> Health:
    now = datetime.now(UTC)
    # A coordinator that does not say the time cannot be compared with: taken as equal.
    sent = parsedate_to_datetime(date) if date else now
    expires = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    return Health(
        status=status,
        clock_skew_s=(now - sent).total_seconds(),
        certificate_days=(expires - now.timestamp()) / 86400,
    )


def ask_admission(link: LinkSettings) -> Admission:
    """Ask whether the link would take this site now: join with its key, and leave at once.

    Raises
    ------
    KeyFileError
        The key cannot be used.
    """
    key = read_key(link.key)
    interceptors: list[ProtobufClientInterceptor] = [
        RuntimeVersionHttpInterceptor(component_name="SuperNode"),
        NodeAuthHttpInterceptor(key, key.public_key()),
    ]
    public_key = public_key_to_bytes(key.public_key())
    authority = link.authority.read_bytes()
    with FleetHttpClient.from_server_address(
        link.address, False, authority, interceptors=interceptors
    ) as client:
        try:
            node = client.ActivateNode(
                ActivateNodeRequest(public_key=public_key, heartbeat_interval=PROBE_HEARTBEAT_S)
            )
            client.DeactivateNode(DeactivateNodeRequest(node_id=node.node_id))
        except httpx.HTTPStatusError as error:
            if error.response.status_code in NO_LINK:
                return Admission.UNREACHABLE
            return _why_refused(client, public_key)
        except httpx.TransportError:
            return Admission.UNREACHABLE
    return Admission.FREE


def _why_refused(client: FleetHttpClient, public_key: bytes) -> Admission:
    """Tell a key that is not known from one whose place is taken.

    The link refuses both with one code; but it looks for the key before it looks at the
    heartbeat, and has a code of its own for a heartbeat that cannot be.
    """
    try:
        client.ActivateNode(ActivateNodeRequest(public_key=public_key, heartbeat_interval=0))
    except httpx.HTTPStatusError as error:
        answer = FlowerError.from_json(error.response.text)
        if answer is not None and answer.code == ApiErrorCode.FLEET_INVALID_HEARTBEAT_INTERVAL:
            return Admission.TAKEN
        known_status = error.response.status_code in NO_LINK
        return Admission.UNREACHABLE if known_status else Admission.UNKNOWN_KEY
    except httpx.TransportError:
        return Admission.UNREACHABLE
    return Admission.TAKEN
