"""Daemon services: one task on each matching instance, first in and last out (ecs-semantics 7.15)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from controller.services import events
from controller.state.entities import (
    Attribute,
    ContainerInstance,
    Service,
    Task,
    TaskDefinition,
    instance_key,
    service_key,
)
from controller.state.indexes import LIVE_TASKS_OF_SERVICE
from tests.unit.services.conftest import Controller, definition, deployment_of

pytestmark = pytest.mark.fake_loop

OTHER = service_key("default", "other")


async def create(
    controller: Controller, definition_: TaskDefinition | None = None, minimum: int = 0, **members: Any
) -> None:
    """A daemon service `web`."""
    await controller.create_service(
        0,
        definition_ or definition(),
        scheduling_strategy="DAEMON",
        minimum_healthy_percent=minimum,
        maximum_percent=100,
        **members,
    )


async def create_other(controller: Controller, desired: int, memory: int) -> None:
    """A REPLICA service `other`."""
    other = replace(definition(memory=memory), family="other")
    deployment = replace(deployment_of(other, 9, controller.clock.now()), service="other")
    await controller.put(
        other,
        Service(cluster="default", name="other", desired_count=desired, created_at=0.0),
        deployment,
    )


def others(controller: Controller) -> list[Task]:
    """Tasks of the service `other` that are not STOPPED."""
    return list(controller.state.read().select(LIVE_TASKS_OF_SERVICE, OTHER).values())


def where(controller: Controller) -> list[str]:
    """Instances of the daemon's tasks that are to run."""
    return sorted(task.instance or "" for task in controller.live)


async def settle(controller: Controller, turns: int = 4) -> None:
    """Tasks start, turn healthy and end."""
    for _ in range(turns):
        await controller.run_all()
        await asyncio.sleep(4)


async def test_each_instance_gets_one_task_those_that_join_later_too(controller: Controller) -> None:
    await controller.add_instance("a1")
    await controller.add_instance("a2")
    await create(controller)
    assert where(controller) == ["a1", "a2"]
    await settle(controller)
    assert (controller.rollout_state, controller.service.desired_count) == ("COMPLETED", 2)
    await controller.add_instance("a3")
    assert where(controller) == ["a1", "a2", "a3"]
    assert controller.service.desired_count == 3
    await settle(controller)
    assert (await controller.events())[-1] == events.STEADY


async def test_only_instances_that_match_get_one_and_lose_it_when_they_match_no_more(
    controller: Controller,
) -> None:
    constraint = {"type": "memberOf", "expression": "attribute:disk == ssd"}
    await controller.add_instance("a1")
    await controller.add_instance("a2")
    await create(controller, options={"placementConstraints": [constraint]})
    assert where(controller) == []
    instance = controller.state.read().get(ContainerInstance, instance_key("default", "a2"))
    assert instance is not None
    await controller.put(replace(instance, attributes=(*instance.attributes, Attribute("disk", "ssd"))))
    assert where(controller) == ["a2"]
    await settle(controller)
    await controller.put(instance)
    assert where(controller) == []
    assert controller.service.desired_count == 0


async def test_a_dead_task_is_replaced_where_it_was(controller: Controller) -> None:
    await controller.add_instance("a1")
    await controller.add_instance("a2")
    await create(controller)
    await settle(controller)
    await controller.report(controller.live[0], "STOPPED")
    assert where(controller) == ["a1", "a2"]


@pytest.mark.parametrize(("minimum", "stopped"), [(0, 4), (50, 2), (75, 1)])
async def test_an_update_stops_first_and_never_has_two_on_one_instance(
    controller: Controller, minimum: int, stopped: int
) -> None:
    for number in range(4):
        await controller.add_instance(f"a{number}")
    await create(controller, minimum=minimum)
    await settle(controller)
    await controller.update_service(definition(2), 2)
    assert sum(task.desired_status == "STOPPED" for task in controller.tasks) == stopped
    for _ in range(12):
        present = [task.instance for task in controller.tasks]
        assert len(present) == len(set(present)) <= 4
        await controller.run_all()
        await asyncio.sleep(4)
    assert [task.revision for task in controller.live] == [2, 2, 2, 2]
    assert [item.id for item in controller.deployments] == ["ecs-svc/2"]


async def test_a_minimum_of_all_says_that_nothing_can_be_updated(controller: Controller) -> None:
    await controller.add_instance("a1")
    await create(controller, minimum=100)
    await settle(controller)
    await controller.update_service(definition(2), 2)
    await asyncio.sleep(60)
    assert [task.revision for task in controller.live] == [1]
    assert (await controller.events()).count(events.DEADLOCK) == 1


async def test_what_a_daemon_needs_is_kept_for_it(controller: Controller) -> None:
    await create(controller, definition(memory=4096))
    await create_other(controller, desired=3, memory=4096)
    await controller.add_instance("a1")
    assert where(controller) == ["a1"]
    assert [task.instance for task in others(controller)] == ["a1"]
    await settle(controller)
    await controller.report(controller.live[0], "STOPPED")
    assert where(controller) == ["a1"]
    assert len(others(controller)) == 1


async def test_the_place_is_kept_while_the_daemon_cannot_start(
    controller: Controller,
) -> None:
    await create(controller, definition(memory=4096))
    await controller.add_instance("a1")
    for _ in range(3):
        await controller.report(controller.live[0], "STOPPED")
    assert where(controller) == []
    await create_other(controller, desired=2, memory=4096)
    assert len(others(controller)) == 1


async def test_on_a_draining_instance_the_daemon_goes_last(controller: Controller) -> None:
    await controller.add_instance("a1")
    await create(controller)
    await create_other(controller, desired=1, memory=128)
    await settle(controller)
    (other,) = others(controller)
    await controller.report(other, "RUNNING")
    await asyncio.sleep(5)
    await controller.add_instance("a2")
    await controller.drain("a1")
    assert where(controller) == ["a1", "a2"]
    assert controller.service.desired_count == 1
    await controller.run_all()
    (replacement,) = (task for task in others(controller) if task.instance == "a2")
    await controller.report(replacement, "RUNNING")
    await asyncio.sleep(5)
    assert where(controller) == ["a1", "a2"]
    await controller.report(other, "STOPPED")
    assert where(controller) == ["a2"]
    await settle(controller)
    assert [task.instance for task in controller.tasks] == ["a2"]


async def test_a_deleted_daemon_service_stops_everywhere(controller: Controller) -> None:
    await controller.add_instance("a1")
    await create(controller)
    await create_other(controller, desired=1, memory=128)
    await settle(controller)
    await controller.change_service(status="DRAINING", desired_count=0)
    assert where(controller) == []
    await settle(controller)
    assert controller.status == "INACTIVE"


async def test_a_restart_of_the_controller_starts_nothing_twice(
    controller: Controller, controllers: Callable[[], Any]
) -> None:
    await controller.add_instance("a1")
    await create(controller)
    await settle(controller)
    before = [task.id for task in controller.tasks]
    again: Controller = await controllers()
    await asyncio.sleep(60)
    assert [task.id for task in again.tasks] == before
