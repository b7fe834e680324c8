"""Bake time: a deployment is watched for a while before it is COMPLETED."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from controller.services import events
from controller.services.revisions import status_of
from tests.unit.services.conftest import Controller, definition, deployment_of

pytestmark = pytest.mark.fake_loop

BREAKER = {"enable": True, "rollback": True, "resetOnHealthyTask": False}


async def begin(controller: Controller, minutes: int = 10) -> None:
    """A service of one task is steady, and its first deployment bakes."""
    options = {"deploymentConfiguration": {"bakeTimeInMinutes": minutes, "deploymentCircuitBreaker": BREAKER}}
    await controller.add_instance("a1")
    await controller.create_service(1, definition(), options=options)
    await controller.run_all()
    await asyncio.sleep(4)


async def update(controller: Controller) -> None:
    """The second deployment of a service whose first has completed bakes."""
    first = controller.deployments[0]
    second = replace(
        deployment_of(definition(2), 2, controller.clock.now()), rolls_back_to=first.id, sources=(first.id,)
    )
    await controller.put(definition(2), replace(first, status="ACTIVE"), second)
    for _ in range(3):
        await controller.run_all()
        await asyncio.sleep(4)


async def test_a_steady_deployment_completes_when_its_bake_time_is_over(controller: Controller) -> None:
    await begin(controller)
    assert await controller.events() == [
        f"has started 1 tasks: (task {controller.live[0].id}).",
        events.STEADY,
    ]
    await asyncio.sleep(590)
    states = [controller.rollout_state]
    await asyncio.sleep(10)
    assert [*states, controller.rollout_state] == ["IN_PROGRESS", "COMPLETED"]


async def test_a_replaced_task_does_not_start_it_anew(controller: Controller) -> None:
    await begin(controller)
    await asyncio.sleep(300)
    await controller.report(controller.live[0], "STOPPED")
    await controller.run_all()
    await asyncio.sleep(300)
    assert controller.rollout_state == "COMPLETED"


async def test_it_goes_on_after_a_restart_of_the_controller(
    controller: Controller, controllers: Callable[[], Any]
) -> None:
    await begin(controller)
    await asyncio.sleep(300)
    again: Controller = await controllers()
    await again.connect("a1")
    await asyncio.sleep(280)
    states = [again.rollout_state]
    await asyncio.sleep(20)
    assert [*states, again.rollout_state] == ["IN_PROGRESS", "COMPLETED"]


async def test_a_slow_crash_loop_is_rolled_back_while_the_deployment_bakes(controller: Controller) -> None:
    await begin(controller)
    await asyncio.sleep(600)
    await update(controller)
    assert [task.revision for task in controller.tasks] == [2]
    assert [item.status for item in controller.deployments] == ["PRIMARY", "INACTIVE"]
    for _ in range(3):
        (task,) = (item for item in controller.live if item.revision == 2)
        await controller.report(task, "RUNNING")
        await asyncio.sleep(30)
        await controller.report(task, "STOPPED")
    for _ in range(3):
        await controller.run_all()
        await asyncio.sleep(4)
    assert [task.revision for task in controller.tasks] == [1]
    assert [(item.id, item.rollout_state) for item in controller.deployments] == [("ecs-svc/1", "COMPLETED")]
    (failed, *_) = await controller.state.history.ended_deployments("default/web", 10)
    assert (failed.id, status_of(failed)) == ("ecs-svc/2", "ROLLBACK_SUCCESSFUL")


async def test_no_bake_time_completes_at_once(controller: Controller) -> None:
    await begin(controller, minutes=0)
    assert controller.rollout_state == "COMPLETED"
    assert controller.deployments[0].baking_since is None
