"""Service deployments and service revisions as the API shows them."""

from __future__ import annotations

from controller.api.render.capacity import TaskCounts, capacity_members, platform_members
from controller.api.render.service import deployment_configuration, requested_count
from controller.services.breaker_rules import LOWEST_THRESHOLD, is_enabled, threshold, watches
from controller.services.revisions import revision_settings, status_of
from controller.state.entities import (
    Deployment,
    Document,
    Service,
    Task,
    TaskDefinition,
    deployment_key,
    service_key,
    task_definition_key,
)
from controller.state.indexes import LIVE_TASKS_OF_SERVICE
from controller.state.kernel import Reader

_PRODUCTION_WEIGHT = 100.0
"""Percent of production traffic that a revision of a rolling deployment is asked to take: all of it."""
_TEST_WEIGHT = 0.0
"""The same of test traffic, of which there is none."""
_UNDER_WAY = ("IN_PROGRESS", "ROLLBACK_IN_PROGRESS")


def render_service_deployment(deployment: Deployment, read: Reader) -> Document:
    """The `serviceDeployment` structure; works for ended deployments whose service is gone, too."""
    service = read.get(Service, service_key(deployment.cluster, deployment.service))
    tasks = list(read.select(LIVE_TASKS_OF_SERVICE, _service_key(deployment)).values())
    shown: Document = {
        **render_brief(deployment, read),
        "updatedAt": deployment.updated_at,
        "sourceServiceRevisions": [
            _summary(_source(deployment, id_, read), service, tasks, read) for id_ in deployment.sources
        ],
        "targetServiceRevision": {
            **_summary(deployment, service, tasks, read),
            "requestedProductionTrafficWeight": _PRODUCTION_WEIGHT,
            "requestedTestTrafficWeight": _TEST_WEIGHT,
        },
        "lifecycleHookDetails": [],
        "deploymentCircuitBreaker": {
            "status": _breaker_status(deployment, service),
            "failureCount": deployment.breaker.failures,
            "threshold": threshold(service) if service else LOWEST_THRESHOLD,
        },
        "alarms": {"status": "DISABLED", "alarmNames": [], "triggeredAlarmNames": []},
    }
    del shown["targetServiceRevisionArn"]
    if service is not None:
        shown["deploymentConfiguration"] = deployment_configuration(service)
    if status_of(deployment) in _UNDER_WAY:
        shown["lifecycleStage"] = _stage(deployment, service, tasks)
    if deployment.stopped_at is not None:
        shown["stoppedAt"] = deployment.stopped_at
    if deployment.rollback_started_at is not None:
        target = _source(deployment, deployment.rolls_back_to, read)
        shown["rollback"] = {
            "reason": deployment.outcome_reason,
            "startedAt": deployment.rollback_started_at,
            "serviceRevisionArn": read.names.service_revision(target),
        }
    return shown


def _stage(deployment: Deployment, service: Service | None, tasks: list[Task]) -> str:
    """How far a rolling deployment, or going back from it, has come.

    The tasks that the service shall have are still starting, or are there and the others leave, or are alone
    and watched.
    """
    if status_of(deployment) == "IN_PROGRESS" and deployment.baking_since is not None:
        return "BAKE_TIME"
    wanted = deployment.rolls_back_to if status_of(deployment) == "ROLLBACK_IN_PROGRESS" else deployment.id
    counts = TaskCounts([task for task in tasks if task.deployment == wanted])
    return "CLEAN_UP" if service and counts.running >= service.desired_count else "SCALE_UP"


def render_brief(deployment: Deployment, read: Reader) -> Document:
    """The `serviceDeploymentBrief` structure."""
    names = read.names
    shown: Document = {
        "serviceDeploymentArn": names.service_deployment(deployment),
        "serviceArn": names.service_name(deployment.cluster, deployment.service),
        "clusterArn": names.cluster(deployment.cluster),
        "createdAt": deployment.created_at,
        "startedAt": deployment.created_at,
        "targetServiceRevisionArn": names.service_revision(deployment),
        "status": status_of(deployment),
        "statusReason": deployment.outcome_reason or deployment.rollout_state_reason,
    }
    if deployment.finished_at is not None:
        shown["finishedAt"] = deployment.finished_at
    return shown


def render_service_revision(deployment: Deployment, read: Reader) -> Document:
    """The `serviceRevision` structure of the revision that a deployment makes."""
    names = read.names
    service = read.get(Service, service_key(deployment.cluster, deployment.service))
    settings = deployment.settings or (revision_settings(service) if service else {})
    shown: Document = {
        "serviceRevisionArn": names.service_revision(deployment),
        "serviceArn": names.service_name(deployment.cluster, deployment.service),
        "clusterArn": names.cluster(deployment.cluster),
        "taskDefinition": names.task_definition_revision(deployment.family, deployment.revision),
        "createdAt": deployment.created_at,
        "containerImages": _images(deployment, read),
        "loadBalancers": [],
        "serviceRegistries": [],
        "volumeConfigurations": [],
        "vpcLatticeConfigurations": [],
        "guardDutyEnabled": False,
        **{name: value for name, value in settings.items() if name != "launchType"},
    }
    if settings:
        shown.update(capacity_members(settings["launchType"], settings))
        shown.update(platform_members(settings["launchType"], settings))
    return shown


def _images(deployment: Deployment, read: Reader) -> list[Document]:
    """The images of a revision, with the digests that it has settled on, or else its running tasks report."""
    definition = read.get(TaskDefinition, task_definition_key(deployment.family, deployment.revision))
    if definition is None:
        return []
    digests: dict[str, str] = {}
    for task in read.select(LIVE_TASKS_OF_SERVICE, _service_key(deployment)).values():
        if task.deployment == deployment.id:
            digests |= {item.name: item.image_digest for item in task.containers if item.image_digest}
    digests |= dict(deployment.image_digests)
    images = []
    for container in definition.document["containerDefinitions"]:
        image: Document = {"containerName": container["name"], "image": container["image"]}
        if container["name"] in digests:
            image["imageDigest"] = digests[container["name"]]
        images.append(image)
    return images


def _summary(deployment: Deployment, service: Service | None, tasks: list[Task], read: Reader) -> Document:
    counts = TaskCounts([task for task in tasks if task.deployment == deployment.id])
    return {
        "arn": read.names.service_revision(deployment),
        "requestedTaskCount": requested_count(deployment, service, counts),
        "runningTaskCount": counts.running,
        "pendingTaskCount": counts.pending,
    }


def _source(deployment: Deployment, source_id: str, read: Reader) -> Deployment:
    """An earlier deployment of the same service; of one that is gone, no more than what names it."""
    key = deployment_key(deployment.cluster, deployment.service, source_id)
    found = read.get(Deployment, key)
    return found or Deployment(
        cluster=deployment.cluster,
        service=deployment.service,
        id=source_id,
        status="INACTIVE",
        family="",
        revision=0,
        created_at=0.0,
        updated_at=0.0,
    )


def _service_key(deployment: Deployment) -> str:
    return service_key(deployment.cluster, deployment.service)


def _breaker_status(deployment: Deployment, service: Service | None) -> str:
    if deployment.breaker.tripped:
        return "TRIGGERED"
    if service is None or not is_enabled(service):
        return "DISABLED"
    return "MONITORING" if watches(service, deployment) else "MONITORING_COMPLETE"
