"""Certificate authorities and the certificates that they sign.

Two authorities: the sites trust one, which signs the proxy's certificate; the other stays with
the coordinator and signs the link's, which only the proxy and the coordinator's own commands see.
"""

import datetime
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shared.secret_file import write_secret

AUTHORITY_DAYS = 3650
# A clock that is a little behind must not find a certificate that is not valid yet.
BACKDATED = datetime.timedelta(hours=1)
WARNING_DAYS = 60


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key, as files.

    Attributes
    ----------
    certificate, key : Path
        PEM; the key readable by its owner alone.
    """

    certificate: Path
    key: Path


def make_authority(pair: KeyPair, name: str) -> None:
    """Write a new certificate authority.

    Parameters
    ----------
    pair : KeyPair
        Where to.
    name : str
        Its common name.
    """
    key = ec.generate_private_key(ec.SECP384R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        _builder(subject, subject, key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
        .sign(key, hashes.SHA384())
    )
    _write(pair, certificate, key)


def make_server_certificate(
    pair: KeyPair,
    authority: KeyPair,
    *,
    names: Sequence[str],
    addresses: Sequence[str],
    days: int,
) -> None:
    """Write a new server certificate.

    Parameters
    ----------
    pair : KeyPair
        Where to.
    authority : KeyPair
        Signs it.
    names, addresses : sequence of str
        DNS names and IP addresses (subject alternative names) it holds for.
    days : int
        Validity.

    Raises
    ------
    ValueError
        No name at all, or an address that is none.
    """
    if not names and not addresses:
        raise ValueError("a server certificate needs a name or an address")
    issuer = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    issuer_key = read_private_key(authority.key)
    key = ec.generate_private_key(ec.SECP384R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, [*names, *addresses][0])])
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    certificate = (
        _builder(subject, issuer.subject, key.public_key(), days)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .sign(issuer_key, hashes.SHA384())
    )
    _write(pair, certificate, key)


def hosts_of(certificate: Path) -> set[str]:
    """Return the DNS names and IP addresses that a certificate holds for."""
    read = x509.load_pem_x509_certificate(certificate.read_bytes())
    names = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = names.get_values_for_type(x509.IPAddress)
    return {*names.get_values_for_type(x509.DNSName), *map(str, addresses)}


def expiring(certificates: Iterable[Path]) -> list[str]:
    """Say of each certificate that expires within 60 days, or has expired, what to do about it.

    One that cannot be read is passed over: whoever needs it says so.
    """
    told = []
    for path in certificates:
        try:
            end = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
        except (OSError, ValueError):
            continue
        days = (end - datetime.datetime.now(datetime.UTC)).days
        if days < WARNING_DAYS:
            when = f"expires in {days} days" if days >= 0 else "has expired"
            told.append(
                f"{path}: this certificate {when} ({end:%Y-%m-%d}): make a new one with"
                " server/provision.py action=renew, and restart the proxy and the link"
            )
    return told


def read_private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read an elliptic-curve private key in PEM."""
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path}: not an elliptic-curve key")
    return key


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(pair: KeyPair, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_secret(pair.key, pem)
    pair.certificate.parent.mkdir(parents=True, exist_ok=True)
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
