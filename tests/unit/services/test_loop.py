"""The service loop on a real state: what users and agents do, and what follows."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from controller.services import events
from controller.services.loop import REPEAT_EVENT_AFTER_S
from controller.services.retire import KEEP_ENDED_S, TURN_INTERVAL_S
from controller.services.step import REPLACED_OUTDATED
from controller.state.entities import Attribute, Cluster, ContainerInstance, Task, instance_key, task_key
from controller.state.flusher import StoreUnavailable
from controller.state.lifecycle import ContainerReport, set_disposition
from controller.state.store.interface import FlushBatch, StoreError
from tests.support.clock import FakeClock
from tests.unit.services.conftest import SERVICE, Controller, definition

pytestmark = pytest.mark.fake_loop

CHECKED: dict[str, Any] = {"healthCheck": {"command": ["CMD", "true"]}}


async def test_a_service_starts_its_tasks_and_becomes_steady_three_seconds_after_they_run(
    controller: Controller,
) -> None:
    await controller.add_instance("a1")
    await controller.create_service(2, definition())
    assert len(controller.live) == 2
    task = controller.live[0]
    assert (task.instance, task.group, task.started_by) == ("a1", "service:web", "ecs-svc/1")
    assert (task.service, task.deployment, task.memory) == ("web", "ecs-svc/1", 128)
    await controller.run_all()
    await asyncio.sleep(2.9)
    assert controller.rollout_state == "IN_PROGRESS"
    await asyncio.sleep(0.2)
    assert controller.rollout_state == "COMPLETED"
    assert await controller.events() == [
        f"has started 2 tasks: (task {controller.live[0].id}) (task {controller.live[1].id}).",
        "(deployment ecs-svc/1) deployment completed.",
        events.STEADY,
    ]


async def test_a_dead_task_is_replaced_in_the_moment_of_the_report(controller: Controller) -> None:
    await controller.add_instance("a1")
    await controller.create_service(1, definition())
    await controller.run_all()
    await asyncio.sleep(10)
    (task,) = controller.live
    before = controller.clock.monotonic()
    await controller.report(task, "STOPPED")
    (replacement,) = controller.live
    assert replacement.id != task.id
    assert controller.clock.monotonic() - before <= 0.001
    assert controller.task(task.id).stop_code == "EssentialContainerExited"


async def test_tasks_are_spread_over_zones_and_instances(controller: Controller) -> None:
    for name, zone in (("a1", "a"), ("a2", "a"), ("b1", "b"), ("b2", "b")):
        await controller.add_instance(name, zone)
    await controller.create_service(4, definition())
    assert sorted(task.instance or "" for task in controller.live) == ["a1", "a2", "b1", "b2"]


async def test_a_rolling_update_ends_with_one_deployment_and_only_new_tasks(controller: Controller) -> None:
    await controller.add_instance("a1")
    await controller.create_service(4, definition())
    await controller.run_all()
    await asyncio.sleep(5)
    await controller.update_service(definition(2), 2)
    assert len(controller.live) == 8
    for _ in range(6):
        await controller.run_all()
        await asyncio.sleep(4)
    assert [task.revision for task in controller.tasks] == [2, 2, 2, 2]
    assert [(item.id, item.status, item.rollout_state) for item in controller.deployments] == [
        ("ecs-svc/2", "PRIMARY", "COMPLETED")
    ]
    assert controller.deployments[0].rollout_state_reason == "ECS deployment ecs-svc/2 completed."
    assert (await controller.events()).count(events.STEADY) == 2


async def test_stopped_tasks_of_an_update_carry_ecs_reason_and_stop_code(controller: Controller) -> None:
    await controller.add_instance("a1")
    await controller.create_service(1, definition(), minimum_healthy_percent=0, maximum_percent=100)
    await controller.run_all()
    await asyncio.sleep(5)
    await controller.update_service(definition(2), 2)
    old = next(task for task in controller.tasks if task.revision == 1)
    assert old.desired_status == "STOPPED"
    assert old.stop_code == "ServiceSchedulerInitiated"
    assert old.stopped_reason == "Scaling activity initiated by (deployment ecs-svc/2)"


async def test_scaling_out_and_in_follows_the_desired_count(controller: Controller) -> None:
    await controller.add_instance("a1")
    await controller.create_service(1, definition())
    await controller.change_service(desired_count=5)
    assert len(controller.live) == 5
    await controller.run_all()
    await asyncio.sleep(5)
    await controller.change_service(desired_count=2)
    assert len(controller.live) == 2
    assert [item.id for item in controller.deployments] == ["ecs-svc/1"]


async def test_a_draining_instance_is_emptied_with_replacements_first(controller: Controller) -> None:
    await controller.add_instance("a1")
    await controller.create_service(2, definition())
    await controller.run_all()
    await asyncio.sleep(5)
    await controller.add_instance("a2")
    await controller.drain("a1")
    assert sorted(task.instance or "" for task in controller.live) == ["a1", "a1", "a2", "a2"]
    for _ in range(3):
        await controller.run_all()
        await asyncio.sleep(4)
    assert [task.instance for task in controller.tasks] == ["a2", "a2"]


async def test_an_unhealthy_task_is_replaced_after_its_grace_period(controller: Controller) -> None:
    await controller.add_instance("a1")
    await controller.create_service(1, definition(**CHECKED), health_check_grace_period_s=30)
    await controller.run_all()
    (task,) = controller.live
    await controller.report_health(task, "UNHEALTHY")
    await asyncio.sleep(29)
    assert len(controller.live) == 1
    await asyncio.sleep(1)
    replacement = next(item for item in controller.live if item.id != task.id)
    await controller.report(replacement, "RUNNING")
    assert len(controller.live) == 2
    await controller.report_health(replacement, "HEALTHY")
    assert controller.task(task.id).stopped_reason == "Task failed container health checks"
    said = await controller.events()
    assert f"(task {task.id}) failed container health checks." in said
    assert any(text.endswith("Amazon ECS replaced 1 tasks due to an unhealthy status.") for text in said)


async def test_a_task_that_runs_another_image_than_the_first_of_its_deployment_is_replaced(
    controller: Controller,
) -> None:
    await controller.add_instance("a1")
    await controller.create_service(2, definition())
    await controller.run_all()
    first, second = controller.live
    (deployment,) = controller.deployments
    settled = ("sha256:" + "1" * 64, "sha256:" + "2" * 64)
    await controller.put(replace(deployment, image_digests=((first.containers[0].name, settled[0]),)))
    for task, digest in zip((first, second), settled, strict=True):
        container = ContainerReport(name=task.containers[0].name, image_digest=digest)
        await controller.report(task, "RUNNING", containers=[container])
    await controller.run_all()
    await asyncio.sleep(4)

    assert controller.task(second.id).stopped_reason == REPLACED_OUTDATED
    assert first.id in {task.id for task in controller.live}
    assert len(controller.live) == 2


async def test_a_task_with_a_health_check_is_not_healthy_by_age_alone(controller: Controller) -> None:
    await controller.add_instance("a1")
    await controller.create_service(1, definition(**CHECKED))
    await controller.run_all()
    await asyncio.sleep(60)
    assert controller.rollout_state == "IN_PROGRESS"
    await controller.report_health(controller.live[0], "HEALTHY")
    assert controller.rollout_state == "COMPLETED"


async def test_a_deleted_service_is_inactive_once_its_last_task_has_ended(controller: Controller) -> None:
    await controller.add_instance("a1")
    await controller.create_service(2, definition())
    await controller.run_all()
    await asyncio.sleep(5)
    await controller.change_service(status="DRAINING", desired_count=0)
    assert controller.live == []
    assert controller.status == "DRAINING"
    await controller.run_all()
    assert controller.status == "INACTIVE"


async def test_tasks_wait_for_an_instance_and_go_there_when_it_comes(controller: Controller) -> None:
    await controller.create_service(2, definition())
    assert controller.live == []
    await controller.add_instance("a1")
    assert len(controller.live) == 2
    assert (await controller.events())[0] == (
        "was unable to place a task because no container instance met all of its requirements. "
        "Reason: No Container Instances were found in your cluster."
    )


async def test_tasks_wait_for_room_and_take_it_when_another_service_gives_it_up(
    controller: Controller,
) -> None:
    await controller.add_instance("a1", memory=256)
    other = Task(
        cluster="default", id="other", family="x", revision=1, instance="a1", memory=200, created_at=0.0
    )
    await controller.put(other)
    await controller.create_service(1, definition())
    assert controller.live == []
    assert "has insufficient memory available." in (await controller.events())[0]
    await controller.report(other, "STOPPED")
    assert len(controller.live) == 1


async def test_a_lasting_placement_failure_is_announced_every_six_hours(controller: Controller) -> None:
    await controller.add_instance("a1", memory=64)
    await controller.create_service(1, definition())
    await asyncio.sleep(REPEAT_EVENT_AFTER_S - 60)
    assert len(await controller.events()) == 1
    await asyncio.sleep(120)
    assert len(await controller.events()) == 2


async def test_a_disconnected_instance_gets_nothing_and_keeps_its_tasks_counted(
    controller: Controller,
) -> None:
    await controller.add_instance("a1")
    await controller.create_service(1, definition())
    await controller.run_all()
    await asyncio.sleep(5)
    await controller.connect("a1", connected=False)
    await asyncio.sleep(120)
    assert len(controller.live) == 1
    await controller.change_service(desired_count=2)
    assert len(controller.live) == 1
    assert 'encountered error "AGENT".' in (await controller.events())[-1]
    await controller.connect("a1")
    assert len(controller.live) == 2


async def test_a_lost_task_is_replaced_and_the_replacement_goes_when_it_comes_back(
    controller: Controller,
) -> None:
    await controller.add_instance("a1")
    await controller.create_service(1, definition())
    await controller.run_all()
    await asyncio.sleep(5)
    (original,) = controller.live
    await controller.add_instance("a2")
    lost = set_disposition(original, "UNKNOWN", controller.clock.now())
    await controller.put(lost)
    replacement = next(task for task in controller.live if task.id != original.id)
    await controller.put(set_disposition(lost, "NONE", controller.clock.now()))
    assert [task.id for task in controller.live] == [original.id]
    assert controller.task(replacement.id).desired_status == "STOPPED"


async def test_failing_starts_are_repeated_twice_at_once_and_then_ever_more_slowly(
    controller: Controller,
) -> None:
    await controller.add_instance("a1")
    await controller.create_service(1, definition())
    times = []
    for _ in range(6):
        while not controller.live:
            await asyncio.sleep(1)
        times.append(controller.clock.monotonic())
        await controller.report(controller.live[0], "STOPPED", reason="CannotPullContainerError: no")
    delays = [after - before for before, after in itertools.pairwise(times)]
    assert delays[:2] == pytest.approx([0.0, 0.0], abs=0.1)
    assert [32 <= delays[2] <= 49, 64 <= delays[3] <= 97, 128 <= delays[4] <= 193] == [True] * 3
    assert controller.deployments[0].failed_tasks == 6
    assert (await controller.events()).count(events.START_IMPAIRED) == 1


async def test_a_new_deployment_is_not_held_back_by_the_failures_of_the_old_one(
    controller: Controller,
) -> None:
    await controller.add_instance("a1")
    await controller.create_service(1, definition())
    for _ in range(3):
        await controller.report(controller.live[0], "STOPPED")
    assert controller.live == []
    await controller.update_service(definition(2), 2)
    assert [task.revision for task in controller.live] == [2]


async def test_the_back_off_goes_on_after_a_restart(
    controller: Controller, controllers: Callable[[], Any]
) -> None:
    await controller.add_instance("a1")
    await controller.create_service(1, definition())
    for _ in range(3):
        await controller.report(controller.live[0], "STOPPED")
    await asyncio.sleep(20)
    controller = await controllers()
    await controller.connect("a1")
    assert controller.live == []
    await asyncio.sleep(30)
    assert len(controller.live) == 1


async def test_a_running_task_stays_healthy_over_a_restart(
    controller: Controller, controllers: Callable[[], Any]
) -> None:
    await controller.add_instance("a1")
    await controller.create_service(1, definition())
    await controller.run_all()
    await asyncio.sleep(60)
    said = await controller.events()
    controller = await controllers()
    await controller.settle()
    assert controller.deployments[0].steady
    await controller.connect("a1")
    await asyncio.sleep(10)
    assert await controller.events() == said


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
async def test_a_jump_of_the_wall_clock_neither_ages_nor_rejuvenates_anything(
    controller: Controller, fake_clock: FakeClock, jump: float
) -> None:
    await controller.add_instance("a1")
    await controller.create_service(1, definition())
    await controller.run_all()
    await asyncio.sleep(1)
    fake_clock.jump_wall(jump)
    await controller.change_service(tags=())
    await asyncio.sleep(1.9)
    assert controller.rollout_state == "IN_PROGRESS"
    await asyncio.sleep(0.2)
    assert controller.rollout_state == "COMPLETED"
    fake_clock.jump_wall(jump)
    await asyncio.sleep(60)
    assert controller.deployments[0].steady
    assert (await controller.events()).count(events.STEADY) == 1


async def test_one_services_trouble_does_not_end_the_others(controller: Controller) -> None:
    await controller.add_instance("a1")
    await controller.create_service(1, definition())
    broken = replace(controller.service, name="broken", options={"placementStrategy": [{"type": "nonsense"}]})
    deployment = replace(controller.deployments[0], service="broken")
    await controller.put(broken, deployment)
    await controller.report(controller.live[0], "STOPPED")
    assert len(controller.live) == 1
    await controller.put(replace(broken, options={}))
    await asyncio.sleep(1.1)
    started = [task for task in controller.state.read().all(Task).values() if task.service == "broken"]
    assert len(started) == 1


async def test_tags_go_to_the_tasks_as_the_service_says(controller: Controller) -> None:
    await controller.add_instance("a1")
    await controller.create_service(
        1,
        definition(),
        propagate_tags="SERVICE",
        enable_ecs_managed_tags=True,
        options={"platformVersion": "LATEST"},
    )
    (task,) = controller.live
    assert {tag.key: tag.value for tag in task.tags} == {
        "aws:ecs:clusterName": "default",
        "aws:ecs:serviceName": "web",
    }
    assert task.options == {"platformVersion": "LATEST"}


async def test_constraints_of_the_service_and_of_its_definition_hold_together(controller: Controller) -> None:
    await controller.add_instance("a1")
    await controller.add_instance("a2")
    instance = controller.state.read().get(ContainerInstance, instance_key("default", "a2"))
    assert instance is not None
    await controller.put(replace(instance, attributes=(Attribute("disk", "ssd"),)))
    picky = replace(
        definition(),
        document={
            **definition().document,
            "placementConstraints": [{"type": "memberOf", "expression": "attribute:disk == ssd"}],
        },
    )
    await controller.create_service(
        2, picky, options={"placementConstraints": [{"type": "distinctInstance"}]}
    )
    assert [task.instance for task in controller.live] == ["a2"]


async def test_a_service_of_a_thousand_tasks_is_placed_whole(controller: Controller) -> None:
    for number in range(10):
        await controller.add_instance(f"i{number}", memory=100 * 128)
    await controller.create_service(1000, definition())
    await asyncio.sleep(1)
    assert len(controller.live) == 1000
    assert {task.instance for task in controller.live} == {f"i{number}" for number in range(10)}


async def test_ended_tasks_leave_for_the_history_after_an_hour(
    controller: Controller, controllers: Callable[[], Any], fake_clock: FakeClock
) -> None:
    await controller.add_instance("a1")
    await controller.create_service(1, definition())
    await controller.run_all()
    (task,) = controller.live
    await controller.report(task, "STOPPED")
    await asyncio.sleep(KEEP_ENDED_S / 2)
    fake_clock.jump_wall(2 * KEEP_ENDED_S)
    await asyncio.sleep(KEEP_ENDED_S / 2 - 1)
    assert controller.task(task.id).stop_code == "EssentialContainerExited"
    await asyncio.sleep(1 + TURN_INTERVAL_S)
    assert controller.state.read().get(Task, task_key("default", task.id)) is None
    (entry,) = await controller.state.history.recent(f"task:{task.key}", "task", 10)
    assert task.id in entry.body


async def test_ended_tasks_stay_for_what_is_left_of_their_hour_after_a_restart(
    controller: Controller, controllers: Callable[[], Any]
) -> None:
    await controller.add_instance("a1")
    await controller.create_service(1, definition())
    (task,) = controller.live
    await controller.report(task, "STOPPED")
    await asyncio.sleep(KEEP_ENDED_S - 100)
    controller = await controllers()
    await asyncio.sleep(50)
    assert controller.task(task.id)
    await asyncio.sleep(50 + TURN_INTERVAL_S)
    assert controller.state.read().get(Task, task.key) is None
    assert SERVICE in controller.state.read().all(type(controller.service))
    assert controller.state.read().get(Cluster, "default")


async def test_a_step_that_the_store_refuses_is_made_once_the_store_is_back(
    controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await controller.add_instance("a1")
    await controller.create_service(1, definition())
    (task,) = controller.live
    write = controller.state.flusher._write
    broken = True

    def refuse(batch: FlushBatch) -> None:
        if broken:
            raise StoreError("disk is full")
        write(batch)

    monkeypatch.setattr(controller.state.flusher, "_write", refuse)
    await controller.report(task, "RUNNING")
    await asyncio.sleep(2)
    with pytest.raises(StoreUnavailable):
        await controller.report(task, "STOPPED")
    await asyncio.sleep(40)
    broken = False
    await asyncio.sleep(2)
    await controller.report(task, "STOPPED")
    assert len(controller.live) == 1
    assert controller.live[0].id != task.id


async def test_the_steady_state_is_announced_again_every_six_hours(controller: Controller) -> None:
    await controller.add_instance("a1")
    await controller.create_service(1, definition())
    await controller.run_all()
    await asyncio.sleep(6 * 3600)
    assert (await controller.events()).count(events.STEADY) == 1
    await asyncio.sleep(120)
    assert (await controller.events()).count(events.STEADY) == 2
    await asyncio.sleep(6 * 3600)
    assert (await controller.events()).count(events.STEADY) == 3


async def test_a_restart_alone_announces_no_steady_state(controllers: Any) -> None:
    controller = await controllers()
    await controller.put(Cluster(name="default", created_at=0.0))
    await controller.add_instance("a1")
    await controller.create_service(1, definition())
    await controller.run_all()
    await asyncio.sleep(10)
    controller = await controllers()
    await controller.connect("a1")
    await asyncio.sleep(120)
    assert (await controller.events()).count(events.STEADY) == 1
