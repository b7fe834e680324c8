"""What systemd is told, over a real socket of its kind."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.protocol.service_manager import ServiceManager

PID = 4711


class Systemd:
    """The receiving end."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)

    def told(self) -> list[str]:
        """The messages that came since the last time."""
        messages = []
        while True:
            try:
                messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["file", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "file" else f"@homeport-test-{os.getpid()}"


@pytest.fixture
def systemd(address: str) -> Iterator[Systemd]:
    receiver = Systemd(address)
    yield receiver
    receiver.close()


def test_start_status_and_end_are_told(systemd: Systemd, address: str) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": address}, PID)
    manager.ready("serving")
    manager.status("busy")
    manager.stopping(2.5)
    assert systemd.told() == [
        "READY=1\nSTATUS=serving",
        "STATUS=busy",
        "STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=2500000",
    ]


@pytest.mark.fake_loop
@pytest.mark.parametrize(
    ("environment", "beats"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 4),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(PID)}, 4),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0),
        ({"WATCHDOG_USEC": "soon"}, 0),
        ({}, 0),
    ],
)
async def test_signs_of_life_come_three_times_within_the_limit(
    systemd: Systemd, address: str, environment: dict[str, str], beats: int
) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": address} | environment, PID)
    async with manager.watched():
        await asyncio.sleep(30.5)
    assert systemd.told() == ["WATCHDOG=1"] * beats
    await asyncio.sleep(60)
    assert systemd.told() == []


def test_without_systemd_nothing_is_told_and_nothing_fails(tmp_path: Path) -> None:
    ServiceManager({}, PID).ready("serving")
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}, PID).ready("serving")
