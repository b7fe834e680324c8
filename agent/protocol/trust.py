"""Whom to trust as the controller: certificates of authorities, known by their fingerprints.

A controller with an authority of its own publishes its certificate at ``AUTHORITIES_PATH``. Whoever knows its
fingerprint, from a person or a token, can fetch it from anybody, and from then on verify every connection.
"""

import hashlib
import re
import ssl

AUTHORITIES_PATH = "/ca.pem"
FINGERPRINT_PREFIX = "sha256:"

_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)


class UntrustedAuthority(Exception):
    """No authority that was presented has the fingerprint that was expected."""


def certificates(pem: str) -> list[str]:
    """The certificates of a bundle, one by one."""
    return _CERTIFICATE.findall(pem)


def fingerprint(certificate: str) -> str:
    """``sha256:`` and the hexadecimal SHA-256 of a certificate, which is given in PEM.

    Raises ``ValueError`` if it is none, or more than one.
    """
    found = certificates(certificate)
    if len(found) != 1:
        raise ValueError("that is not one certificate")
    return FINGERPRINT_PREFIX + hashlib.sha256(ssl.PEM_cert_to_DER_cert(found[0])).hexdigest()


def parse_fingerprint(text: str) -> str:
    """A fingerprint as people write it, with or without prefix, colons and capitals, in our own form.

    Raises ``ValueError``.
    """
    digits = text.strip().lower().removeprefix(FINGERPRINT_PREFIX).replace(":", "")
    if not re.fullmatch("[0-9a-f]{64}", digits):
        raise ValueError("accepted is sha256: and 64 hexadecimal digits")
    return FINGERPRINT_PREFIX + digits


def authority_with(pem: str, expected: str) -> str:
    """The certificate of a bundle that has a fingerprint. Raises ``UntrustedAuthority`` if there is none."""
    present = {}
    for certificate in certificates(pem):
        try:
            present[fingerprint(certificate)] = certificate
        except ValueError:
            continue
    if expected not in present:
        found = ", ".join(present) or "none"
        raise UntrustedAuthority(f"its authority is {found}, expected was {expected}")
    return present[expected]
