"""The agent's death at any instant: what runs goes on, what happened meanwhile is told, nothing is done
twice.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.engine.states import Status
from agent.protocol import acs
from tests.integration.engine.harness import Harness
from tests.integration.engine.victim import Victim

pytestmark = pytest.mark.engine


def _running_ids(harness: Harness, tasks: Sequence[acs.Task]) -> dict[str, list[str]]:
    return {task.arn or "": harness.containers_of(task) for task in tasks}


@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.45, 0.6])
async def test_killed_while_starting_tasks_the_next_life_finishes_them_and_starts_none_twice(
    idle_harness: Harness, after_s: float
) -> None:
    mapping = acs.PortMapping(container_port=80)
    tasks = [idle_harness.task(idle_harness.container(port_mappings=(mapping,))) for _ in range(3)]
    victim = await Victim(idle_harness, tasks).accepted()
    await asyncio.sleep(after_s)
    await victim.kill()
    before = {
        container["Id"]
        for container in idle_harness.client.api.containers(
            filters={"label": f"com.amazonaws.ecs.cluster={idle_harness.cluster}"}
        )
    }

    await idle_harness.start()
    try:
        for task in tasks:
            running = await idle_harness.reported(task, "RUNNING")
            assert running.containers[0].network_bindings[0].host_port > 0
            assert idle_harness.containers_of(task) == [running.containers[0].runtime_id]
        after = {running[0] for running in _running_ids(idle_harness, tasks).values()}
        assert before <= after, "what ran goes on"
    finally:
        await idle_harness.stop()


async def test_running_containers_keep_their_ids_and_are_not_reported_again(idle_harness: Harness) -> None:
    await idle_harness.start()
    task = await idle_harness.run()
    before = idle_harness.inspect(task)
    await idle_harness.stop()
    idle_harness.reports.clear()

    await idle_harness.start()
    try:
        after = idle_harness.inspect(task)
        assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
        assert idle_harness.record(task).state.known is Status.RUNNING
        assert idle_harness.reports == []
    finally:
        await idle_harness.stop()


async def test_what_ended_while_the_agent_was_dead_is_reported_with_its_exit_code(
    idle_harness: Harness,
) -> None:
    await idle_harness.start()
    task = await idle_harness.run()
    gone = await idle_harness.run()
    name, gone_name = idle_harness.docker_name(task), idle_harness.docker_name(gone)
    await idle_harness.stop()
    idle_harness.client.api.stop(name)
    idle_harness.client.api.remove_container(gone_name, force=True)

    await idle_harness.start()
    try:
        assert (await idle_harness.reported(task, "STOPPED")).containers[0].exit_code == 0
        vanished = await idle_harness.reported(gone, "STOPPED")
        assert vanished.containers[0].reason == "ContainerVanishedError: No container matching saved ID found"
    finally:
        await idle_harness.stop()


async def test_a_report_that_was_not_acknowledged_is_made_by_the_next_life(idle_harness: Harness) -> None:
    task = idle_harness.task()
    victim = await Victim(idle_harness, [task]).accepted()
    await idle_harness.eventually(
        lambda: idle_harness.client.api.containers(
            filters={"label": f"com.amazonaws.ecs.task-arn={task.arn}"}
        ),
        "the container running",
    )
    await victim.kill()

    await idle_harness.start()
    try:
        await idle_harness.reported(task, "RUNNING")
        await idle_harness.engine.stop_tasks([task.arn or ""])
        await idle_harness.reported(task, "STOPPED")
        assert idle_harness.statuses(task) == ["RUNNING", "STOPPED"]
    finally:
        await idle_harness.stop()


async def test_a_stop_that_was_accepted_is_carried_out_by_the_next_life(idle_harness: Harness) -> None:
    await idle_harness.start(container_stop_timeout_s=30.0)
    task = await idle_harness.run(
        idle_harness.shell("trap '' TERM; while :; do sleep 0.1; done", stop_timeout=2)
    )
    await idle_harness.engine.stop_tasks([task.arn or ""])
    await idle_harness.stop()
    assert idle_harness.client.api.containers(filters={"label": f"com.amazonaws.ecs.task-arn={task.arn}"})

    await idle_harness.start()
    try:
        assert (await idle_harness.reported(task, "STOPPED")).containers[0].exit_code == 137
    finally:
        await idle_harness.stop()


async def test_without_its_checkpoint_the_agent_finds_its_tasks_by_their_labels(
    idle_harness: Harness,
) -> None:
    await idle_harness.start()
    init = idle_harness.shell("exit 0", "init", essential=False)
    task = await idle_harness.run(idle_harness.container("web"), init)
    await idle_harness.eventually(
        lambda: idle_harness.record(task).state.containers[1].known is Status.STOPPED, "init to end"
    )
    before = set(idle_harness.containers_of(task))
    await idle_harness.stop()
    (idle_harness.data_dir / "agent.db").write_bytes(b"this is no database" * 100)
    for left in idle_harness.data_dir.glob("agent.db-*"):
        left.unlink()
    idle_harness.reports.clear()

    await idle_harness.start()
    try:
        await idle_harness.reported(task, "RUNNING")
        assert set(idle_harness.containers_of(task)) == before
        assert list(idle_harness.data_dir.glob("agent.db.damaged-*"))
        await idle_harness.engine.accept((task,))
        await idle_harness.engine.stop_tasks([task.arn or ""])
        await idle_harness.reported(task, "STOPPED")
        assert set(idle_harness.containers_of(task)) == before
    finally:
        await idle_harness.stop()


async def test_containers_that_the_checkpoint_does_not_know_are_found_and_settled(
    idle_harness: Harness,
) -> None:
    await idle_harness.start()
    known = await idle_harness.run()
    labels = idle_harness.inspect(known)["Config"]["Labels"]
    await idle_harness.stop()
    half, whole = idle_harness.task(), idle_harness.task()
    create = idle_harness.client.api.create_container
    for task in (half, whole):
        made = create(idle_harness.image, labels={**labels, "com.amazonaws.ecs.task-arn": str(task.arn)})
        if task is whole:
            idle_harness.client.api.start(made)
    idle_harness.reports.clear()

    await idle_harness.start(task_cleanup_wait_s=0.1)
    try:
        await idle_harness.reported(whole, "RUNNING")
        stopped = await idle_harness.reported(half, "STOPPED")
        assert stopped.reason.startswith("TaskStateError: this agent lost its records of the task")
        assert idle_harness.statuses(half) == ["STOPPED"], "it was not started"
        await idle_harness.eventually(lambda: not idle_harness.containers_of(half), "its container removed")
        assert idle_harness.statuses(known) == []
    finally:
        await idle_harness.stop()


async def test_containers_of_another_agent_on_the_same_engine_are_not_adopted(
    idle_harness: Harness, tmp_path: Path
) -> None:
    await idle_harness.start()
    task = await idle_harness.run()
    await idle_harness.stop()
    other = Harness(tmp_path / "other", idle_harness.cluster, idle_harness.image, idle_harness.client)
    other.data_dir.mkdir()
    (other.data_dir / "agent.db").write_bytes(b"this is no database" * 100)

    await other.start()
    try:
        assert other.engine.known_tasks() == ()
        assert idle_harness.client.api.containers(filters={"label": f"com.amazonaws.ecs.task-arn={task.arn}"})
    finally:
        await other.stop()
