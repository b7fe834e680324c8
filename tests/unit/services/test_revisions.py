"""Service deployments: how they end, what they can be rolled back to, and what an abort leaves."""

from __future__ import annotations

from collections import Counter
from random import Random

from msgspec.structs import replace

from controller.services.revisions import abort, last_completed, roll_back, status_of, superseded
from controller.state.entities import Deployment
from tests.unit.services.conftest import Controller, definition
from tests.unit.services.simulation import World, deployment, service


def rolling(desired: int = 2) -> World:
    """A service whose tasks run, of a completed deployment that a new one is to replace."""
    old = replace(deployment(1), rollout_state="COMPLETED", outcome="SUCCESSFUL", status="ACTIVE")
    world = World(
        service=service(desired, 0, 100),
        primary=deployment(2, sources=(old.id,), rolls_back_to=old.id),
        older=[old],
        room=100,
    )
    for _ in range(desired):
        world.add(old.id)
    return world


def test_what_completes_is_successful_and_what_it_replaced_leaves_only_then() -> None:
    world = rolling()
    for _ in range(2):
        world.turn()
        for task in [task for task in world.tasks.values() if task.stopping]:
            del world.tasks[task.id]
    (old,) = world.older
    assert old.status == "INACTIVE"
    assert all(task.deployment == world.primary.id for task in world.tasks.values())
    assert world.run(Random(1))
    assert not world.older
    assert (world.primary.outcome, world.primary.rollout_state) == ("SUCCESSFUL", "COMPLETED")
    assert world.primary.finished_at is not None


def test_a_rollback_keeps_old_tasks_that_are_left_and_ends_when_the_service_is_steady() -> None:
    world = rolling(4)
    world.service = replace(world.service, minimum_healthy_percent=50)
    world.turn()
    failed, again = roll_back(world.primary, world.older[0], "Stopped by a test", 9.0)
    assert failed.rollout_state_reason.endswith("rolling back to deploymentId ecs-svc/1.")
    world.primary, world.older = again, [failed]
    kept = {task.id for task in world.tasks.values() if not task.stopping}
    assert len(kept) == 2
    removed: list[Deployment] = []
    while not world.primary.steady:
        removed += world.turn().removed
        for move in world.moves():
            move()
    removed += world.turn().removed
    assert kept <= set(world.tasks)
    assert [(item.id, item.outcome) for item in removed] == [("ecs-svc/2", "ROLLBACK_SUCCESSFUL")]
    assert status_of(world.primary) == "SUCCESSFUL"


def test_an_aborted_deployment_starts_nothing_and_replaces_nothing() -> None:
    world = rolling(2)
    world.service = replace(world.service, maximum_percent=200)
    world.turn()
    world.primary = abort(world.primary, "Stopped by a test", 9.0)
    assert status_of(world.primary) == "STOPPED"
    running = set(world.tasks)
    for _ in range(3):
        for move in world.moves():
            move()
        decision = world.turn()
        assert not decision.starts
    # Scaling in still holds: four tasks of two deployments are too many.
    assert len(world.tasks) == 2
    assert set(world.tasks) <= running
    gone = next(iter(world.tasks))
    del world.tasks[gone]
    assert world.turn().summary == "starts nothing: its deployment has failed"


def test_a_newer_deployment_ends_what_was_going_on() -> None:
    going, back = deployment(2), replace(deployment(1), outcome="ROLLBACK_IN_PROGRESS")
    ended = superseded(going, 5.0)
    assert (ended.status, ended.outcome, ended.stopped_at) == ("ACTIVE", "STOPPED", 5.0)
    assert superseded(back, 5.0).outcome == "ROLLBACK_FAILED"
    done = replace(deployment(3), rollout_state="COMPLETED")
    assert (superseded(done, 5.0).outcome, status_of(superseded(done, 5.0))) == (None, "SUCCESSFUL")


def test_what_can_be_rolled_back_to_is_the_last_completed_deployment() -> None:
    assert last_completed(replace(deployment(2), rolls_back_to="ecs-svc/1")) == "ecs-svc/1"
    assert last_completed(replace(deployment(2), rollout_state="COMPLETED")) == "ecs-svc/2"


async def test_a_deployment_that_left_is_found_in_the_history(controller: Controller) -> None:
    await controller.add_instance("a1")
    await controller.create_service(1, definition())
    await controller.update_service(definition(2), 2)
    await controller.run_all()
    history = controller.state.history
    (left,) = await history.ended_deployments("default/web", 10)
    assert (left.id, left.status) == ("ecs-svc/1", "INACTIVE")
    assert await history.ended_deployment(left.key) == left
    assert await history.ended_deployment("default/web/ecs-svc/9") is None


async def test_tasks_have_the_settings_of_their_deployment(controller: Controller) -> None:
    network = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
    await controller.add_instance("a1")
    await controller.create_service(0, definition())
    (primary,) = controller.deployments
    settings = {"launchType": "FARGATE", "networkConfiguration": network}
    await controller.put(replace(primary, settings=settings))
    await controller.change_service(desired_count=1, options={"enableExecuteCommand": True})
    (task,) = controller.live
    assert task.launch_type == "FARGATE"
    assert task.options == {"networkConfiguration": network, "enableExecuteCommand": True}


async def test_new_tasks_of_a_service_even_out_its_capacity_providers(controller: Controller) -> None:
    strategy = [
        {"capacityProvider": "FARGATE", "base": 1, "weight": 1},
        {"capacityProvider": "FARGATE_SPOT", "weight": 1},
    ]
    await controller.add_instance("a1")
    await controller.create_service(0, definition())
    (primary,) = controller.deployments
    settings = {"launchType": "FARGATE", "capacityProviderStrategy": strategy}
    await controller.put(replace(primary, settings=settings))
    await controller.change_service(desired_count=3)
    assert sorted(_providers(controller)) == ["FARGATE", "FARGATE", "FARGATE_SPOT"]
    await controller.change_service(desired_count=5)
    assert sorted(_providers(controller)) == ["FARGATE"] * 3 + ["FARGATE_SPOT"] * 2


def test_scaling_in_takes_from_the_provider_that_has_most_beyond_its_share() -> None:
    strategy = [
        {"capacityProvider": "a", "base": 2, "weight": 1},
        {"capacityProvider": "b", "base": 0, "weight": 1},
    ]
    primary = deployment(1, settings={"launchType": "EC2", "capacityProviderStrategy": strategy})
    world = World(service=service(4), primary=replace(primary, rollout_state="COMPLETED"), room=100)
    for provider in "aaabbbbb":
        world.add(primary.id, provider=provider)
    world.turn()
    assert _shares(world) == {"a": 3, "b": 1}
    world.service = replace(world.service, desired_count=2)
    world.turn()
    assert _shares(world) == {"a": 2}


def test_protected_tasks_stay_whatever_the_shares_are() -> None:
    strategy = [{"capacityProvider": "a", "weight": 1}, {"capacityProvider": "b", "weight": 1}]
    primary = deployment(1, settings={"launchType": "EC2", "capacityProviderStrategy": strategy})
    world = World(service=service(3), primary=replace(primary, rollout_state="COMPLETED"), room=100)
    for provider in "aabbb":
        world.add(primary.id, provider=provider, protected=provider == "b")
    assert len(world.turn().stops) == 2
    assert _shares(world) == {"b": 3}


def _shares(world: World) -> Counter[str]:
    return Counter(task.provider for task in world.tasks.values() if not task.stopping)


def _providers(controller: Controller) -> list[str]:
    return [task.options["capacityProviderName"] for task in controller.live]
