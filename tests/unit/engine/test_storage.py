"""A disk that fills up: what is removed, and when others hear of it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from agent.config import AgentConfig
from agent.engine.disk import Disks, Fill
from agent.engine.docker import Docker
from agent.engine.errors import EngineUnavailableError
from agent.engine.image_cleanup import ImageCleanup
from agent.engine.image_ledger import ImageLedger
from agent.engine.janitor import Janitor
from agent.engine.orphaned_volumes import OrphanedVolumes
from agent.engine.storage import LOOK_S, RELIEF_S, Storage
from agent.protocol.signing import Credentials
from tests.support.clock import FakeClock

INTERVAL_S = 600.0
MINIMUM_AGE_S = 3600.0


class Machine:
    """A disk that tests fill, and what was asked for to make room."""

    def __init__(self, tmp_path: Path, clock: FakeClock) -> None:
        self.percent = 10
        self.asked: list[Any] = []
        self.engine_answers = True
        self.hangs = False
        config = AgentConfig(
            credentials=Credentials("key", "secret"),
            data_dir=tmp_path,
            image_cleanup_interval_s=INTERVAL_S,
            image_minimum_cleanup_age_s=MINIMUM_AGE_S,
        )
        self.measured: list[Path] = []
        self.storage = Storage(
            cast("Disks", self),
            cast("Docker", self),
            cast("Janitor", self),
            cast("ImageCleanup", self),
            cast("OrphanedVolumes", self),
            ImageLedger((), clock, lambda _: None, lambda _: None),
            config,
            clock,
        )

    async def measure(self, paths: list[Path]) -> tuple[Fill, ...]:
        self.measured = paths
        return (Fill("/var/lib/docker", 1000, self.percent * 10, 1000 - self.percent * 10),)

    async def close(self) -> None:
        pass

    async def facts(self) -> tuple[dict[str, str], dict[str, str]]:
        if not self.engine_answers:
            raise EngineUnavailableError("no engine")
        return {"DockerRootDir": "/var/lib/docker"}, {}

    async def relieve(self, enough: Callable[[], Awaitable[bool]]) -> None:
        self.asked.append("tasks")
        if self.hangs:
            await asyncio.Event().wait()
        await enough()

    async def remove(self) -> None:
        self.asked.append("volumes")

    async def clean_up(
        self, minimum_age_s: float, most: int | None, enough: Callable[[], Awaitable[bool]]
    ) -> None:
        self.asked.append((minimum_age_s, most))
        await enough()


@pytest.fixture
async def machine(tmp_path: Path, fake_clock: FakeClock) -> Machine:
    return Machine(tmp_path, fake_clock)


async def running(machine: Machine, seconds: float) -> None:
    """Let the storage work for a while."""
    task = asyncio.create_task(machine.storage.run())
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await machine.storage.close()


async def test_with_room_images_go_by_age_and_count_now_and_then(machine: Machine) -> None:
    await running(machine, 2 * INTERVAL_S + LOOK_S)
    assert machine.asked == ["volumes", (MINIMUM_AGE_S, 5)] * 2


async def test_a_disk_that_fills_up_loses_stopped_tasks_and_then_images_of_some_age(machine: Machine) -> None:
    machine.percent = 80
    await running(machine, LOOK_S / 2)
    assert machine.asked == ["tasks", "volumes", (MINIMUM_AGE_S, None)]
    assert machine.storage.condition.status == "WARNING"


async def test_a_full_disk_loses_images_of_any_age_again_and_again(machine: Machine) -> None:
    machine.percent = 90
    await running(machine, RELIEF_S + LOOK_S)
    assert machine.asked[:3] == ["tasks", "volumes", (0.0, None)]
    assert machine.asked == machine.asked[:3] * 2


async def test_an_engine_that_hangs_while_room_is_made_delays_no_measurement(machine: Machine) -> None:
    machine.percent = 90
    machine.hangs = True
    running_storage = asyncio.create_task(machine.storage.run())
    await asyncio.sleep(LOOK_S)
    machine.percent = 50
    await asyncio.sleep(2 * LOOK_S)
    assert machine.asked == ["tasks"]
    assert machine.storage.condition.status == "OK"
    running_storage.cancel()
    await asyncio.gather(running_storage, return_exceptions=True)


async def test_others_hear_of_every_change_and_of_the_recovery(machine: Machine) -> None:
    changed = machine.storage.wait_for_change
    await machine.storage.look()
    await asyncio.wait_for(changed(), 1)
    machine.percent = 91
    assert (await machine.storage.look()).reason == "disk 91 % full on /var/lib/docker"
    await asyncio.wait_for(changed(), 1)
    await machine.storage.look()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(changed(), 1)
    machine.percent = 20
    assert (await machine.storage.look()).status == "OK"
    await asyncio.wait_for(changed(), 1)
    await machine.storage.close()


async def test_without_an_engine_the_agents_own_disk_is_watched(machine: Machine, tmp_path: Path) -> None:
    machine.engine_answers = False
    await machine.storage.look()
    assert machine.measured == [tmp_path]
    machine.engine_answers = True
    await machine.storage.look()
    assert machine.measured == [Path("/var/lib/docker"), tmp_path]
    await machine.storage.close()
