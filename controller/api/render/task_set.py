"""A task set as the API shows it."""

from __future__ import annotations

from controller.api.render.capacity import TaskCounts, capacity_members, platform_members
from controller.api.tags import render_tags
from controller.services.task_sets import computed_desired_count
from controller.state.entities import Document, Service, TaskSet
from controller.state.indexes import LIVE_TASKS_OF_SERVICE, TASK_SETS_OF_SERVICE
from controller.state.kernel import Reader

OF_PRIMARY_TASK_SET = (
    "taskDefinition",
    "launchType",
    "capacityProviderStrategy",
    "networkConfiguration",
    "platformVersion",
    "platformFamily",
)
"""Members of its PRIMARY task set that a service shows as its own."""


def task_sets_of(service: Service, read: Reader) -> list[TaskSet]:
    """The task sets of a service: the PRIMARY one, then the others, newest first."""
    found = read.select(TASK_SETS_OF_SERVICE, service.key).values()
    return sorted(found, key=lambda item: (item.status != "PRIMARY", -item.created_at))


def render_task_set(
    task_set: TaskSet, service: Service, read: Reader, *, with_tags: bool = False
) -> Document:
    """The `taskSet` structure."""
    names = read.names
    tasks = read.select(LIVE_TASKS_OF_SERVICE, service.key).values()
    counts = TaskCounts([task for task in tasks if task.deployment == task_set.id])
    desired = computed_desired_count(service, task_set)
    # What the step found steady may have changed in this very moment.
    steady = task_set.stability_status == "STEADY_STATE" and (counts.running, counts.pending) == (desired, 0)
    settings = task_set.settings
    shown: Document = {
        "id": task_set.id,
        "taskSetArn": names.task_set(task_set.cluster, task_set.service, task_set.id),
        "serviceArn": names.service(service),
        "clusterArn": names.cluster(task_set.cluster),
        "status": task_set.status,
        "taskDefinition": names.task_definition_revision(task_set.family, task_set.revision),
        "computedDesiredCount": desired,
        "pendingCount": counts.pending,
        "runningCount": counts.running,
        "createdAt": task_set.created_at,
        "updatedAt": task_set.updated_at,
        **capacity_members(settings["launchType"], settings),
        **platform_members(settings["launchType"], settings),
        "loadBalancers": [],
        "serviceRegistries": [],
        "scale": {"value": task_set.scale, "unit": "PERCENT"},
        "stabilityStatus": "STEADY_STATE" if steady else "STABILIZING",
        "stabilityStatusAt": task_set.stability_status_at,
        "tags": render_tags(task_set.tags) if with_tags else [],
    }
    if "networkConfiguration" in settings:
        shown["networkConfiguration"] = settings["networkConfiguration"]
    if task_set.external_id:
        shown["externalId"] = task_set.external_id
    return shown
