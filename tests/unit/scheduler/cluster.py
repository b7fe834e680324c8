"""Container instances and candidates for scheduler tests."""

from __future__ import annotations

from collections.abc import Iterable

from controller.scheduler.placement import Candidate
from controller.state.entities import Attribute, ContainerInstance, Task
from controller.state.usage import InstanceUsage


def instance(name: str, **members: object) -> ContainerInstance:
    """An instance of 4 cores and 8 GiB, unless said otherwise; `attributes` may be a mapping."""
    members.setdefault("cpu", 4096)
    members.setdefault("memory", 8192)
    attributes = members.pop("attributes", {})
    assert isinstance(attributes, dict)
    return ContainerInstance(
        cluster="default",
        id=name,
        ec2_instance_id=f"mi-{name}",
        registered_at=1_700_000_000.0,
        attributes=tuple(Attribute(key, value) for key, value in attributes.items()),
        **members,  # type: ignore[arg-type]
    )


def usage_of(tasks: Iterable[Task]) -> InstanceUsage:
    """What some tasks hold."""
    usage = InstanceUsage()
    for task in tasks:
        usage.add(task, 1)
    return usage


def task(number: int = 1, *, on: str = "a", **members: object) -> Task:
    """A running task."""
    return Task(
        cluster="default",
        id=f"t{number}",
        family="web",
        revision=1,
        instance=on,
        reported_status="RUNNING",
        created_at=0.0,
        **members,  # type: ignore[arg-type]
    )


def candidate(name: str, *, tasks: Iterable[Task] = (), group_tasks: int = 0, **members: object) -> Candidate:
    """A candidate with some tasks on it."""
    connected = bool(members.pop("connected", True))
    full_disk = str(members.pop("full_disk", ""))
    groups = members.pop("groups", frozenset())
    assert isinstance(groups, frozenset)
    tasks = tuple(tasks)
    return Candidate(
        instance=instance(name, **members),
        usage=usage_of(tasks),
        connected=connected,
        full_disk=full_disk,
        group_tasks=group_tasks,
        total_tasks=len(tasks) + group_tasks,
        groups=groups,
    )
