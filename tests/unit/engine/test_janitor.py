"""When what a stopped task left behind is removed, and how long its ARN is remembered."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec.structs import replace

from agent.checkpoint import Checkpoint
from agent.engine.book import TaskBook, TaskRecord
from agent.engine.docker import Docker
from agent.engine.errors import CannotRemoveContainerError, CgroupError
from agent.engine.janitor import TOMBSTONES_KEPT_S, Janitor
from agent.engine.outbox import acknowledged, unsent_change
from tests.support.clock import FakeClock
from tests.unit.engine.builders import ARN, Machine, acs_task, container, exited, plan

WAIT_S = 100.0
MOST = 2


class FlakyDocker:
    """Removes containers, or fails to."""

    def __init__(self) -> None:
        self.removed: list[str] = []
        self.broken = False

    async def remove(self, name: str) -> None:
        if self.broken:
            raise CannotRemoveContainerError("device or resource busy")
        self.removed.append(name)


class Scene:
    """A book with one stopped task, and the janitor who minds it."""

    def __init__(self, checkpoint: Checkpoint, ended: dict[str, float], longer_s: float = 0.0) -> None:
        self.clock = FakeClock()
        self.docker = FlakyDocker()
        self.cgroup_in_use = False
        self.book = TaskBook(checkpoint, lambda *_: None, lambda _: None)
        self.cgroups_removed: list[str] = []
        self.janitor = Janitor(
            self.book,
            cast("Docker", self.docker),
            self._remove_cgroup,
            self.clock,
            WAIT_S,
            MOST,
            ended,
            lambda: longer_s,
        )
        machine = Machine(plan()).run_up()
        machine.happen(exited("web", 0, at=self.clock.now()))
        self.record = TaskRecord(acs_task(), machine.plan, machine.state)
        self.book.add(self.record)

    async def _remove_cgroup(self, task_arn: str) -> None:
        if self.cgroup_in_use:
            raise CgroupError("device or resource busy")
        self.cgroups_removed.append(task_arn)

    def acknowledge(self) -> None:
        """The controller has heard everything."""
        while (change := unsent_change(self.record.plan, self.record.state)) is not None:
            self.record.state = acknowledged(self.record.plan, self.record.state, change)


@pytest.fixture
async def checkpoint(tmp_path: Path) -> AsyncIterator[Checkpoint]:
    opened = Checkpoint(tmp_path / "agent.db")
    yield opened
    await opened.close()


@pytest.fixture
def scene(checkpoint: Checkpoint) -> Any:
    return Scene(checkpoint, {})


async def test_containers_stay_for_a_while_and_then_go(scene: Scene) -> None:
    scene.acknowledge()
    scene.janitor.mind(scene.record)
    scene.clock.advance(WAIT_S - 60)
    await scene.janitor.clean_up()
    assert scene.docker.removed == []

    scene.clock.advance(61)
    await scene.janitor.clean_up()
    assert scene.docker.removed == ["docker-web"]
    assert scene.book.get(ARN) is None
    assert scene.janitor.has_ended(ARN)


async def test_containers_stay_so_much_longer_as_was_drawn_for_them(checkpoint: Checkpoint) -> None:
    scene = Scene(checkpoint, {}, longer_s=90)
    scene.acknowledge()
    scene.janitor.mind(scene.record)
    scene.clock.advance(WAIT_S + 89)
    await scene.janitor.clean_up()
    assert scene.docker.removed == []

    scene.clock.advance(2)
    await scene.janitor.clean_up()
    assert scene.docker.removed == ["docker-web"]


async def test_nothing_goes_before_the_controller_knows_that_the_task_stopped(scene: Scene) -> None:
    scene.janitor.mind(scene.record)
    scene.clock.advance(10 * WAIT_S)
    await scene.janitor.clean_up()
    assert scene.docker.removed == []

    scene.acknowledge()
    await scene.janitor.clean_up()
    assert scene.docker.removed == ["docker-web"]


async def test_a_jump_of_the_wall_clock_hastens_nothing(scene: Scene) -> None:
    scene.acknowledge()
    scene.janitor.mind(scene.record)
    scene.clock.jump_wall(30 * 24 * 3600.0)
    await scene.janitor.clean_up()

    assert scene.docker.removed == []


async def test_after_a_restart_only_what_is_left_of_the_time_is_waited_for(scene: Scene) -> None:
    scene.acknowledge()
    scene.clock.advance(WAIT_S - 1)
    scene.janitor.mind(scene.record)
    scene.clock.advance(2)
    await scene.janitor.clean_up()

    assert scene.docker.removed == ["docker-web"]


async def test_a_removal_that_fails_is_tried_again(scene: Scene) -> None:
    scene.acknowledge()
    scene.janitor.mind(scene.record)
    scene.clock.advance(WAIT_S + 1)
    scene.docker.broken = True
    await scene.janitor.clean_up()
    assert scene.book.get(ARN) is scene.record

    scene.docker.broken = False
    await scene.janitor.clean_up()
    assert scene.book.get(ARN) is None


async def test_a_tasks_cgroup_goes_after_its_containers_and_is_tried_again_until_it_has_gone(
    scene: Scene,
) -> None:
    scene.acknowledge()
    scene.janitor.mind(scene.record)
    scene.clock.advance(WAIT_S + 1)
    scene.cgroup_in_use = True
    await scene.janitor.clean_up()
    assert scene.docker.removed == ["docker-web"]
    assert scene.book.get(ARN) is scene.record

    scene.cgroup_in_use = False
    await scene.janitor.clean_up()
    assert scene.cgroups_removed == [ARN]
    assert scene.book.get(ARN) is None


async def test_an_arn_is_remembered_for_seven_days_of_real_time(checkpoint: Checkpoint) -> None:
    start = FakeClock().now()
    scene = Scene(checkpoint, {"old": start - TOMBSTONES_KEPT_S + 60, "new": start - 60})
    scene.clock.jump_wall(TOMBSTONES_KEPT_S)
    await scene.janitor.clean_up()
    assert scene.janitor.has_ended("old")

    scene.clock.advance(61)
    await scene.janitor.clean_up()
    assert not scene.janitor.has_ended("old")
    assert scene.janitor.has_ended("new")


def add_stopped(scene: Scene, count: int) -> list[TaskRecord]:
    """More tasks that have stopped, one after the other, and that the controller knows of."""
    added = []
    for number in range(count):
        scene.clock.advance(1)
        named = replace(container("web"), docker_name=f"web-{number}")
        own = replace(plan(named), arn=f"{ARN}{number}")
        machine = Machine(own).run_up()
        machine.happen(exited("web", 0, at=scene.clock.now()))
        record = TaskRecord(acs_task(arn=own.arn), machine.plan, machine.state)
        while (change := unsent_change(record.plan, record.state)) is not None:
            record.state = acknowledged(record.plan, record.state, change)
        scene.book.add(record)
        scene.janitor.mind(record)
        added.append(record)
    return added


async def test_of_too_many_stopped_tasks_the_oldest_go_early(scene: Scene) -> None:
    add_stopped(scene, MOST + 2)
    await scene.janitor.clean_up()

    assert scene.docker.removed == ["web-0", "web-1"]


async def test_a_disk_that_fills_up_has_stopped_tasks_removed_until_it_is_enough(scene: Scene) -> None:
    add_stopped(scene, 3)

    async def enough() -> bool:
        return len(scene.docker.removed) == 2

    await scene.janitor.relieve(enough)
    assert scene.docker.removed == ["web-0", "web-1"]


async def test_of_a_task_whose_end_the_controller_does_not_know_only_what_takes_space_goes(
    scene: Scene,
) -> None:
    scene.janitor.mind(scene.record)

    async def never() -> bool:
        return False

    await scene.janitor.relieve(never)
    await scene.janitor.relieve(never)
    assert scene.docker.removed == ["docker-web"]
    assert unsent_change(scene.record.plan, scene.record.state) is not None
    assert scene.book.get(ARN) is scene.record

    scene.acknowledge()
    scene.clock.advance(WAIT_S)
    await scene.janitor.clean_up()
    assert scene.book.get(ARN) is None
