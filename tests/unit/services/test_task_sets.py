"""Task sets kept at their share of a service's desired count, over hours of fake time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from controller.services import events
from controller.services.task_sets import computed_desired_count, draining
from controller.state.changes import Cause
from controller.state.entities import Service, TaskDefinition, TaskSet
from controller.state.indexes import TASK_SETS_OF_SERVICE
from tests.unit.services.conftest import SERVICE, Controller, definition

pytestmark = pytest.mark.fake_loop

EXTERNAL = {"deploymentController": {"type": "EXTERNAL"}}


def task_set(number: int, scale: float, definition: TaskDefinition, **members: Any) -> TaskSet:
    """A task set of the service `web`; the higher its number, the newer."""
    return TaskSet(
        cluster="default",
        service="web",
        id=f"ecs-svc/{number}",
        family=definition.family,
        revision=definition.revision,
        scale=scale,
        settings={"launchType": "EC2"},
        stability_status_at=0.0,
        created_at=float(number),
        updated_at=float(number),
        **members,
    )


def external_service(desired: int, **members: Any) -> Service:
    """The service that the task sets belong to."""
    return Service(
        cluster="default", name="web", desired_count=desired, options=EXTERNAL, created_at=0.0, **members
    )


def task_sets(controller: Controller) -> dict[str, TaskSet]:
    """The service's task sets by id."""
    found = controller.state.read().select(TASK_SETS_OF_SERVICE, SERVICE).values()
    return {item.id: item for item in found}


def tasks_of(controller: Controller, number: int) -> int:
    """Tasks of a task set that are to run."""
    return sum(task.deployment == f"ecs-svc/{number}" for task in controller.live)


async def change(controller: Controller, number: int, **members: Any) -> None:
    """Put a task set with other members."""
    await controller.put(replace(task_sets(controller)[f"ecs-svc/{number}"], **members))


def test_a_share_of_the_desired_count_is_rounded_up_and_exact() -> None:
    first = definition()
    shares = {(1000, 55.1): 551, (10, 25.0): 3, (3, 1.0): 1, (7, 0.0): 0, (7, 100.0): 7}
    for (desired, scale), expected in shares.items():
        found = computed_desired_count(external_service(desired), task_set(1, scale, first))
        assert found == expected
    assert computed_desired_count(external_service(4), draining(task_set(1, 100.0, first), 1.0)) == 0


async def test_each_task_set_runs_its_share_and_says_when_it_is_steady(controller: Controller) -> None:
    await controller.add_instance("a1")
    blue, green = definition(1), definition(2)
    await controller.put(blue, green, external_service(4), task_set(1, 100.0, blue), task_set(2, 25.0, green))
    await asyncio.sleep(1)
    assert (tasks_of(controller, 1), tasks_of(controller, 2)) == (4, 1)
    assert {task.started_by for task in controller.live} == {"ecs-svc/1", "ecs-svc/2"}
    (of_green,) = [task for task in controller.live if task.deployment == "ecs-svc/2"]
    assert (of_green.group, of_green.revision, of_green.service) == ("service:web", 2, "web")
    assert {item.stability_status for item in task_sets(controller).values()} == {"STABILIZING"}
    await controller.run_all()
    await asyncio.sleep(4)
    assert {item.stability_status for item in task_sets(controller).values()} == {"STEADY_STATE"}
    messages = await controller.events()
    assert f"(service web, taskSet ecs-svc/2) has started 1 tasks: (task {of_green.id})." in messages
    assert f"(service web, taskSet ecs-svc/1) {events.STEADY}" in messages


async def test_the_second_task_set_sees_the_places_that_the_first_one_took(controller: Controller) -> None:
    await controller.add_instance("a1", memory=400)
    first = definition(memory=128)
    await controller.put(first, external_service(2), task_set(1, 100.0, first), task_set(2, 100.0, first))
    await asyncio.sleep(1)
    assert (tasks_of(controller, 1), tasks_of(controller, 2)) == (2, 1)
    await controller.add_instance("a2")
    await asyncio.sleep(1)
    assert (tasks_of(controller, 1), tasks_of(controller, 2)) == (2, 2)


async def test_scale_and_desired_count_move_a_task_set_and_nothing_else(controller: Controller) -> None:
    await controller.add_instance("a1")
    first = definition()
    await controller.put(first, external_service(4), task_set(1, 50.0, first), task_set(2, 50.0, first))
    await controller.run_all()
    await asyncio.sleep(5)
    await change(controller, 1, scale=0.0)
    assert (tasks_of(controller, 1), tasks_of(controller, 2)) == (0, 2)
    stopped = [task for task in controller.tasks if task.desired_status == "STOPPED"]
    assert {task.stopped_reason for task in stopped} == {"Scaling activity initiated by (taskSet ecs-svc/1)"}
    await controller.run_all()
    await controller.change_service(desired_count=8)
    await asyncio.sleep(1)
    assert (tasks_of(controller, 1), tasks_of(controller, 2)) == (0, 4)


async def test_a_dead_or_unhealthy_task_is_replaced_in_its_own_task_set(controller: Controller) -> None:
    await controller.add_instance("a1")
    checked = definition(healthCheck={"command": ["CMD", "true"]})
    await controller.put(checked, external_service(1), task_set(1, 100.0, checked))
    await controller.run_all()
    (task,) = controller.live
    await controller.report(task, "STOPPED")
    (task,) = controller.live
    assert task.deployment == "ecs-svc/1"
    await controller.run_all()
    await controller.report_health(task, "UNHEALTHY")
    await asyncio.sleep(1)
    replacement = next(item for item in controller.live if item.id != task.id)
    assert replacement.deployment == "ecs-svc/1"


async def test_a_drained_task_set_leaves_with_its_last_task(controller: Controller) -> None:
    await controller.add_instance("a1")
    first = definition()
    await controller.put(first, external_service(2), task_set(1, 100.0, first))
    await controller.run_all()
    await controller.put(draining(task_sets(controller)["ecs-svc/1"], controller.clock.now()))
    assert controller.live == []
    assert task_sets(controller)["ecs-svc/1"].status == "DRAINING"
    await controller.run_all()
    await asyncio.sleep(1)
    assert task_sets(controller) == {}
    assert controller.status == "ACTIVE"


async def test_a_deleted_service_is_inactive_once_its_task_sets_have_gone(controller: Controller) -> None:
    await controller.add_instance("a1")
    first = definition()
    await controller.put(first, external_service(2), task_set(1, 100.0, first))
    await controller.run_all()
    leaving = draining(task_sets(controller)["ecs-svc/1"], controller.clock.now())
    await controller.put(replace(controller.service, status="DRAINING", desired_count=0), leaving)
    assert controller.status == "DRAINING"
    await controller.run_all()
    await asyncio.sleep(1)
    assert (controller.status, task_sets(controller)) == ("INACTIVE", {})


async def test_a_task_set_whose_tasks_never_start_is_held_back_alone(controller: Controller) -> None:
    await controller.add_instance("a1")
    bad, good = definition(1), definition(2)
    await controller.put(bad, good, external_service(1), task_set(1, 100.0, bad), task_set(2, 0.0, good))
    for _ in range(3):
        (task,) = controller.live
        await controller.report(task, "STOPPED")
        await asyncio.sleep(0.1)
    assert controller.live == []
    assert task_sets(controller)["ecs-svc/1"].failed_tasks == 3
    await change(controller, 2, scale=100.0)
    assert (tasks_of(controller, 1), tasks_of(controller, 2)) == (0, 1)
    await asyncio.sleep(60)
    assert tasks_of(controller, 1) == 1


async def test_tasks_of_a_task_set_that_is_gone_are_stopped(controller: Controller) -> None:
    await controller.add_instance("a1")
    first = definition()
    await controller.put(first, external_service(1), task_set(1, 100.0, first))
    await controller.run_all()
    with controller.state.transaction(Cause("request", "test")) as transaction:
        transaction.delete(TaskSet, "default/web/ecs-svc/1")
    await asyncio.sleep(1)
    assert controller.live == []


async def test_a_task_sets_steady_state_is_announced_again_every_six_hours(controller: Controller) -> None:
    await controller.add_instance("a1")
    first = definition()
    await controller.put(first, external_service(1), task_set(1, 100.0, first))
    await controller.run_all()
    steady = f"(service web, taskSet ecs-svc/1) {events.STEADY}"
    await asyncio.sleep(60)
    assert (await controller.events()).count(steady) == 1
    await asyncio.sleep(6 * 3600)
    assert (await controller.events()).count(steady) == 2
