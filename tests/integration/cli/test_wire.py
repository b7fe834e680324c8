"""`homeport wire` with a real controller and our agent."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli.test_up import connected, kill_and_see_restarted
from tests.support.fixtures import TrackProcess
from tests.support.processes import HOMEPORT, UpProcess, clean_environment, wait_until

RECORDING = "day.jsonl"


@pytest.fixture
def up(data_dir: Path, processes: TrackProcess, cluster_name: str) -> UpProcess:
    """A running `homeport up` with a connected agent."""
    started = processes(UpProcess(data_dir, "--cluster", cluster_name))
    started.start()
    wait_until(lambda: connected(data_dir, cluster_name), "an agent is connected")
    return started


@pytest.fixture
def wire(up: UpProcess, data_dir: Path, tmp_path: Path) -> Iterator[Path]:
    """What a running `homeport wire` writes."""
    assert up.pid
    output = tmp_path / "wire.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [
                HOMEPORT,
                "wire",
                "--heartbeats",
                "--data-dir",
                str(data_dir),
                "--record",
                str(tmp_path / RECORDING),
            ],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=clean_environment() | {"PYTHONUNBUFFERED": "1"},
        )
        try:
            yield output
        finally:
            process.terminate()
            process.wait(10)


@pytest.mark.engine
def test_the_return_of_a_killed_agent_is_seen_from_its_registration_on(up: UpProcess, wire: Path) -> None:
    wait_until(lambda: "HeartbeatAckRequest" in wire.read_text(), "heartbeats are seen")
    kill_and_see_restarted(up, "agent")
    wait_until(lambda: "answers" in _of(wire, "AckRequest"), "the manifest is acknowledged")
    assert "RegisterContainerInstance after" in _of(wire, "RegisterContainerInstance", "answers")
    assert "HeartbeatMessage after" in _of(wire, "HeartbeatAckRequest")
    text = wire.read_text()
    order = ["DiscoverPollEndpoint", "HelloMessage", "TaskInventoryMessage", "TaskManifestMessage"]
    assert sorted(order, key=text.index) == order
    again = subprocess.run(
        [HOMEPORT, "wire", "--heartbeats", "--replay", str(wire.parent / RECORDING)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env=clean_environment(),
    )
    assert again.stdout.startswith(text)
    assert "but by our rules" not in again.stdout
    assert "our rules agree with " in again.stderr


def _of(wire: Path, kind: str, containing: str = "") -> str:
    """The last line of a type that contains a text."""
    lines = [line for line in wire.read_text().splitlines() if f"  {kind}" in line and containing in line]
    return lines[-1] if lines else ""
