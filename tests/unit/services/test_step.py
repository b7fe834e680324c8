"""The step of a service: one rule at a time."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from controller.scheduler.explain import explain
from controller.scheduler.seats import Refusal
from controller.services import events
from controller.services.backoff import FIRST_DELAY_S, JITTER, LONGEST_DELAY_S, launch_delay
from controller.services.balance import Places
from controller.services.step import STARTS_PER_STEP, step
from controller.services.view import REPLACED_UNHEALTHY
from tests.unit.services.simulation import World, deployment, service


def _steady(desired: int, **options: int) -> World:
    primary = replace(deployment(1), rollout_state="COMPLETED", steady=True)
    world = World(service=service(desired, **options), primary=primary, room=100)
    for number in range(desired):
        world.add(primary.id, zone="ab"[number % 2])
    return world


def _texts(world: World) -> list[str]:
    return [item.text for item in world.turn().announcements]


def test_a_new_service_starts_what_is_desired_and_completes_when_all_are_healthy() -> None:
    world = World(service=service(3), primary=deployment(1), room=100)
    assert len(world.turn().starts) == 3
    assert not world.turn().starts
    for _ in range(2):
        for move in world.moves():
            move()
    decision = world.turn()
    assert [item.text for item in decision.announcements] == [
        "(deployment ecs-svc/1) deployment completed.",
        "has reached a steady state.",
    ]
    assert world.primary.rollout_state == "COMPLETED"
    assert world.primary.rollout_state_reason == "ECS deployment ecs-svc/1 completed."


def test_a_steady_service_is_left_alone_and_says_so_only_once() -> None:
    decision = _steady(3).turn()
    assert (decision.starts, decision.stops, decision.announcements) == ((), (), ())
    assert decision.deployments == ()
    assert decision.summary == "is steady"


def test_a_dead_task_is_replaced_at_once_and_the_new_steadiness_announced() -> None:
    world = _steady(3)
    del world.tasks["t0001"]
    assert len(world.turn().starts) == 1
    assert not world.primary.steady
    for _ in range(2):
        for move in world.moves():
            move()
    assert _texts(world) == [events.STEADY]


def test_a_task_that_is_stopping_no_longer_counts() -> None:
    world = _steady(2)
    world.tasks["t0001"] = replace(world.tasks["t0001"], stopping=True, healthy=False)
    assert len(world.turn().starts) == 1


def test_a_service_of_no_tasks_is_steady_at_once() -> None:
    world = World(service=service(0), primary=deployment(1), room=100)
    assert events.STEADY in _texts(world)


def test_an_unhealthy_task_is_replaced_before_it_is_stopped_where_the_maximum_allows() -> None:
    world = _steady(2)
    world.tasks["t0001"] = replace(world.tasks["t0001"], healthy=False, unhealthy=True)
    decision = world.turn()
    assert len(decision.starts) == 1
    assert decision.replaces_unhealthy == 1
    assert not decision.stops
    for _ in range(2):
        for move in world.moves():
            move()
    decision = world.turn()
    assert [(stop.task_id, stop.reason) for stop in decision.stops] == [("t0001", REPLACED_UNHEALTHY)]
    assert "(task t0001) failed container health checks." in [item.text for item in decision.announcements]


def test_an_unhealthy_task_makes_room_where_the_maximum_leaves_none() -> None:
    world = _steady(2, minimum=100, maximum=100)
    world.tasks["t0001"] = replace(world.tasks["t0001"], healthy=False, unhealthy=True)
    assert [stop.task_id for stop in world.turn().stops] == ["t0001"]
    assert len(world.turn().starts) == 1


def test_scale_in_takes_the_not_yet_healthy_first_and_then_keeps_the_spread() -> None:
    world = _steady(5)
    world.add("ecs-svc/1", has_run=False, healthy=False, zone="b")
    world.service = replace(world.service, desired_count=3)
    stopped = [stop.task_id for stop in world.turn().stops]
    assert stopped[0] == "t0006"
    # Zone a has tasks 1, 3 and 5, zone b 2 and 4: the oldest of the fuller zone goes, then both are equal.
    assert stopped[1] == "t0001"
    assert len(stopped) == 3


def test_scale_in_gives_the_deployment_as_its_reason() -> None:
    world = _steady(1)
    world.service = replace(world.service, desired_count=0)
    assert world.turn().stops[0].reason == "Scaling activity initiated by (deployment ecs-svc/1)"


def test_a_deleted_service_stops_everything_and_becomes_inactive_with_its_last_task() -> None:
    world = _steady(3)
    world.service = replace(world.service, status="DRAINING", desired_count=0)
    decision = world.turn()
    assert len(decision.stops) == 3
    assert decision.service_status == "DRAINING"
    for move in world.moves():
        move()
    decision = world.turn()
    assert decision.service_status == "INACTIVE"
    assert [(item.id, item.status) for item in decision.deployments] == [("ecs-svc/1", "INACTIVE")]


def test_an_old_deployment_stays_until_its_last_task_has_ended() -> None:
    world = _steady(1)
    world.older = [replace(deployment(0), status="ACTIVE")]
    world.add("ecs-svc/0", stopping=True, healthy=False)
    decision = world.turn()
    assert not decision.removed
    assert not decision.steady
    world.moves()[0]()
    assert [item.id for item in world.turn().removed] == ["ecs-svc/0"]
    assert world.turn().steady


def test_old_tasks_that_never_ran_are_stopped_at_once_without_budget() -> None:
    world = World(
        service=service(2, 100, 100),
        primary=deployment(2),
        older=[replace(deployment(1), status="ACTIVE")],
        room=100,
    )
    world.add("ecs-svc/1")
    pending = world.add("ecs-svc/1", has_run=False, healthy=False)
    assert [stop.task_id for stop in world.turn().stops] == [pending.id]


def test_the_first_failed_starts_are_repeated_at_once_and_later_ones_wait() -> None:
    world = World(service=service(1), primary=deployment(1), room=100)
    world.turn()
    for failures in (1, 2):
        world.fail_to_start(next(iter(world.tasks)))
        assert len(world.turn().starts) == 1
        assert world.primary.failed_tasks == failures
    world.fail_to_start(next(iter(world.tasks)))
    decision = world.turn()
    assert not decision.starts
    assert decision.wake_after_s == launch_delay(world.primary) > 0
    assert [item.text for item in decision.announcements] == [events.START_IMPAIRED]
    assert "before it launches again" in decision.summary
    world.hold_s = 0.0
    assert len(world.turn().starts) == 1
    world.fail_to_start(next(iter(world.tasks)))
    assert not world.turn().announcements


def test_tasks_that_were_launched_together_fail_as_one_round() -> None:
    world = World(service=service(10), primary=deployment(1), room=100)
    world.turn()
    for task_id in list(world.tasks):
        world.fail_to_start(task_id)
    assert len(world.turn().starts) == 10
    assert world.primary.failed_tasks == 10
    assert world.primary.launch_round == 1


def test_failures_are_forgotten_once_a_task_of_a_newer_round_runs() -> None:
    world = World(service=service(1), primary=deployment(1), room=100)
    world.turn()
    for _ in range(4):
        world.fail_to_start(next(iter(world.tasks)))
        world.turn()
        world.turn()  # The world's hold is over at once.
    assert world.primary.failed_tasks == 4
    world.moves()[0]()
    world.turn()
    assert world.primary.failed_tasks == 0
    assert launch_delay(world.primary) == 0.0


def test_a_task_that_fails_again_and_again_beside_running_ones_is_held_back_too() -> None:
    world = _steady(3)
    del world.tasks["t0001"]
    for _ in range(3):
        world.turn()
        world.fail_to_start(next(task.id for task in world.tasks.values() if not task.has_run))
    assert not world.turn().starts


def test_no_healthy_task_makes_room_for_one_that_is_held_back() -> None:
    world = World(
        service=service(4, 0, 100),
        primary=replace(deployment(2), launch_round=5),
        older=[replace(deployment(1), status="ACTIVE")],
        room=100,
        hold_s=60.0,
    )
    for _ in range(4):
        world.add("ecs-svc/1")
    decision = world.turn()
    assert not decision.stops
    assert decision.wake_after_s == 60.0


def test_no_task_is_stopped_for_room_that_its_end_would_not_make() -> None:
    world = World(
        service=service(4, 50, 200),
        primary=deployment(2),
        older=[replace(deployment(1), status="ACTIVE")],
        room=100,
    )
    for _ in range(4):
        world.add("ecs-svc/1")
    nowhere = explain([Refusal("i", "ATTRIBUTE", "lacks gpu", 2, 0.5)])
    decision = step(world.view, lambda count: Places((), nowhere))
    assert not decision.stops
    assert decision.lacks_room
    assert "is missing an attribute required by your task." in decision.announcements[0].text


def test_an_instance_that_drains_is_emptied_within_the_budget_though_there_is_no_other() -> None:
    world = World(service=service(4, 50, 200), primary=deployment(1), room=100)
    for _ in range(4):
        world.add("ecs-svc/1", displaced=True)
    decision = step(world.view, lambda count: Places((), explain([])))
    assert len(decision.stops) == 2


def test_an_instance_that_drains_keeps_its_tasks_while_replacements_are_held_back() -> None:
    world = World(
        service=service(4, 0, 200), primary=replace(deployment(1), launch_round=5), room=100, hold_s=60.0
    )
    for _ in range(4):
        world.add("ecs-svc/1", displaced=True)
    assert not world.turn().stops


def test_a_placement_failure_is_announced_once_for_each_reason() -> None:
    world = World(service=service(2), primary=deployment(1), room=1)
    decision = world.turn()
    assert len(decision.starts) == 1
    assert decision.lacks_room
    assert decision.announcements[0].text.startswith(
        "was unable to place a task because no container instance met all of its requirements. "
        "The closest matching (container-instance i) has insufficient CPU units available."
    )
    assert not world.turn().announcements


def test_a_very_large_service_is_started_in_portions() -> None:
    world = World(service=service(STARTS_PER_STEP + 1), primary=deployment(1), room=10_000)
    decision = world.turn()
    assert len(decision.starts) == STARTS_PER_STEP
    assert decision.wake_after_s == 0.0
    assert not decision.stops
    assert len(world.turn().starts) == 1


def test_old_tasks_do_not_make_room_while_a_large_update_starts_in_portions() -> None:
    desired = STARTS_PER_STEP + 100
    world = World(
        service=service(desired, 0, 200),
        primary=deployment(2),
        older=[replace(deployment(1), status="ACTIVE")],
        room=10_000,
    )
    for _ in range(desired):
        world.add("ecs-svc/1")
    assert not world.turn().stops


def test_leftovers_of_an_earlier_service_of_the_name_are_removed() -> None:
    world = _steady(1)
    world.older = [replace(deployment(0), status="INACTIVE")]
    assert [item.id for item in world.turn().removed] == ["ecs-svc/0"]


@pytest.mark.parametrize("failures", [3, 4, 8, 40, 5000])
def test_the_launch_delay_doubles_up_to_fifteen_minutes(failures: int) -> None:
    delay = launch_delay(replace(deployment(1), launch_round=failures))
    plain = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(failures - 1, 20))
    assert plain * (1 - JITTER) <= delay <= plain * (1 + JITTER)
