"""The deployment circuit breaker on a real state: what agents report, and what becomes of the deployment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from controller.services.breaker_rules import RULE_TAG, UNPLACED_S
from controller.services.revisions import status_of
from controller.state.entities import Tag
from tests.unit.services.conftest import Controller, definition, deployment_of

pytestmark = pytest.mark.fake_loop

GUARDED: dict[str, Any] = {
    "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
}


async def crash(controller: Controller, times: int) -> None:
    """The second revision's task runs and ends by itself, again and again."""
    for _ in range(times):
        task = next(item for item in controller.live if item.revision == 2)
        await controller.report(task, "RUNNING")
        await asyncio.sleep(1)
        await controller.report(task, "STOPPED")


async def begin(controller: Controller, memory: int = 128, **members: Any) -> None:
    """A service of one healthy task, and an update with another revision."""
    await controller.add_instance("a1")
    await controller.create_service(1, definition(), options=GUARDED, **members)
    await controller.run_all()
    await asyncio.sleep(5)
    (first,) = controller.deployments
    assert first.rollout_state == "COMPLETED"
    second = replace(
        deployment_of(definition(2), 2, controller.clock.now()), rolls_back_to=first.id, sources=(first.id,)
    )
    await controller.put(definition(2, memory=memory), replace(first, status="ACTIVE"), second)


async def test_a_crash_loop_is_rolled_back_and_the_old_task_runs_on(controller: Controller) -> None:
    await begin(controller)
    (old,) = (task for task in controller.live if task.revision == 1)
    await crash(controller, 3)
    await asyncio.sleep(5)
    assert [task.id for task in controller.tasks] == [old.id]
    (deployment,) = controller.deployments
    assert (deployment.id, deployment.rollout_state) == ("ecs-svc/1", "COMPLETED")
    ended = await controller.state.history.ended_deployments("default/web", 10)
    assert [(item.id, status_of(item)) for item in ended] == [("ecs-svc/2", "ROLLBACK_SUCCESSFUL")]
    said = await controller.events()
    assert said.count("rolling back to deployment ecs-svc/1.") == 1
    assert any(text.startswith("(deployment ecs-svc/2) deployment failed: ") for text in said)


async def test_under_the_strict_rule_a_crash_loop_goes_on(controller: Controller) -> None:
    await begin(controller, tags=(Tag(RULE_TAG, "ecs"),))
    await crash(controller, 5)
    assert controller.rollout_state == "IN_PROGRESS"
    assert controller.deployments[0].breaker.failures == 0


async def test_the_count_survives_a_restart_of_the_controller(
    controller: Controller, controllers: Callable[[], Any]
) -> None:
    await begin(controller)
    await crash(controller, 2)
    assert controller.deployments[0].breaker.failures == 2
    again: Controller = await controllers()
    await again.connect("a1")
    await crash(again, 1)
    await asyncio.sleep(5)
    assert [(item.id, item.rollout_state) for item in again.deployments] == [("ecs-svc/1", "COMPLETED")]


async def test_a_deployment_that_finds_no_place_fails_in_the_end(controller: Controller) -> None:
    await begin(controller, memory=100_000)
    await asyncio.sleep(3 * UNPLACED_S - 1)
    assert controller.rollout_state == "IN_PROGRESS"
    await asyncio.sleep(10)
    assert [(item.id, item.rollout_state) for item in controller.deployments] == [("ecs-svc/1", "COMPLETED")]
    assert any("deployment failed" in text and "memory" in text for text in await controller.events())


async def test_a_task_that_was_seen_healthy_resets_the_count_no_second_time(controller: Controller) -> None:
    await begin(controller)
    await crash(controller, 2)
    await controller.change_service(desired_count=2)
    good, bad = (task for task in controller.live if task.revision == 2)
    await controller.report(good, "RUNNING")
    await asyncio.sleep(4)
    assert controller.deployments[0].breaker.failures == 0
    assert controller.task(good.id).was_healthy
    await controller.report(bad, "STOPPED")
    await controller.change_service(health_check_grace_period_s=1)
    assert controller.deployments[0].breaker.failures == 1
