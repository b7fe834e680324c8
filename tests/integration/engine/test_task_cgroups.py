"""Limits of whole tasks on the real engine and the real kernel: cgroup v1 with the cgroupfs driver.

v2 and systemd are tested on recorded file trees and commands in ``tests/unit/engine/test_cgroup_hosts.py``.
"""

import asyncio
import json
from pathlib import Path

import pytest

from agent.engine.docker import Docker
from agent.engine.states import Status
from agent.protocol import acs
from agent.protocol.arn import last_segment
from tests.integration.engine.harness import Harness
from tests.integration.engine.victim import Victim
from tests.support.engine import CGROUPS, task_cgroups
from tests.support.processes import free_port

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(
        not (CGROUPS / "memory").is_dir(), reason="the machine has no cgroup v1 with a memory controller"
    ),
]

MIB = 1024 * 1024
SECOND_NS = 1_000_000_000
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
FILL = "x=a; while :; do x=$x$x; done"
"""A shell that takes memory until it is stopped."""


def cgroup(harness: Harness, task: acs.Task, controller: str, container: str = "web") -> Path:
    """Where the kernel says that a container's process is, by its own list of cgroups."""
    pid = harness.inspect(task, container)["State"]["Pid"]
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return CGROUPS / controller / path.lstrip("/")
    raise AssertionError(f"{pid} is in no cgroup of {controller}")


def left_of(task: acs.Task) -> list[Path]:
    """The cgroups of a task, in all hierarchies."""
    return task_cgroups(last_segment(task.arn or ""))


def _runs(harness: Harness, task: acs.Task) -> bool:
    filters = {"label": f"com.amazonaws.ecs.task-arn={task.arn}", "status": "running"}
    return bool(harness.client.api.containers(filters=filters))


async def test_the_limits_of_a_task_hold_above_its_containers(harness: Harness) -> None:
    task = await harness.run(harness.container(memory=None), cpu=0.25, memory=128)
    memory, cpu = cgroup(harness, task, "memory"), cgroup(harness, task, "cpu")

    task_id = last_segment(task.arn or "")
    assert memory.parent == CGROUPS / "memory/ecs" / task_id
    assert (memory.parent / "memory.limit_in_bytes").read_text().strip() == str(128 * MIB)
    assert (cpu.parent / "cpu.cfs_quota_us").read_text().strip() == "25000"
    assert (cpu.parent / "cpu.cfs_period_us").read_text().strip() == "100000"
    assert (cpu.parent / "cpu.shares").read_text().strip() == "256"
    assert int((memory / "memory.limit_in_bytes").read_text()) > 128 * MIB, "the container has no own limit"


async def test_a_task_without_limits_weighs_as_much_as_its_containers(harness: Harness) -> None:
    task = await harness.run(harness.container(cpu=10), harness.container("helper", cpu=0))
    cpu = cgroup(harness, task, "cpu").parent

    assert cpu == cgroup(harness, task, "cpu", "helper").parent
    assert (cpu / "cpu.shares").read_text().strip() == "12"
    assert (cpu / "cpu.cfs_quota_us").read_text().strip() == "-1"


async def test_a_task_gets_no_more_cpu_than_its_own(harness: Harness) -> None:
    busy = harness.shell("while :; do :; done", cpu=0)
    task = await harness.run(busy, harness.shell("while :; do :; done", "second", cpu=0), cpu=0.1)
    stat = cgroup(harness, task, "cpu").parent / "cpu.stat"

    def throttled() -> int:
        return int(dict(line.split() for line in stat.read_text().splitlines())["nr_throttled"])

    assert await harness.eventually(lambda: throttled() > 5, "the kernel holds the task back")


async def test_a_task_gets_no_more_processes_than_the_host_allows_tasks(idle_harness: Harness) -> None:
    await idle_harness.start(task_pids_limit=32)
    try:
        crowd = idle_harness.shell("(for n in $(seq 40); do sleep 300 & done); while :; do :; done")
        task = await idle_harness.run(crowd)
        pids = cgroup(idle_harness, task, "pids").parent
        assert (pids / "pids.max").read_text().strip() == "32"
        assert await idle_harness.eventually(
            lambda: "can't fork" in idle_harness.output(task), "the kernel refuses one more"
        )
    finally:
        await idle_harness.stop()


async def test_a_container_without_own_limit_is_killed_at_that_of_its_task(harness: Harness) -> None:
    task = harness.task(harness.shell(FILL, memory=None), memory=16)
    await harness.engine.accept((task,))
    stopped = await harness.reported(task, "STOPPED")

    assert stopped.containers[0].reason == OUT_OF_MEMORY
    assert stopped.containers[0].exit_code == 137
    assert stopped.reason == "Essential container in task exited"


async def test_two_containers_share_the_memory_of_their_task_and_only_the_killed_one_is_blamed(
    harness: Harness,
) -> None:
    # Each of them fits, also into its own limit: what counts is what they hold together.
    hold = "dd if=/dev/zero of=/dev/shm/x bs=1M count=24; touch /tmp/full"
    health_check = {"Test": ["CMD-SHELL", "test -e /tmp/full"], "Interval": SECOND_NS // 10, "Retries": 100}
    calm = harness.shell(
        f"{hold}; trap 'exit 0' TERM; while :; do sleep 0.05; done",
        "calm",
        memory=30,
        health_check_type="docker",
        docker_config=acs.DockerConfig(
            config=json.dumps({"Healthcheck": health_check}), host_config=json.dumps({"ShmSize": 64 * MIB})
        ),
    )
    after_calm = (acs.ContainerDependency(container_name="calm", condition="HEALTHY"),)
    greedy = harness.shell(FILL, "greedy", memory=30, depends_on=after_calm)
    task = harness.task(calm, greedy, memory=32)
    await harness.engine.accept((task,))
    stopped = await harness.reported(task, "STOPPED")

    ends = {
        container.name: (container.reason, container.exit_code)
        for change in harness.reports
        if change.task_arn == task.arn
        for container in change.containers
        if container.status == "STOPPED"
    }
    assert ends == {"greedy": (OUT_OF_MEMORY, 137), "calm": (None, 0)}
    assert stopped.reason == "Essential container in task exited"
    assert harness.inspect(task, "calm")["State"]["OOMKilled"], "the engine blames both"
    whole = CGROUPS / "memory/ecs" / last_segment(task.arn or "")
    assert int((whole / "memory.failcnt").read_text()) > 0, "it was the task's limit that they met"


async def test_a_container_above_its_task_is_refused_before_it_is_made(harness: Harness) -> None:
    task = harness.task(harness.container(memory=64), memory=32)
    await harness.engine.accept((task,))
    stopped = await harness.reported(task, "STOPPED")

    assert stopped.reason.startswith(f"resource cannot be initialized for task {task.arn}: ")
    assert "(64 MiB) is above that of the task (32 MiB)" in stopped.reason
    assert harness.containers_of(task) == []
    assert left_of(task) == []


async def test_a_task_whose_cgroup_cannot_be_made_is_stopped_with_the_reason(harness: Harness) -> None:
    """Also where the first container that needs it is not essential."""
    after_helper = (acs.ContainerDependency(container_name="helper", condition="START"),)
    task = harness.task(
        harness.container("helper", essential=False, memory=None),
        harness.container(memory=None, depends_on=after_helper),
        memory=-1,
    )
    await harness.engine.accept((task,))
    stopped = await harness.reported(task, "STOPPED")

    beginning = "CgroupError: Agent could not create task's platform resources: [Errno 22]"
    assert stopped.reason.startswith(beginning)
    assert harness.containers_of(task) == []


async def test_the_cgroup_goes_when_the_task_is_cleaned_up(idle_harness: Harness) -> None:
    await idle_harness.start(task_cleanup_wait_s=0.0)
    try:
        task = await idle_harness.run(memory=64)
        assert len(left_of(task)) > 2, "the engine's runtime makes one in every hierarchy"
        await idle_harness.engine.stop_tasks([task.arn or ""])
        await idle_harness.reported(task, "STOPPED")
        await idle_harness.eventually(lambda: not idle_harness.containers_of(task), "the container goes")
        await idle_harness.eventually(lambda: not left_of(task), "so does the cgroup")
    finally:
        await idle_harness.stop()


async def test_killed_and_started_again_the_agent_finds_the_cgroup_and_removes_it_in_the_end(
    idle_harness: Harness,
) -> None:
    task = idle_harness.task(idle_harness.container(memory=None), cpu=0.5, memory=64)
    victim = await Victim(idle_harness, [task]).accepted()
    await idle_harness.eventually(lambda: _runs(idle_harness, task), "the container runs")
    await victim.kill()
    before = idle_harness.containers_of(task)

    await idle_harness.start(task_cleanup_wait_s=0.0)
    try:
        await idle_harness.reported(task, "RUNNING")
        assert idle_harness.containers_of(task) == before
        limit = cgroup(idle_harness, task, "memory").parent / "memory.limit_in_bytes"
        assert limit.read_text().strip() == str(64 * MIB)
        await idle_harness.engine.stop_tasks([task.arn or ""])
        await idle_harness.eventually(lambda: not left_of(task), "the cgroup goes with the task")
    finally:
        await idle_harness.stop()


async def test_found_again_after_the_checkpoint_was_lost_a_task_keeps_its_limits_and_its_share(
    idle_harness: Harness,
) -> None:
    await idle_harness.start()
    mapping = acs.PortMapping(container_port=80, host_port=free_port())
    task = await idle_harness.run(
        idle_harness.container(memory=None, port_mappings=(mapping,)), cpu=0.5, memory=64
    )
    held = idle_harness.engine.account().held
    await idle_harness.stop()
    (idle_harness.data_dir / "agent.db").write_bytes(b"this is no database" * 100)

    await idle_harness.start(task_cleanup_wait_s=0.0)
    try:
        await idle_harness.reported(task, "RUNNING")
        assert idle_harness.engine.account().held == held
        memory, cpu = cgroup(idle_harness, task, "memory").parent, cgroup(idle_harness, task, "cpu").parent
        assert (memory / "memory.limit_in_bytes").read_text().strip() == str(64 * MIB)
        assert (cpu / "cpu.cfs_quota_us").read_text().strip() == "50000"
        await idle_harness.engine.stop_tasks([task.arn or ""])
        await idle_harness.eventually(lambda: not left_of(task), "the cgroup goes with the task")
        assert idle_harness.engine.account().held == {}
    finally:
        await idle_harness.stop()


async def test_a_container_made_before_a_restart_of_the_machine_starts_within_its_limits(
    idle_harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    await idle_harness.start()
    task = idle_harness.task(idle_harness.container(memory=None), memory=64)
    with monkeypatch.context() as life:
        life.setattr(Docker, "start", hang)
        await idle_harness.engine.accept((task,))
        await idle_harness.eventually(
            lambda: idle_harness.record(task).state.containers[0].known is Status.CREATED, "it is made"
        )
        await idle_harness.stop()
    for place in left_of(task):
        place.rmdir()  # cgroups do not outlive the kernel

    await idle_harness.start()
    try:
        await idle_harness.reported(task, "RUNNING")
        limit = cgroup(idle_harness, task, "memory").parent / "memory.limit_in_bytes"
        assert limit.read_text().strip() == str(64 * MIB)
    finally:
        await idle_harness.stop()


async def test_empty_cgroups_of_forgotten_tasks_go_and_those_of_others_stay(
    idle_harness: Harness, tmp_path: Path
) -> None:
    await idle_harness.start()
    task = await idle_harness.run(memory=64)
    await idle_harness.stop()
    for container in idle_harness.containers_of(task):
        idle_harness.client.api.remove_container(container, force=True)
    other = Harness(tmp_path / "other", idle_harness.cluster, idle_harness.image, idle_harness.client)
    await other.start()
    await other.stop()
    assert left_of(task), "another agent on the machine leaves it alone"

    for file in idle_harness.data_dir.glob("agent.db*"):
        file.unlink()
    await idle_harness.start()
    await idle_harness.stop()
    assert left_of(task) == []


async def test_statistics_are_read_from_the_cgroup_below_the_task(idle_harness: Harness) -> None:
    await idle_harness.start(metrics_interval_s=0.2)
    try:
        task = await idle_harness.run(idle_harness.shell("while :; do :; done"), cpu=0.5, memory=64)
        metrics = await idle_harness.eventually(lambda: idle_harness.engine.task_metrics(60.0), "metrics")
        used = int((cgroup(idle_harness, task, "memory") / "memory.usage_in_bytes").read_text())

        (container,) = metrics[0].container_metrics
        assert container.cpu_stats_set.max > 1.0
        assert 0.0 < container.memory_stats_set.max <= max(used / MIB, 64)
        # The engine's own figures, the fall-back, come without the network.
        assert container.network_stats_set is not None
    finally:
        await idle_harness.stop()


async def test_switched_off_tasks_run_in_the_engines_own_cgroup(idle_harness: Harness) -> None:
    await idle_harness.start(task_cpu_mem_limit=False)
    try:
        assert not idle_harness.engine.limits_tasks
        task = await idle_harness.run(memory=64)
        assert cgroup(idle_harness, task, "memory").parent == CGROUPS / "memory/docker"
        assert left_of(task) == []
    finally:
        await idle_harness.stop()
