"""Scale-in protection: what the step leaves alone, and when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

from msgspec.structs import replace

from controller.services import events
from controller.services.limits import cannot_roll
from controller.state.entities import Task
from tests.support.clock import FakeClock
from tests.unit.services.conftest import Controller, definition
from tests.unit.services.simulation import World, deployment, service
from tests.unit.services.test_step_simulation import CASES

HOUR_S = 3600.0


def world_of(desired: int, minimum: int = 100, maximum: int = 200, *, rolling: bool) -> World:
    """A service whose tasks run, of an old deployment if it is rolling."""
    old = replace(deployment(1), rollout_state="COMPLETED", steady=True)
    world = World(
        service=service(desired, minimum, maximum),
        primary=deployment(2) if rolling else old,
        older=[replace(old, status="ACTIVE")] if rolling else [],
        room=100,
    )
    for _ in range(desired):
        world.add(old.id)
    return world


def protect(world: World, task_id: str, *, protected: bool = True) -> None:
    world.tasks[task_id] = replace(world.tasks[task_id], protected=protected)


def test_scaling_in_passes_protected_tasks_by() -> None:
    world = world_of(3, rolling=False)
    protect(world, "t0001")
    world.service = replace(world.service, desired_count=1)
    assert {stop.task_id for stop in world.turn().stops} == {"t0002", "t0003"}


def test_more_protected_tasks_than_desired_are_announced_once() -> None:
    world = world_of(2, rolling=False)
    for task_id in list(world.tasks):
        protect(world, task_id)
    world.service = replace(world.service, desired_count=1)
    decision = world.turn()
    assert not decision.stops
    assert not decision.steady
    assert events.cannot_scale_in("ecs-svc/1") in world.messages
    assert not world.turn().announcements


def test_a_deployment_waits_for_protection_to_end() -> None:
    world = world_of(2, rolling=True)
    protect(world, "t0001")
    assert not world.run(Random(1))
    assert world.tasks["t0001"].protected
    assert len(world.tasks) == 3
    protect(world, "t0001", protected=False)
    assert world.run(Random(1))


def test_a_deployment_that_only_protection_holds_does_not_blame_its_configuration() -> None:
    world = world_of(1, 0, 100, rolling=True)
    protect(world, "t0001")
    decision = world.turn()
    assert decision.summary == "waits for the protection of tasks to end"
    assert not decision.announcements


def test_an_unhealthy_task_is_replaced_though_it_is_protected() -> None:
    world = world_of(2, rolling=False)
    world.tasks["t0001"] = replace(world.tasks["t0001"], protected=True, healthy=False, unhealthy=True)
    assert world.run(Random(1))
    assert "t0001" not in world.tasks


def test_no_protected_task_is_ever_stopped_and_all_goes_on_when_protection_ends() -> None:
    for desired, minimum, maximum in CASES:
        random = Random(f"{desired} {minimum} {maximum}")
        world = world_of(desired, minimum, maximum, rolling=True)
        protected = random.sample(sorted(world.tasks), random.randint(1, desired))
        for task_id in protected:
            protect(world, task_id)
        world.service = replace(world.service, desired_count=random.randint(0, desired))
        world.run(random)
        assert all(task_id in world.tasks and not world.tasks[task_id].stopping for task_id in protected)
        for task_id in protected:
            protect(world, task_id, protected=False)
        if not cannot_roll(world.service.desired_count, minimum, maximum):
            assert world.run(random), (desired, minimum, maximum, world.shape)


async def _protected(controller: Controller, seconds: float) -> Task:
    """The one task of a service, protected for so long."""
    await controller.add_instance("a1")
    await controller.create_service(1, definition())
    await controller.run_all()
    (task,) = controller.live
    running = controller.task(task.id)
    await controller.put(replace(running, protected_until=controller.clock.now() + seconds))
    return task


async def test_protection_ends_by_itself_whatever_the_wall_clock_does(
    controller: Controller, fake_clock: FakeClock
) -> None:
    task = await _protected(controller, HOUR_S)
    await controller.change_service(desired_count=0)
    fake_clock.jump_wall(10 * HOUR_S)
    await asyncio.sleep(HOUR_S - 10)
    assert controller.task(task.id).desired_status == "RUNNING"
    await asyncio.sleep(12)
    assert controller.task(task.id).protected_until is None
    assert controller.task(task.id).desired_status == "STOPPED"


async def test_what_is_left_of_a_protection_survives_a_restart(
    controller: Controller, controllers: Callable[[], Any]
) -> None:
    task = await _protected(controller, HOUR_S)
    await asyncio.sleep(HOUR_S / 2)
    controller = await controllers()
    await asyncio.sleep(HOUR_S / 2 - 10)
    assert controller.task(task.id).protected_until is not None
    await asyncio.sleep(12)
    assert controller.task(task.id).protected_until is None


async def test_a_deleted_service_stops_protected_tasks_too(controller: Controller) -> None:
    task = await _protected(controller, HOUR_S)
    await controller.change_service(status="DRAINING", desired_count=0)
    assert controller.task(task.id).desired_status == "STOPPED"
