"""What a task's cgroup holds, for every set-up of cgroups."""

import pytest

from agent.engine.task_limits import (
    TaskLimits,
    container_places,
    slice_name,
    systemd_properties,
    task_limits,
    v1_files,
    v2_files,
)
from tests.unit.engine.builders import ARN

MIB = 1024 * 1024
TASK_ID = "0123456789abcdef0123456789abcdef"


def limits(quota_us: int | None, shares: int, memory: int | None, period_us: int = 100_000) -> TaskLimits:
    return TaskLimits(cpu_quota_us=quota_us, cpu_period_us=period_us, cpu_shares=shares, memory_bytes=memory)


@pytest.mark.parametrize(
    ("cpu", "memory", "container_cpus", "expected"),
    [
        (0.25, 128, (10,), limits(25_000, 256, 128 * MIB)),
        (1.0, 2048, (), limits(100_000, 1024, 2048 * MIB)),
        (16.0, None, (512, 512), limits(1_600_000, 16384, None)),
        (0.001, None, (), limits(1000, 2, None)),
        (300.0, None, (), limits(30_000_000, 262144, None)),
        (None, 512, (10, 0, 1), limits(None, 14, 512 * MIB)),
        (0.0, 0, (), limits(None, 2, None)),
        (None, None, (262144, 262144), limits(None, 262144, None)),
    ],
)
def test_a_tasks_limits_come_from_its_definition(
    cpu: float | None, memory: int | None, container_cpus: tuple[int, ...], expected: TaskLimits
) -> None:
    assert task_limits(cpu, memory, container_cpus, 0.1) == expected


def test_a_shorter_period_has_a_quota_in_proportion() -> None:
    assert task_limits(0.125, None, (), 0.008) == limits(1000, 128, None, period_us=8000)


def test_version_one_has_its_files_in_two_hierarchies() -> None:
    assert v1_files(limits(25_000, 256, 128 * MIB)) == (
        ("cpu", "cpu.shares", "256"),
        ("cpu", "cpu.cfs_period_us", "100000"),
        ("cpu", "cpu.cfs_quota_us", "25000"),
        ("memory", "memory.limit_in_bytes", "134217728"),
    )
    assert v1_files(limits(None, 2, None)) == (("cpu", "cpu.shares", "2"),)


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (1024, 39), (262144, 10000)])
def test_version_two_weighs_on_its_own_scale(shares: int, weight: int) -> None:
    assert v2_files(limits(None, shares, None)) == (("cpu.weight", str(weight)),)
    assert systemd_properties(limits(None, shares, None)) == (f"CPUWeight={weight}",)


def test_version_two_has_quota_and_period_in_one_file() -> None:
    assert v2_files(limits(25_000, 256, 128 * MIB)) == (
        ("cpu.weight", "10"),
        ("cpu.max", "25000 100000"),
        ("memory.max", "134217728"),
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (limits(25_000, 256, 128 * MIB), ("CPUWeight=10", "CPUQuota=25%", "MemoryMax=134217728")),
        (limits(12_500, 128, None), ("CPUWeight=5", "CPUQuota=12.5%")),
        (limits(19_200_000, 196608, None), ("CPUWeight=7500", "CPUQuota=19200%")),
        (limits(1000, 128, None, 8000), ("CPUWeight=5", "CPUQuota=12.5%", "CPUQuotaPeriodSec=8000us")),
    ],
)
def test_systemd_takes_percent_of_one_cpu(given: TaskLimits, expected: tuple[str, ...]) -> None:
    assert systemd_properties(given) == expected


def test_processes_are_limited_where_the_host_says_so() -> None:
    limited = task_limits(None, None, (), 0.1, pids=64)
    assert v1_files(limited)[-1] == ("pids", "pids.max", "64")
    assert v2_files(limited)[-1] == ("pids.max", "64")
    assert systemd_properties(limited)[-1] == "TasksMax=64"


def test_a_slice_is_one_level_below_its_parent_whatever_the_task_is_called() -> None:
    assert slice_name(TASK_ID) == f"ecstasks-{TASK_ID}.slice"
    assert slice_name("c5c0-41") == "ecstasks-c5c041.slice"


def test_a_container_is_looked_for_in_its_tasks_cgroup_first() -> None:
    assert container_places(ARN, "d") == (
        f"ecs/{TASK_ID}/d",
        f"ecstasks.slice/ecstasks-{TASK_ID}.slice/docker-d.scope",
        "docker/d",
        "system.slice/docker-d.scope",
    )
