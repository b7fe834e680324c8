"""A disk that fills up: what stopped tasks left goes early, and others hear of it until there is room."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.protocol.extensions import InstanceDiskMessage
from tests.integration.engine.harness import Harness
from tests.support.own_engine import own_engine

pytestmark = pytest.mark.engine

DISK_MIB = 64


async def test_what_stopped_tasks_left_makes_room_and_what_runs_stays(
    tmp_path: Path, cluster_name: str
) -> None:
    with own_engine(tmp_path / "dockerd.log", disk=f"{DISK_MIB}m") as engine, engine.client() as client:
        harness = Harness(tmp_path / "agent", cluster_name, engine.image, client)
        await harness.start(docker_host=engine.host, disk_warning_percent=75, disk_full_percent=85)
        told: list[InstanceDiskMessage] = []
        listening = asyncio.create_task(_listen(harness, told))
        try:
            running = await harness.run(network_mode="none")
            filling = f"head -c {DISK_MIB * 2 // 3}m /dev/zero > /filler"
            ended = harness.task(harness.shell(filling, memory=128), network_mode="none")
            await harness.engine.accept((ended,))
            await harness.reported(ended, "STOPPED")

            await harness.eventually(lambda: any(each.status != "OK" for each in told), "the disk fills up")
            pressed = next(each for each in told if each.status != "OK")
            assert pressed.disks[0].percent >= 75
            assert pressed.reason == f"disk {pressed.disks[0].percent} % full on {engine.data_root}"
            await harness.eventually(lambda: told[-1].status == "OK", "there is room again")
            assert harness.containers_of(ended) == []
            assert len(harness.containers_of(running)) == 1
        finally:
            listening.cancel()
            await harness.stop()
            harness.remove_everything()


async def _listen(harness: Harness, told: list[InstanceDiskMessage]) -> None:
    """Hear what a session would."""
    while True:
        await harness.engine.wait_for_disk_change()
        told.append(harness.engine.disks())
