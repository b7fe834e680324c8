"""A service and its deployments as the API shows them."""

from __future__ import annotations

from collections.abc import Sequence

from controller.api.render.capacity import TaskCounts, capacity_members, platform_members
from controller.api.render.task_set import OF_PRIMARY_TASK_SET, render_task_set, task_sets_of
from controller.api.tags import render_tags
from controller.services.events import ServiceEvent
from controller.services.revisions import settings_of
from controller.services.task_sets import is_external
from controller.state.entities import Deployment, Document, Service, Task
from controller.state.indexes import DEPLOYMENTS_OF_SERVICE, LIVE_TASKS_OF_SERVICE
from controller.state.kernel import Reader

_OPTIONAL_MEMBERS = ("networkConfiguration", "deploymentController")
_OF_DEPLOYMENTS_TOO = ("networkConfiguration",)
_CONFIGURATION_DEFAULTS = {
    "deploymentCircuitBreaker": {"enable": False, "rollback": False},
    "strategy": "ROLLING",
    "bakeTimeInMinutes": 0,
}


def render_service(
    service: Service, read: Reader, events: Sequence[ServiceEvent] = (), *, with_tags: bool = False
) -> Document:
    """The `service` structure. `events` are its newest ones, newest first."""
    tasks = list(read.select(LIVE_TASKS_OF_SERVICE, service.key).values())
    counts = TaskCounts(tasks)
    deployments = current_deployments(service, read)
    options = service.options
    shown: Document = {
        "serviceArn": read.names.service(service),
        "serviceName": service.name,
        "clusterArn": read.names.cluster(service.cluster),
        "status": service.status,
        "desiredCount": service.desired_count,
        "runningCount": counts.running,
        "pendingCount": counts.pending,
        **capacity_members(service.launch_type, options),
        "schedulingStrategy": service.scheduling_strategy,
        "deploymentConfiguration": deployment_configuration(service),
        "deployments": [_render_deployment(item, service, tasks, read) for item in deployments],
        "events": [
            {"id": event.id, "createdAt": event.created_at, "message": event.message} for event in events
        ],
        "loadBalancers": [],
        "serviceRegistries": [],
        "placementConstraints": options.get("placementConstraints", []),
        "placementStrategy": options.get("placementStrategy", []),
        "healthCheckGracePeriodSeconds": service.health_check_grace_period_s,
        "enableECSManagedTags": service.enable_ecs_managed_tags,
        "propagateTags": service.propagate_tags,
        "enableExecuteCommand": options.get("enableExecuteCommand", False),
        "availabilityZoneRebalancing": options.get("availabilityZoneRebalancing", "DISABLED"),
        "createdAt": service.created_at,
        "createdBy": service.created_by,
        "tags": render_tags(service.tags) if with_tags else [],
    }
    shown.update(platform_members(service.launch_type, options))
    shown.update({member: options[member] for member in _OPTIONAL_MEMBERS if member in options})
    if is_external(service):
        _show_task_sets(shown, service, read, with_tags=with_tags)
    primary = primary_deployment(service, read)
    if primary is not None:
        shown["taskDefinition"] = read.names.task_definition_revision(primary.family, primary.revision)
    if deployments:
        shown["currentServiceDeployment"] = read.names.service_deployment(
            _rolled_back(service, read) or deployments[0]
        )
        shown["currentServiceRevisions"] = [
            _render_current_revision(item, service, tasks, read) for item in deployments
        ]
    return shown


def _show_task_sets(shown: Document, service: Service, read: Reader, *, with_tags: bool) -> None:
    """Show a service's task sets, and as its own what the PRIMARY one fixes, or else nothing of that."""
    task_sets = task_sets_of(service, read)
    shown["taskSets"] = [render_task_set(item, service, read, with_tags=with_tags) for item in task_sets]
    del shown["launchType"]
    if task_sets and task_sets[0].status == "PRIMARY":
        primary = shown["taskSets"][0]
        shown.update({name: primary[name] for name in OF_PRIMARY_TASK_SET if name in primary})


def deployment_configuration(service: Service) -> Document:
    """How a service is deployed, defaults filled."""
    return {
        **_CONFIGURATION_DEFAULTS,
        **service.options.get("deploymentConfiguration", {}),
        "maximumPercent": service.maximum_percent,
        "minimumHealthyPercent": service.minimum_healthy_percent,
    }


def current_deployments(service: Service, read: Reader) -> list[Deployment]:
    """Deployments that still have a part in what runs: the PRIMARY one, then older ones, newest first.

    A service that is INACTIVE has none.
    """
    if service.status == "INACTIVE":
        return []
    current = [
        deployment
        for deployment in read.select(DEPLOYMENTS_OF_SERVICE, service.key).values()
        if deployment.status != "INACTIVE"
    ]
    return sorted(current, key=lambda item: (item.status != "PRIMARY", -item.created_at))


def _rolled_back(service: Service, read: Reader) -> Deployment | None:
    """The deployment that is being rolled back: it goes on until the earlier one is what runs again."""
    deployments = read.select(DEPLOYMENTS_OF_SERVICE, service.key).values()
    return next((item for item in deployments if item.outcome == "ROLLBACK_IN_PROGRESS"), None)


def primary_deployment(service: Service, read: Reader) -> Deployment | None:
    """The deployment that makes, or has made, what the service runs; for a deleted service its last one."""
    deployments = read.select(DEPLOYMENTS_OF_SERVICE, service.key).values()
    return max(deployments, key=lambda item: (item.status == "PRIMARY", item.created_at), default=None)


def _render_deployment(
    deployment: Deployment, service: Service, tasks: Sequence[Task], read: Reader
) -> Document:
    counts = TaskCounts([task for task in tasks if task.deployment == deployment.id])
    settings = settings_of(deployment, service)
    shown: Document = {
        "id": deployment.id,
        "status": deployment.status,
        "taskDefinition": read.names.task_definition_revision(deployment.family, deployment.revision),
        "desiredCount": requested_count(deployment, service, counts),
        "runningCount": counts.running,
        "pendingCount": counts.pending,
        "failedTasks": deployment.failed_tasks,
        "createdAt": deployment.created_at,
        "updatedAt": deployment.updated_at,
        **capacity_members(settings["launchType"], settings),
        "rolloutState": deployment.rollout_state,
        "rolloutStateReason": deployment.rollout_state_reason,
    }
    shown.update(platform_members(settings["launchType"], settings))
    shown.update({name: settings[name] for name in _OF_DEPLOYMENTS_TOO if name in settings})
    return shown


def _render_current_revision(
    deployment: Deployment, service: Service, tasks: Sequence[Task], read: Reader
) -> Document:
    counts = TaskCounts([task for task in tasks if task.deployment == deployment.id])
    return {
        "arn": read.names.service_revision(deployment),
        "requestedTaskCount": requested_count(deployment, service, counts),
        "runningTaskCount": counts.running,
        "pendingTaskCount": counts.pending,
    }


def requested_count(deployment: Deployment, service: Service | None, counts: TaskCounts) -> int:
    """Tasks that a deployment is to have: the PRIMARY one all of them, an older one what it has left."""
    return service.desired_count if service and deployment.status == "PRIMARY" else counts.total
