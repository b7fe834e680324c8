"""Services, and the deployments and task sets that start their tasks."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from controller.state.entities.record import Document, Entity, Tag

ServiceStatus = Literal["ACTIVE", "DRAINING", "INACTIVE"]
SchedulingStrategy = Literal["REPLICA", "DAEMON"]
DeploymentStatus = Literal["PRIMARY", "ACTIVE", "INACTIVE"]
RolloutState = Literal["IN_PROGRESS", "COMPLETED", "FAILED"]
TaskSetStatus = Literal["PRIMARY", "ACTIVE", "DRAINING"]
StabilityStatus = Literal["STABILIZING", "STEADY_STATE"]
ServiceDeploymentStatus = Literal[
    "IN_PROGRESS",
    "SUCCESSFUL",
    "STOPPED",
    "ROLLBACK_IN_PROGRESS",
    "ROLLBACK_SUCCESSFUL",
    "ROLLBACK_FAILED",
]


class Service(Entity, frozen=True, kw_only=True):
    """A service: so many tasks of a task definition, kept running."""

    kind: ClassVar[str] = "service"

    cluster: str
    name: str
    status: ServiceStatus = "ACTIVE"
    scheduling_strategy: SchedulingStrategy = "REPLICA"
    desired_count: int = 0
    minimum_healthy_percent: int = 100
    maximum_percent: int = 200
    launch_type: str = "EC2"
    health_check_grace_period_s: int = 0
    propagate_tags: str = "NONE"
    enable_ecs_managed_tags: bool = False
    options: Document = {}
    """Members that are kept and answered as given: deploymentConfiguration, placementConstraints,
    placementStrategy, networkConfiguration, loadBalancers, serviceRegistries, ..."""
    client_token: str = ""
    created_at: float
    created_by: str = ""
    deleted_at: float | None = None
    """When the service became INACTIVE."""
    tags: tuple[Tag, ...] = ()

    @property
    def key(self) -> str:
        return service_key(self.cluster, self.name)


class CircuitBreakerCount(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """What a deployment's circuit breaker has counted."""

    failures: int = 0
    last_failure: str = ""
    """Why the last one failed, in words."""
    unplaced_since: float | None = None
    """Since when tasks have found no place, or when that was counted last; None while all have one."""
    tripped: bool = False
    """Whether it has ended the deployment."""


class Deployment(Entity, frozen=True, kw_only=True):
    """One deployment of a service: a task definition revision being made, or having been made, what the
    service runs."""

    kind: ClassVar[str] = "deployment"

    cluster: str
    service: str
    id: str
    """`ecs-svc/` and digits."""
    status: DeploymentStatus = "PRIMARY"
    family: str
    revision: int
    rollout_state: RolloutState = "IN_PROGRESS"
    rollout_state_reason: str = ""
    failed_tasks: int = 0
    """Consecutive tasks that ended before they ran; 0 again as soon as one runs."""
    launch_round: int = 0
    """Grows when a task of the present round ends before it ran: launches made in between belong together."""
    good_round: int = 0
    """The newest round of which a task has run; the rounds since then failed one after the other."""
    last_failed_at: float | None = None
    """When a task last ended before it ran; the launch back-off counts from there."""
    breaker: CircuitBreakerCount = CircuitBreakerCount()
    baking_since: float | None = None
    """When its bake time began; None before, and for one without."""
    steady: bool = False
    """Whether the steady state was already announced for the present run of steadiness."""
    image_digests: tuple[tuple[str, str], ...] = ()
    """Container name and digest, as resolved by the deployment's first task."""
    settings: Document = {}
    """What its service revision fixes beside the task definition: launchType, networkConfiguration,
    platformVersion, ..."""
    sources: tuple[str, ...] = ()
    """Ids of the deployments whose revisions the service ran when this one began."""
    rolls_back_to: str = ""
    """Id of the last deployment before this one that completed."""
    outcome: ServiceDeploymentStatus | None = None
    """What became of the service deployment; None while it follows from `rollout_state`."""
    outcome_reason: str = ""
    rollback_started_at: float | None = None
    finished_at: float | None = None
    stopped_at: float | None = None
    created_at: float
    updated_at: float

    @property
    def key(self) -> str:
        return deployment_key(self.cluster, self.service, self.id)


class TaskSet(Entity, frozen=True, kw_only=True):
    """One task set of a service with the deployment controller EXTERNAL.

    It is a share of the service's desired count, in tasks of one task definition revision.
    """

    kind: ClassVar[str] = "task-set"

    cluster: str
    service: str
    id: str
    """`ecs-svc/` and digits."""
    status: TaskSetStatus = "ACTIVE"
    family: str
    revision: int
    external_id: str = ""
    scale: float = 0.0
    """Percent of the service's desired count."""
    settings: Document = {}
    """What its tasks are launched with beside the task definition: launchType, networkConfiguration,
    platformVersion, capacityProviderStrategy."""
    stability_status: StabilityStatus = "STABILIZING"
    stability_status_at: float
    """When `stability_status` last changed."""
    failed_tasks: int = 0
    launch_round: int = 0
    good_round: int = 0
    last_failed_at: float | None = None
    """These four as in a deployment."""
    image_digests: tuple[tuple[str, str], ...] = ()
    """Container name and digest, as resolved by the task set's first task."""
    client_token: str = ""
    fingerprint: str = ""
    """Digest of the request that created it, without its token."""
    created_at: float
    updated_at: float
    tags: tuple[Tag, ...] = ()

    @property
    def key(self) -> str:
        return task_set_key(self.cluster, self.service, self.id)


TaskOwner = Deployment | TaskSet
"""What starts the tasks of a service and counts their failed starts."""


def service_key(cluster: str, name: str) -> str:
    """Key of a service."""
    return f"{cluster}/{name}"


def deployment_key(cluster: str, service: str, deployment_id: str) -> str:
    """Key of a deployment."""
    return f"{cluster}/{service}/{deployment_id}"


def task_set_key(cluster: str, service: str, task_set_id: str) -> str:
    """Key of a task set."""
    return f"{cluster}/{service}/{task_set_id}"
