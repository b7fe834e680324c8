"""Container health, which agents tell over TCS and by no other way. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from agent.protocol import tcs
from controller.state.entities import HealthStatus, Task, TaskContainer

STATUSES: Mapping[str, HealthStatus] = {"HEALTHY": "HEALTHY", "UNHEALTHY": "UNHEALTHY", "UNKNOWN": "UNKNOWN"}


def with_health(task: Task, told: tcs.TaskHealth) -> Task:
    """The task with what an agent told about its containers' health; the same object when nothing is new."""
    health = {
        container.container_name: STATUSES[container.health_status]
        for container in told.containers
        if container.health_status is not None and container.health_status in STATUSES
    }
    containers = tuple(_with_health(container, health.get(container.name)) for container in task.containers)
    if containers == task.containers:
        return task
    return replace(task, containers=containers, version=task.version + 1)


def _with_health(container: TaskContainer, status: HealthStatus | None) -> TaskContainer:
    if status is None or status == container.health_status:
        return container
    return replace(container, health_status=status)
