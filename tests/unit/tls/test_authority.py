"""The authority's certificates, in real handshakes."""

from __future__ import annotations

import ssl
import time
from dataclasses import replace
from pathlib import Path

import pytest

from controller.tls import authority as authorities
from controller.tls.authority import Authority, is_current, issue, kept_up, new_authority, rotated
from controller.tls.context import server_context
from tests.support.tls import accepting, presented, trusting

DAY = 86_400.0
NOW = time.time()
HOSTS = ("localhost", "127.0.0.1", "localhost:8480", "::1")


def serving(folder: Path, server: bytes) -> ssl.SSLContext:
    context = server_context()
    (folder / "server.pem").write_bytes(server)
    context.load_cert_chain(folder / "server.pem")
    return context


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_certificate_holds_for_the_hosts_that_it_names(tmp_path: Path, name: str) -> None:
    authority = new_authority(NOW)
    with accepting(serving(tmp_path, issue(authority, HOSTS, NOW))) as port:
        assert presented(port, trusting(authority.trusted_pem), name)
        with pytest.raises(ssl.SSLCertVerificationError, match="match"):
            presented(port, trusting(authority.trusted_pem), "elsewhere")


def test_nobody_trusts_it_who_trusts_another_authority(tmp_path: Path) -> None:
    with (
        accepting(serving(tmp_path, issue(new_authority(NOW), HOSTS, NOW))) as port,
        pytest.raises(ssl.SSLCertVerificationError, match="issuer"),
    ):
        presented(port, trusting(new_authority(NOW).trusted_pem))


def test_after_rotations_those_that_know_any_of_the_authorities_trust_the_server(tmp_path: Path) -> None:
    first = new_authority(NOW - 20 * DAY)
    second = rotated(first, NOW - 10 * DAY)
    third = rotated(second, NOW)
    with accepting(serving(tmp_path, issue(third, HOSTS, NOW))) as port:
        for known in (first, second, third):
            own = replace(known, former=(), bridges=())
            assert presented(port, trusting(own.trusted_pem))


def test_a_former_authority_has_its_day_and_goes() -> None:
    second = rotated(new_authority(NOW), NOW)
    third = rotated(second, NOW + 100 * DAY)
    assert kept_up(third, NOW + 399 * DAY) is third
    later = kept_up(third, NOW + 401 * DAY)
    assert later.former == (second.certificate,)
    assert later.bridges == third.bridges[:1]
    assert kept_up(third, NOW + 501 * DAY).former == ()


def test_an_authority_is_rotated_long_before_it_ends() -> None:
    authority = new_authority(NOW)
    assert kept_up(authority, NOW + 2800 * DAY) is authority
    successor = kept_up(authority, NOW + 2900 * DAY)
    assert successor.former == (authority.certificate,)
    assert successor.certificate.subject != authority.certificate.subject


@pytest.mark.parametrize("rotations", [0, 1, 2])
def test_an_authority_is_read_as_it_was_written(rotations: int) -> None:
    authority = new_authority(NOW)
    for _ in range(rotations):
        authority = rotated(authority, NOW)
    data = authorities.write_authority(authority)
    read = authorities.read_authority(data)
    assert (read.certificate, read.former, read.bridges) == (
        authority.certificate,
        authority.former,
        authority.bridges,
    )
    assert authorities.write_authority(read) == data


def test_a_damaged_authority_is_told() -> None:
    one, other = (authorities.write_authority(new_authority(NOW)) for _ in range(2))
    mixed = one[: one.index(b"-----BEGIN CERT")] + other[other.index(b"-----BEGIN CERT") :]
    for data in (b"", b"nothing", mixed):
        with pytest.raises(ValueError):
            authorities.read_authority(data)


def test_a_certificate_is_renewed_for_time_for_names_and_for_a_new_authority() -> None:
    authority = new_authority(NOW)
    server = issue(authority, HOSTS, NOW)
    assert is_current(server, authority, tuple(reversed(HOSTS)), NOW + 59 * DAY)
    assert not is_current(server, authority, HOSTS, NOW + 61 * DAY)
    assert not is_current(server, authority, (*HOSTS, "10.0.0.9"), NOW)
    assert not is_current(server, rotated(authority, NOW), HOSTS, NOW)
    assert not is_current(server, new_authority(NOW), HOSTS, NOW)
    assert not is_current(b"half a fi", authority, HOSTS, NOW)


def test_no_representation_shows_the_key() -> None:
    assert "key=" not in repr(Authority(new_authority(NOW).key, new_authority(NOW).certificate))
