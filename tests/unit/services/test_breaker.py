"""The deployment circuit breaker: what it counts, when it trips, and what follows (ecs-semantics 7.7)."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from controller.services import events
from controller.services.breaker_rules import RULE_TAG, UNPLACED_S, threshold
from controller.services.revisions import status_of
from controller.state.entities import CircuitBreakerCount, Deployment, Service, Tag
from tests.unit.services.simulation import World, deployment, service

IN_WORDS = "ECS deployment circuit breaker: tasks failed to start."


def guarded(desired: int, *, rollback: bool = False, **more: Any) -> Service:
    """A service with a circuit breaker."""
    breaker = {"enable": True, "rollback": rollback, **more}
    options = {"deploymentConfiguration": {"deploymentCircuitBreaker": breaker}}
    return replace(service(desired), options=options)


def updating(service: Service, room: int = 100) -> World:
    """A service whose second deployment has begun beside the healthy tasks of its first."""
    first = replace(deployment(1), status="ACTIVE", rollout_state="COMPLETED", steady=True)
    second = deployment(2, rolls_back_to=first.id, sources=(first.id,))
    world = World(service=service, primary=second, older=[first], room=room)
    for _ in range(service.desired_count):
        world.add(first.id)
    return world


def new_tasks(world: World) -> list[str]:
    """Ids of the second deployment's tasks."""
    return [task.id for task in world.tasks.values() if task.deployment == "ecs-svc/2"]


def fail_starts(world: World, number: int) -> None:
    """So many of the second deployment's tasks end before they ran, however long the back-off."""
    for _ in range(number):
        for _ in range(2):
            if not new_tasks(world):
                world.turn()
        world.fail_to_start(new_tasks(world)[0])


def second(world: World) -> Deployment:
    """The second deployment."""
    return next(item for item in (world.primary, *world.older) if item.id == "ecs-svc/2")


@pytest.mark.parametrize(
    ("given", "desired", "expected"),
    [
        (None, 0, 3),
        (None, 1, 3),
        (None, 6, 3),
        (None, 7, 4),
        (None, 25, 13),
        (None, 400, 200),
        (None, 800, 200),
        (("BOUNDED_PERCENT", 10), 50, 5),
        (("BOUNDED_PERCENT", 10), 5, 3),
        (("BOUNDED_PERCENT", 100), 300, 200),
        (("UNBOUNDED_PERCENT", 10), 5, 1),
        (("UNBOUNDED_PERCENT", 50), 800, 400),
        (("UNBOUNDED_PERCENT", 50), 0, 1),
        (("COUNT", 1), 100, 1),
        (("COUNT", 7), 1, 7),
    ],
)
def test_the_threshold_is_that_of_ecs(given: tuple[str, int] | None, desired: int, expected: int) -> None:
    more: dict[str, Any] = {"thresholdConfiguration": {"type": given[0], "value": given[1]}} if given else {}
    assert threshold(guarded(desired, **more)) == expected


def test_a_deployment_fails_with_as_many_failed_starts_as_the_threshold_and_not_before() -> None:
    world = updating(guarded(2))
    fail_starts(world, 2)
    assert world.turn().starts
    assert world.primary.rollout_state == "IN_PROGRESS"
    fail_starts(world, 1)
    decision = world.turn()
    assert (decision.starts, decision.stops) == ((), ())
    assert world.primary.id == "ecs-svc/2"
    assert (world.primary.rollout_state, world.primary.rollout_state_reason) == ("FAILED", IN_WORDS)
    assert status_of(world.primary) == "STOPPED"
    assert world.primary.breaker.tripped
    assert world.messages == [
        "(deployment ecs-svc/2) deployment failed: tasks failed to start. Failures: 3 of 3, the last one: "
        "no such image."
    ]


def test_a_failed_deployment_starts_nothing_more_and_what_runs_stays() -> None:
    world = updating(guarded(2))
    fail_starts(world, 3)
    for _ in range(5):
        assert not world.turn().starts
    assert [task.deployment for task in world.tasks.values() if task.healthy] == ["ecs-svc/1"] * 2
    assert [item.id for item in world.older] == ["ecs-svc/1"]
    assert len(world.messages) == 1


def test_with_rollback_the_last_completed_deployment_is_what_the_service_runs_again() -> None:
    world = updating(guarded(2, rollback=True))
    fail_starts(world, 3)
    world.turn()
    assert (world.primary.id, world.primary.rollout_state) == ("ecs-svc/1", "IN_PROGRESS")
    failed = second(world)
    assert (failed.status, failed.rollout_state) == ("ACTIVE", "FAILED")
    assert (
        failed.rollout_state_reason
        == "ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1."
    )
    assert status_of(failed) == "ROLLBACK_IN_PROGRESS"
    assert failed.outcome_reason == f"{IN_WORDS} Failures: 3 of 3, the last one: no such image."
    decision = world.turn()
    while not decision.removed:
        for move in world.moves():
            move()
        decision = world.turn()
    (gone,) = decision.removed
    assert (gone.id, status_of(gone)) == ("ecs-svc/2", "ROLLBACK_SUCCESSFUL")
    assert world.is_finished
    assert world.messages[1] == "rolling back to deployment ecs-svc/1."
    assert world.messages[-2:] == ["(deployment ecs-svc/1) deployment completed.", events.STEADY]


def test_going_back_takes_the_settings_of_the_earlier_revision_back_too() -> None:
    world = updating(guarded(1, rollback=True))
    world.older = [replace(world.older[0], settings={"launchType": "EXTERNAL"})]
    fail_starts(world, 3)
    world.turn()
    assert world.service.launch_type == "EXTERNAL"


def test_going_back_is_not_given_up_when_it_fails_too() -> None:
    world = updating(guarded(1, rollback=True))
    fail_starts(world, 3)
    world.turn()
    world.tasks.clear()
    for _ in range(8):
        world.turn()
        for task_id in list(world.tasks):
            world.fail_to_start(task_id)
    world.turn()
    assert world.primary.failed_tasks >= 3
    assert (world.primary.id, world.primary.rollout_state) == ("ecs-svc/1", "IN_PROGRESS")


def test_without_a_completed_deployment_there_is_nothing_to_go_back_to() -> None:
    world = World(service=guarded(1, rollback=True), primary=deployment(2), room=100)
    fail_starts(world, 3)
    world.turn()
    assert (world.primary.rollout_state, status_of(world.primary)) == ("FAILED", "STOPPED")
    assert world.messages[-1].endswith("There is no completed deployment to roll back to.")
    assert not world.turn().starts


def test_a_crash_loop_ends_a_deployment() -> None:
    world = updating(guarded(1))
    for _ in range(3):
        world.turn()
        (task_id,) = new_tasks(world)
        world.exit(task_id)
    world.turn()
    assert world.primary.rollout_state == "FAILED"
    assert "Failures: 3 of 3, the last one: Essential container in task exited." in world.messages[-1]


def test_tasks_that_fail_their_health_check_count_when_they_are_stopped() -> None:
    world = updating(guarded(1))
    counts = set()
    for _ in range(20):
        world.turn()
        counts.add(world.primary.breaker.failures)
        for task_id in new_tasks(world):
            world.tasks[task_id] = replace(world.tasks[task_id], has_run=True, unhealthy=True)
        world.tasks = {key: task for key, task in world.tasks.items() if not task.stopping}
    assert counts == {0, 1, 2, 3}
    assert world.primary.rollout_state == "FAILED"
    assert any("Task failed container health checks." in message for message in world.messages)


def test_tasks_without_a_place_count_each_after_every_two_minutes() -> None:
    world = updating(guarded(2), room=2)
    assert world.turn().wake_after_s == UNPLACED_S
    world.unplaced_left_s = 100.0
    assert world.turn().wake_after_s == 100.0
    assert world.primary.breaker.failures == 0
    world.unplaced_left_s = 0.0
    world.turn()
    assert world.primary.breaker.failures == 2
    world.turn()
    world.turn()
    assert world.primary.rollout_state == "FAILED"
    assert "was unable to place a task" in world.messages[-1]


def test_a_place_that_is_found_in_time_ends_the_wait() -> None:
    world = updating(guarded(2), room=2)
    world.turn()
    assert world.primary.breaker.unplaced_since is not None
    world.room = 100
    decision = world.turn()
    assert len(decision.starts) == 2
    assert decision.wake_after_s is None
    assert world.primary.breaker == CircuitBreakerCount()


def test_the_strict_rule_of_ecs_counts_no_task_without_a_place() -> None:
    world = updating(replace(guarded(2), tags=(Tag(RULE_TAG, "ecs"),)), room=2)
    for _ in range(5):
        assert world.turn().wake_after_s is None
    assert world.primary.breaker == CircuitBreakerCount()


@pytest.mark.parametrize(("resets", "left"), [(True, 1), (False, 3)])
def test_a_task_that_becomes_healthy_resets_the_count_once(resets: bool, left: int) -> None:
    tolerant = {"type": "COUNT", "value": 9}
    world = updating(guarded(2, resetOnHealthyTask=resets, thresholdConfiguration=tolerant))
    fail_starts(world, 2)
    world.turn()
    good, bad = new_tasks(world)
    world.tasks[good] = replace(world.tasks[good], has_run=True, healthy=True)
    world.turn()
    assert world.primary.breaker.failures == (0 if resets else 2)
    world.turn()
    world.fail_to_start(bad)
    world.turn()
    assert world.primary.breaker.failures == left


def test_the_threshold_follows_the_desired_count() -> None:
    world = updating(guarded(8))
    fail_starts(world, 3)
    states = []
    for desired in (8, 1):
        world.service = replace(world.service, desired_count=desired)
        world.turn()
        states.append(world.primary.rollout_state)
    assert states == ["IN_PROGRESS", "FAILED"]


def test_a_completed_deployment_is_not_failed_by_what_its_tasks_do_later() -> None:
    world = updating(guarded(1))
    for _ in range(6):
        world.turn()
        for move in world.moves():
            move()
    world.turn()
    assert world.primary.rollout_state == "COMPLETED"
    fail_starts(world, 5)
    world.turn()
    assert world.primary.rollout_state == "COMPLETED"
    assert world.primary.breaker == CircuitBreakerCount()


def test_without_a_circuit_breaker_nothing_fails() -> None:
    world = updating(service(1))
    fail_starts(world, 5)
    world.turn()
    assert world.primary.rollout_state == "IN_PROGRESS"
    assert world.primary.breaker == CircuitBreakerCount()
