"""An authority of the controller's own and the certificates that it gives: no files, no clock.

An authority that is rotated vouches for its successor with a *bridge*: a certificate of the successor's key
that the predecessor signed. Servers send the bridges along, so that who trusts only the predecessor trusts
the successor's certificates, too, and nothing has to change on the day of the rotation.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFETIME = timedelta(days=3650)
OVERLAP = timedelta(days=400)
"""For so long a former authority still counts: hosts that were off for a year learn the new one."""
AUTHORITY_RENEWAL = 2 * OVERLAP
"""An authority that ends within this time is rotated."""

SERVER_LIFETIME = timedelta(days=90)
SERVER_RENEWAL = SERVER_LIFETIME / 3
"""A server's certificate that ends within this time is renewed."""

CLOCK_ALLOWANCE = timedelta(hours=24)
"""Certificates are valid from so long ago: clocks of other machines may be off."""


@dataclass(frozen=True)
class Authority:
    """An authority with its private key, and those that it has followed, newest first."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate
    former: tuple[x509.Certificate, ...] = ()
    bridges: tuple[x509.Certificate, ...] = ()
    """By each of the former ones, for the one that followed it."""

    @property
    def trusted_pem(self) -> str:
        """The certificates that clients should trust: its own, and the former ones'."""
        return "".join(_pem(certificate) for certificate in (self.certificate, *self.former))


def new_authority(now: float) -> Authority:
    """An authority that begins at `now`, in epoch seconds."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name_of(key.public_key())
    return Authority(key, _authority_certificate(name, key.public_key(), name, key, _time(now)))


def rotated(authority: Authority, now: float) -> Authority:
    """The successor of an authority. The key of the old one is needed no more and is not kept."""
    successor = new_authority(now)
    bridge = _authority_certificate(
        successor.certificate.subject,
        successor.key.public_key(),
        authority.certificate.subject,
        authority.key,
        _time(now),
        latest=authority.certificate.not_valid_after_utc,
    )
    return Authority(
        successor.key,
        successor.certificate,
        former=(authority.certificate, *authority.former),
        bridges=(bridge, *authority.bridges),
    )


def kept_up(authority: Authority, now: float) -> Authority:
    """The authority as it should be at `now`: rotated in good time, and without what has had its day."""
    if authority.certificate.not_valid_after_utc - _time(now) < AUTHORITY_RENEWAL:
        authority = rotated(authority, now)
    kept = 0
    successors = (authority.certificate, *authority.former)
    for successor, former in zip(successors, authority.former, strict=False):
        begun = successor.not_valid_before_utc + CLOCK_ALLOWANCE
        if min(begun + OVERLAP, former.not_valid_after_utc) <= _time(now):
            break
        kept += 1
    if kept == len(authority.former):
        return authority
    return Authority(authority.key, authority.certificate, authority.former[:kept], authority.bridges[:kept])


def write_authority(authority: Authority) -> bytes:
    """Everything of an authority in one PEM file, private key included."""
    pairs = zip(authority.former, authority.bridges, strict=True)
    certificates = [authority.certificate, *(certificate for pair in pairs for certificate in pair)]
    return _pem_of_key(authority.key) + "".join(map(_pem, certificates)).encode()


def read_authority(data: bytes) -> Authority:
    """The authority that `write_authority` wrote.

    Raises:
        ValueError: that is no such file.
    """
    key = serialization.load_pem_private_key(data, password=None)
    own, *others = x509.load_pem_x509_certificates(data)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or own.public_key() != key.public_key():
        raise ValueError("key and certificate do not belong together")
    return Authority(key, own, tuple(others[::2]), tuple(others[1::2]))


def issue(authority: Authority, hosts: Sequence[str], now: float) -> bytes:
    """A new certificate for a server that is reached under these names and addresses: its private key, the
    certificate and the bridges, in PEM.

    A host may have a port: amazon-ecs-agent compares host and port with the certificate when it opens its
    websockets, and Go then takes a name that is the same letter by letter.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Homeport controller")]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_time(now) - CLOCK_ALLOWANCE)
        .not_valid_after(min(_time(now) + SERVER_LIFETIME, issuer.not_valid_after_utc))
        .add_extension(x509.SubjectAlternativeName(_alternatives(hosts)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_identifier_of(authority.key.public_key()), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return _pem_of_key(key) + "".join(map(_pem, (certificate, *authority.bridges))).encode()


def is_current(server: bytes, authority: Authority, hosts: Sequence[str], now: float) -> bool:
    """Whether a server's certificate is the authority's, for these hosts, and has time left."""
    try:
        serialization.load_pem_private_key(server, password=None)
        own, *bridges = x509.load_pem_x509_certificates(server)
    except ValueError:
        return False
    names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return (
        own.issuer == authority.certificate.subject
        and tuple(bridges) == authority.bridges
        and set(names) == set(_alternatives(hosts))
        and own.not_valid_after_utc - _time(now) > SERVER_RENEWAL
    )


def ends_at(server: bytes) -> float:
    """When a server's certificate ends, in epoch seconds."""
    return x509.load_pem_x509_certificates(server)[0].not_valid_after_utc.timestamp()


def _authority_certificate(
    subject: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime,
    latest: datetime | None = None,
) -> x509.Certificate:
    end = now + AUTHORITY_LIFETIME
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_ALLOWANCE)
        .not_valid_after(min(end, latest) if latest else end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(_identifier_of(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _name_of(key: ec.EllipticCurvePublicKey) -> x509.Name:
    """A name of its own for each authority: those who look for an issuer look for its name first."""
    short = x509.SubjectKeyIdentifier.from_public_key(key).digest.hex()[:8]
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Homeport authority {short}")])


def _identifier_of(key: ec.EllipticCurvePublicKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternatives(hosts: Sequence[str]) -> list[x509.GeneralName]:
    return [_alternative(host) for host in hosts]


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _pem_of_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
