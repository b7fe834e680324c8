"""What the cgroup of a task is called and what it holds: the files of cgroup v1, those of v2, and systemd's
properties. Pure.
"""

from collections.abc import Sequence

import msgspec

from agent.protocol.arn import last_segment
from agent.protocol.resources import CPU_UNITS_PER_CPU

PARENT = "ecs"
"""The cgroup above those of all tasks, with the cgroupfs driver."""
PARENT_SLICE = "ecstasks.slice"
"""The same with the systemd driver."""

PIDS = "pids"
"""The controller that counts processes."""

_MIB = 1024 * 1024
_LEAST_SHARES, _MOST_SHARES = 2, 262144
_LEAST_WEIGHT, _MOST_WEIGHT = 1, 10000
_LEAST_QUOTA_US = 1000
_SYSTEMD_PERIOD_US = 100_000


class TaskLimits(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The limits of one task. None means that the task sets no such limit."""

    cpu_quota_us: int | None
    """CPU time that all containers of the task together may use in each period."""
    cpu_period_us: int
    cpu_shares: int
    """Weight against other tasks where CPU time is scarce, in the unit of ``cpu.shares``."""
    memory_bytes: int | None
    pids: int | None = None
    """Processes and threads of all containers of the task together."""


def task_limits(
    cpu: float | None,
    memory_mib: int | None,
    container_cpus: Sequence[int],
    period_s: float,
    pids: int | None = None,
) -> TaskLimits:
    """The limits of a task with ``cpu`` vCPUs and ``memory_mib`` MiB, whose containers declare
    ``container_cpus`` CPU units; ``period_s`` is the scheduler's period, ``pids`` the host's limit for tasks.

    As in ECS the quota is the task's CPU times the period, and a task without CPU of its own weighs as much
    as its containers. A task with CPU weighs as much as that, so that a large one keeps what it reserved
    among many small ones; in ECS such tasks all weigh the same.
    """
    period_us = round(period_s * 1e6)
    shares = round(cpu * CPU_UNITS_PER_CPU) if cpu else sum(max(_LEAST_SHARES, c) for c in container_cpus)
    return TaskLimits(
        cpu_quota_us=max(_LEAST_QUOTA_US, round(cpu * period_us)) if cpu else None,
        cpu_period_us=period_us,
        cpu_shares=min(max(shares, _LEAST_SHARES), _MOST_SHARES),
        memory_bytes=memory_mib * _MIB if memory_mib else None,
        pids=pids,
    )


def v1_files(limits: TaskLimits) -> tuple[tuple[str, str, str], ...]:
    """Controller, file and content, in the order of writing."""
    files = [("cpu", "cpu.shares", str(limits.cpu_shares))]
    if limits.cpu_quota_us is not None:
        files.append(("cpu", "cpu.cfs_period_us", str(limits.cpu_period_us)))
        files.append(("cpu", "cpu.cfs_quota_us", str(limits.cpu_quota_us)))
    if limits.memory_bytes is not None:
        files.append(("memory", "memory.limit_in_bytes", str(limits.memory_bytes)))
    if limits.pids is not None:
        files.append((PIDS, "pids.max", str(limits.pids)))
    return tuple(files)


def v2_files(limits: TaskLimits) -> tuple[tuple[str, str], ...]:
    """File and content."""
    files = [("cpu.weight", str(_weight(limits.cpu_shares)))]
    if limits.cpu_quota_us is not None:
        files.append(("cpu.max", f"{limits.cpu_quota_us} {limits.cpu_period_us}"))
    if limits.memory_bytes is not None:
        files.append(("memory.max", str(limits.memory_bytes)))
    if limits.pids is not None:
        files.append(("pids.max", str(limits.pids)))
    return tuple(files)


def systemd_properties(limits: TaskLimits) -> tuple[str, ...]:
    """Assignments for ``systemctl set-property``.

    systemd translates the names, which are those of cgroup v2, on a host with v1. Older ones take a quota
    with one decimal only, and know no other period than their own default.
    """
    properties = [f"CPUWeight={_weight(limits.cpu_shares)}"]
    if limits.cpu_quota_us is not None:
        percent = round(100 * limits.cpu_quota_us / limits.cpu_period_us, 1)
        properties.append(f"CPUQuota={percent:g}%")
        if limits.cpu_period_us != _SYSTEMD_PERIOD_US:
            properties.append(f"CPUQuotaPeriodSec={limits.cpu_period_us}us")
    if limits.memory_bytes is not None:
        properties.append(f"MemoryMax={limits.memory_bytes}")
    if limits.pids is not None:
        properties.append(f"TasksMax={limits.pids}")
    return tuple(properties)


def _weight(shares: int) -> int:
    """cgroup v2's weight for v1's shares, by the formula of the engine's own runtime."""
    span = _MOST_WEIGHT - _LEAST_WEIGHT
    return _LEAST_WEIGHT + (shares - _LEAST_SHARES) * span // (_MOST_SHARES - _LEAST_SHARES)


def slice_name(task_id: str) -> str:
    """systemd's name of a task's cgroup. A dash would mean one more level, so ids go without."""
    return f"ecstasks-{task_id.replace('-', '')}.slice"


def container_places(task_arn: str, docker_id: str) -> tuple[str, ...]:
    """Where the cgroup of a container may be, below the root of a hierarchy: in its task's, or in the
    engine's own.
    """
    task_id = last_segment(task_arn)
    return (
        f"{PARENT}/{task_id}/{docker_id}",
        f"{PARENT_SLICE}/{slice_name(task_id)}/docker-{docker_id}.scope",
        f"docker/{docker_id}",
        f"system.slice/docker-{docker_id}.scope",
    )
