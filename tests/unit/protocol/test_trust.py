"""Fingerprints of authorities."""

from __future__ import annotations

import hashlib
import time

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from agent.protocol.trust import (
    UntrustedAuthority,
    authority_with,
    certificates,
    fingerprint,
    parse_fingerprint,
)
from controller.tls.authority import new_authority

ONE, OTHER = (new_authority(time.time()) for _ in range(2))
DIGITS = hashlib.sha256(ONE.certificate.public_bytes(Encoding.DER)).hexdigest()


def test_a_fingerprint_is_the_sha256_of_the_certificate_itself() -> None:
    assert fingerprint(ONE.trusted_pem) == f"sha256:{DIGITS}"
    assert fingerprint("a comment\n" + ONE.trusted_pem.strip()) == f"sha256:{DIGITS}"


@pytest.mark.parametrize("pem", ["", "rubbish", ONE.trusted_pem + OTHER.trusted_pem])
def test_only_one_certificate_has_a_fingerprint(pem: str) -> None:
    with pytest.raises(ValueError):
        fingerprint(pem)


@pytest.mark.parametrize("text", [DIGITS, f"sha256:{DIGITS}", f" SHA256:{DIGITS.upper()}\n"])
def test_people_write_fingerprints_in_several_ways(text: str) -> None:
    assert parse_fingerprint(text) == f"sha256:{DIGITS}"


@pytest.mark.parametrize("text", ["", "sha256:", DIGITS[1:], DIGITS + "0", f"md5:{DIGITS}", "g" * 64])
def test_what_is_no_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        parse_fingerprint(text)


def test_the_authority_is_found_wherever_it_stands_in_a_bundle() -> None:
    damaged = "-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n"
    bundle = damaged + OTHER.trusted_pem + ONE.trusted_pem
    assert len(certificates(bundle)) == 3
    assert authority_with(bundle, f"sha256:{DIGITS}") == ONE.trusted_pem


@pytest.mark.parametrize("bundle", ["", "rubbish", OTHER.trusted_pem])
def test_what_is_not_there_is_told_with_what_is(bundle: str) -> None:
    with pytest.raises(UntrustedAuthority) as caught:
        authority_with(bundle, f"sha256:{DIGITS}")
    assert DIGITS in str(caught.value)
    assert (fingerprint(bundle) if bundle == OTHER.trusted_pem else "none") in str(caught.value)
