"""Clusters as the API shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from controller.api.tags import render_tags
from controller.state.entities import Cluster, Document, instance_key
from controller.state.indexes import (
    INSTANCES_BY_CLUSTER,
    LIVE_TASKS_BY_CLUSTER,
    SERVICES_BY_CLUSTER,
    UNPLACED_TASKS_BY_CLUSTER,
)
from controller.state.kernel import Reader
from controller.state.lifecycle import last_status

DEFAULT_SETTINGS = [{"name": "containerInsights", "value": "disabled"}]

LAUNCH_TYPE_NAMES = {
    "EC2": "EC2",
    "FARGATE": "Fargate",
    "EXTERNAL": "External",
    "MANAGED_INSTANCES": "ManagedInstances",
}
"""How launch types are written in the names of statistics."""

_STATISTIC_STATUSES = {
    "RUNNING": "running",
    "PENDING": "pending",
    "PROVISIONING": "pending",
    "ACTIVATING": "pending",
}


def render_cluster(cluster: Cluster, read: Reader, include: Collection[str]) -> Document:
    """A cluster with its counts; `include` names what is shown beyond the basics."""
    running, pending = _task_counts(cluster.name, read)
    services = read.select(SERVICES_BY_CLUSTER, cluster.name).values()
    options = cluster.options
    document: Document = {
        "clusterArn": read.names.cluster(cluster.name),
        "clusterName": cluster.name,
        "status": cluster.status,
        "registeredContainerInstancesCount": sum(
            instance.status != "INACTIVE"
            for instance in read.select(INSTANCES_BY_CLUSTER, cluster.name).values()
        ),
        "runningTasksCount": running,
        "pendingTasksCount": pending,
        "activeServicesCount": sum(service.status == "ACTIVE" for service in services),
        "statistics": _statistics(cluster.name, read) if "STATISTICS" in include else [],
        "tags": render_tags(cluster.tags) if "TAGS" in include else [],
        "settings": options.get("settings", DEFAULT_SETTINGS) if "SETTINGS" in include else [],
        "capacityProviders": options.get("capacityProviders", []),
        "defaultCapacityProviderStrategy": options.get("defaultCapacityProviderStrategy", []),
    }
    if "ATTACHMENTS" in include:
        document["attachments"] = []
        if options.get("capacityProviders"):
            # They are put and taken away in one step: there is nothing in progress to see.
            document["attachmentsStatus"] = "UPDATE_COMPLETE"
    if "CONFIGURATIONS" in include and "configuration" in options:
        document["configuration"] = options["configuration"]
    if "serviceConnectDefaults" in options:
        document["serviceConnectDefaults"] = options["serviceConnectDefaults"]
    return document


def _task_counts(cluster: str, read: Reader) -> tuple[int, int]:
    """RUNNING tasks, and those on their way there. Added up by instance: a cluster has far fewer of them."""
    running = 0
    pending = len(read.select(UNPLACED_TASKS_BY_CLUSTER, cluster))
    for instance in read.select(INSTANCES_BY_CLUSTER, cluster).values():
        usage = read.usage(instance_key(cluster, instance.id))
        running += usage.running
        pending += usage.pending
    return running, pending


def _statistics(cluster: str, read: Reader) -> list[Document]:
    counts: Counter[str] = Counter()
    for launch_type in LAUNCH_TYPE_NAMES.values():
        for name in ("running{}TasksCount", "pending{}TasksCount", "active{}ServiceCount"):
            counts[name.format(launch_type)] = 0
        counts[f"draining{launch_type}ServiceCount"] = 0
    for task in read.select(LIVE_TASKS_BY_CLUSTER, cluster).values():
        if status := _STATISTIC_STATUSES.get(last_status(task)):
            counts[f"{status}{LAUNCH_TYPE_NAMES[task.launch_type]}TasksCount"] += 1
    for service in read.select(SERVICES_BY_CLUSTER, cluster).values():
        if service.status != "INACTIVE":
            counts[f"{service.status.lower()}{LAUNCH_TYPE_NAMES[service.launch_type]}ServiceCount"] += 1
    return [{"name": name, "value": str(count)} for name, count in counts.items()]
