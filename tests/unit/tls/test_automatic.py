"""Automatic TLS: what lies in the data directory, and what a context that serves makes of changes."""

from __future__ import annotations

import asyncio
import ssl
import stat
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.protocol.trust import certificates, fingerprint
from controller.bootstrap import CannotStart
from controller.config import ControllerConfig
from controller.tls.automatic import CHECK_INTERVAL_S, AutomaticTls
from controller.tls.hosts import hosts_served
from controller.tls.opening import open_tls
from tests.support.clock import FakeClock
from tests.support.tls import accepting, presented, trusting

DAY = 86_400.0


class Machine:
    """Names of a machine, that may change."""

    def __init__(self) -> None:
        self.hosts = ["127.0.0.1", "localhost"]

    def __call__(self) -> list[str]:
        return self.hosts


def test_files_are_private_and_found_again_at_the_next_start(tmp_path: Path) -> None:
    clock, machine = FakeClock(time.time()), Machine()
    first = AutomaticTls(tmp_path, machine, clock)
    written = {path: path.read_bytes() for path in (tmp_path / "tls").iterdir()}
    assert {path.name for path in written} == {"authority.pem", "ca.pem", "server.pem"}
    for path in written:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    second = AutomaticTls(tmp_path, machine, clock)
    assert second.trusted_pem == first.trusted_pem
    assert {path: path.read_bytes() for path in written} == written


def test_a_certificate_is_renewed_in_place_for_connections_that_come(tmp_path: Path) -> None:
    clock = FakeClock(time.time() - 61 * DAY)
    tls = AutomaticTls(tmp_path, Machine(), clock)
    client = trusting(tls.trusted_pem)
    with accepting(tls.context) as port:
        before = presented(port, client)
        tls.refresh()
        assert presented(port, client) == before
        clock.advance(61 * DAY)
        tls.refresh()
        after = presented(port, client)
    assert after != before


def test_a_new_address_of_the_machine_gets_into_the_certificate(tmp_path: Path) -> None:
    machine = Machine()
    tls = AutomaticTls(tmp_path, machine, FakeClock(time.time()))
    machine.hosts = [*machine.hosts, "new.lan"]
    tls.refresh()
    with accepting(tls.context) as port:
        assert presented(port, trusting(tls.trusted_pem), "new.lan")


def test_rotation_keeps_those_that_know_the_former_authority(tmp_path: Path) -> None:
    tls = AutomaticTls(tmp_path, Machine(), FakeClock(time.time()))
    former = tls.trusted_pem
    tls.rotate()
    present, *others = certificates((tmp_path / "tls" / "ca.pem").read_text())
    assert others == [former]
    assert fingerprint(present) != fingerprint(former)
    with accepting(tls.context) as port:
        assert presented(port, trusting(former)) == presented(port, trusting(present))


def test_an_authority_that_is_forgotten_leads_nobody_to_the_new_one(tmp_path: Path) -> None:
    tls = AutomaticTls(tmp_path, Machine(), FakeClock(time.time()))
    former = tls.trusted_pem
    tls.rotate()
    tls.rotate(forget_former=True)
    assert certificates((tmp_path / "tls" / "ca.pem").read_text()) == [tls.trusted_pem]
    with accepting(tls.context) as port:
        assert presented(port, trusting(tls.trusted_pem))
        with pytest.raises(ssl.SSLCertVerificationError):
            presented(port, trusting(former))


async def test_the_loop_outlives_a_disk_that_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, machine = FakeClock(time.time()), Machine()
    tls = AutomaticTls(tmp_path, machine, clock)
    passes = 0

    async def sleep(seconds: float) -> None:
        nonlocal passes
        assert seconds == CHECK_INTERVAL_S
        passes += 1
        if passes == 3:
            raise asyncio.CancelledError

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr("controller.tls.automatic.write_private", full)
    machine.hosts = ["other.lan"]
    with pytest.raises(asyncio.CancelledError):
        await tls.run()
    assert passes == 3


def test_the_log_tells_of_certificates_and_shows_no_key(tmp_path: Path) -> None:
    with capture_logs() as logs:
        AutomaticTls(tmp_path, Machine(), FakeClock(time.time())).rotate()
    assert [line["event"] for line in logs] == [
        "tls_authority_made",
        "tls_certificate_issued",
        "tls_authority_rotated",
        "tls_certificate_issued",
    ]
    assert "PRIVATE" not in str(logs)


def test_a_damaged_authority_keeps_the_controller_from_starting(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "authority.pem").write_text("rubbish")
    with pytest.raises(CannotStart, match="put its backup back"):
        open_tls(ControllerConfig(tmp_path, tls="auto"), 1, FakeClock())


def test_a_server_that_listens_everywhere_is_named_by_all_its_addresses() -> None:
    config = ControllerConfig(
        Path("/d"), listen_host="0.0.0.0", tls_names=("ecs.lan",), public_url="https://front.lan:443"
    )
    hosts = hosts_served(config, 8480)
    assert {"127.0.0.1", "localhost", "ecs.lan", "front.lan", "ecs.lan:8480", "[::1]:8480"} <= set(hosts)


def test_a_server_on_loopback_is_named_by_nothing_else() -> None:
    hosts = hosts_served(ControllerConfig(Path("/d"), listen_host="127.0.0.1"), 8480)
    assert hosts[: len(hosts) // 2] == ["127.0.0.1", "::1", "localhost"]
