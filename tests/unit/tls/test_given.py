"""A certificate that the operator gave."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import pytest

from controller.bootstrap import CannotStart
from controller.config import ControllerConfig
from controller.tls.authority import issue, new_authority
from controller.tls.given import GivenTls
from controller.tls.opening import open_tls
from tests.support.clock import FakeClock
from tests.support.tls import accepting, presented, trusting

AUTHORITY = new_authority(time.time())


def given(folder: Path) -> tuple[Path, Path]:
    """Files of a new certificate and its key."""
    pem = issue(AUTHORITY, ("127.0.0.1",), time.time())
    start = pem.index(b"-----BEGIN CERTIFICATE")
    certificate, key = folder / "server.crt", folder / "server.key"
    certificate.write_bytes(pem[start:])
    key.write_bytes(pem[:start])
    return certificate, key


def test_it_is_served_and_read_again_when_its_files_change(tmp_path: Path) -> None:
    tls = GivenTls(*given(tmp_path), None, tmp_path)
    client = trusting(AUTHORITY.trusted_pem)
    with accepting(tls.context) as port:
        before = presented(port, client)
        tls.refresh()
        assert presented(port, client) == before
        given(tmp_path)
        tls.refresh()
        assert presented(port, client) != before


def test_a_renewal_that_is_half_done_changes_nothing_until_it_is_whole(tmp_path: Path) -> None:
    certificate, key = given(tmp_path)
    tls = GivenTls(certificate, key, None, tmp_path)
    client = trusting(AUTHORITY.trusted_pem)
    with accepting(tls.context) as port:
        before = presented(port, client)
        old_key = key.read_bytes()
        given(tmp_path)
        new_key = key.read_bytes()
        key.write_bytes(old_key)
        with pytest.raises(ssl.SSLError):
            tls.refresh()
        assert presented(port, client) == before
        key.write_bytes(new_key)
        tls.refresh()
        assert presented(port, client) != before


def test_its_authority_is_what_clients_trust(tmp_path: Path) -> None:
    authority = tmp_path / "authority.pem"
    authority.write_text(AUTHORITY.trusted_pem)
    tls = GivenTls(*given(tmp_path), authority, tmp_path)
    assert tls.trusted_pem == AUTHORITY.trusted_pem
    assert (tmp_path / "tls" / "ca.pem").read_text() == AUTHORITY.trusted_pem
    assert GivenTls(*given(tmp_path), None, tmp_path).trusted_pem == ""
    assert not (tmp_path / "tls" / "ca.pem").exists()


def test_files_that_cannot_be_used_keep_the_controller_from_starting(tmp_path: Path) -> None:
    certificate, key = given(tmp_path)
    for wrong in (tmp_path / "none", certificate):
        config = ControllerConfig(tmp_path, tls_certificate=certificate, tls_key=wrong)
        with pytest.raises(CannotStart, match="cannot be used"):
            open_tls(config, 1, FakeClock())
    assert open_tls(ControllerConfig(tmp_path, tls_certificate=certificate, tls_key=key), 1, FakeClock())
