"""What the controller knows: one frozen, typed record a thing.

Every record is immutable; a change is a new record put in a transaction. Records hold facts and decisions
only. Whatever follows from them (ARNs, counts, remaining resources, a task's lastStatus) is computed where it
is needed and never stored.

New fields are added with a default. Any other change of a record is a migration and raises its kind's
`codec_version`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

DesiredStatus = Literal["RUNNING", "STOPPED"]
ReportedStatus = Literal["NONE", "PENDING", "RUNNING", "STOPPED"]
Disposition = Literal["NONE", "NEVER_SENT", "UNKNOWN", "GIVEN_UP", "FORCED"]
StopCode = Literal[
    "TaskFailedToStart",
    "EssentialContainerExited",
    "UserInitiated",
    "ServiceSchedulerInitiated",
    "SpotInterruption",
    "TerminationNotice",
    "InfrastructureHealth",
]
HealthStatus = Literal["HEALTHY", "UNHEALTHY", "UNKNOWN"]
ClusterStatus = Literal["ACTIVE", "INACTIVE"]
TaskDefinitionStatus = Literal["ACTIVE", "INACTIVE", "DELETE_IN_PROGRESS"]
CapacityProviderStatus = Literal["ACTIVE", "INACTIVE"]
InstanceStatus = Literal["ACTIVE", "DRAINING", "INACTIVE"]
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
Role = Literal["administrator", "deployer", "viewer", "agent"]

Document = dict[str, Any]
"""A mapping shaped by the service model, checked on its way in and never changed afterwards."""


class Entity(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A record of the state.

    `kind` names it in the store, `codec_version` the form of its stored body, and `durable` tells whether it
    is stored at all: volatile kinds live in memory only and vanish with the process.
    """

    kind: ClassVar[str]
    codec_version: ClassVar[int] = 1
    durable: ClassVar[bool] = True

    @property
    def key(self) -> str:
        """The record's identity among its kind."""
        raise NotImplementedError


class Tag(msgspec.Struct, frozen=True, gc=False):
    """One resource tag."""

    key: str
    value: str = ""


class Attribute(msgspec.Struct, frozen=True, gc=False):
    """A container instance attribute; capabilities have a name and no value."""

    name: str
    value: str | None = None


class Cluster(Entity, frozen=True, kw_only=True):
    """A cluster: the namespace of instances, tasks and services."""

    kind: ClassVar[str] = "cluster"

    name: str
    status: ClusterStatus = "ACTIVE"
    created_at: float
    tags: tuple[Tag, ...] = ()
    options: Document = {}
    """Members that are kept and answered as given: settings, configuration, capacityProviders,
    defaultCapacityProviderStrategy, serviceConnectDefaults."""
    deleted_at: float | None = None
    """When the cluster became INACTIVE."""

    @property
    def key(self) -> str:
        return self.name


class TaskDefinitionFamily(Entity, frozen=True, kw_only=True):
    """A family's revision counter. It survives the deletion of every revision, so that a number is never used
    twice."""

    kind: ClassVar[str] = "task-definition-family"

    name: str
    last_revision: int

    @property
    def key(self) -> str:
        return self.name


class TaskDefinition(Entity, frozen=True, kw_only=True):
    """One revision of a task definition."""

    kind: ClassVar[str] = "task-definition"

    family: str
    revision: int
    status: TaskDefinitionStatus = "ACTIVE"
    document: Document
    """The normalised RegisterTaskDefinition input (containerDefinitions, volumes, networkMode, cpu, memory,
    ...), defaults filled."""
    requires_attributes: tuple[str, ...] = ()
    compatibilities: tuple[str, ...] = ()
    registered_at: float
    registered_by: str = ""
    deregistered_at: float | None = None
    delete_requested_at: float | None = None
    tags: tuple[Tag, ...] = ()

    @property
    def key(self) -> str:
        return task_definition_key(self.family, self.revision)


class ContainerInstance(Entity, frozen=True, kw_only=True):
    """A machine that registered."""

    kind: ClassVar[str] = "container-instance"

    cluster: str
    id: str
    status: InstanceStatus = "ACTIVE"
    status_reason: str = ""
    ec2_instance_id: str
    cpu: int
    """Registered CPU units, 1,024 a core."""
    memory: int
    """Registered memory in MiB."""
    reserved_ports_tcp: tuple[int, ...] = ()
    reserved_ports_udp: tuple[int, ...] = ()
    gpu_ids: tuple[str, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    """What the agent registered, in its order, then what the controller added."""
    tags: tuple[Tag, ...] = ()
    agent_version: str = ""
    agent_hash: str = ""
    docker_version: str = ""
    machine_id: str = ""
    boot_id: str = ""
    registered_at: float
    version: int = 1
    deleted_at: float | None = None
    """When the instance became INACTIVE."""

    @property
    def key(self) -> str:
        return instance_key(self.cluster, self.id)


class InstanceConnection(Entity, frozen=True, kw_only=True):
    """Whether an instance's agent is connected; known to this process only."""

    kind: ClassVar[str] = "instance-connection"
    durable: ClassVar[bool] = False

    cluster: str
    id: str
    connected: bool
    synchronised: bool = False
    """Whether the agent has told, or been asked for, all its tasks since it connected."""
    clock_skew_s: float = 0.0
    """Seconds that the agent's clock is ahead of this one, if so far off that its signatures are refused."""
    runtime_status: str = ""
    """What the agent says about its container runtime: OK, IMPAIRED, INSUFFICIENT_DATA or INITIALIZING; empty
    before it spoke."""
    runtime_changed_at: float = 0.0
    """When the agent first said so."""
    disk_status: str = ""
    """What our agent says about its disks: OK, WARNING, or FULL (it gets no tasks); empty at first."""
    disk_reason: str = ""
    """The fullest disk in words; empty while all is well."""
    disk_changed_at: float = 0.0
    """When the agent first said so."""
    changed_at: float

    @property
    def key(self) -> str:
        return instance_key(self.cluster, self.id)


class NetworkBinding(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Where a container port can be reached on its host."""

    bind_ip: str = ""
    container_port: int | None = None
    host_port: int | None = None
    protocol: str = "tcp"
    container_port_range: str = ""
    host_port_range: str = ""


class NetworkInterface(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The network interface of an awsvpc task, as its agent made it."""

    private_ipv4: str = ""
    mac_address: str = ""


class ManagedAgent(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """An agent of ECS's own inside of a container."""

    name: str
    last_status: str = "PENDING"
    last_started_at: float | None = None
    reason: str = ""


class TaskContainer(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """What agents reported about one container of a task."""

    name: str
    id: str
    """Last segment of the container's ARN."""
    last_status: str = "PENDING"
    runtime_id: str = ""
    image_digest: str = ""
    exit_code: int | None = None
    reason: str = ""
    health_status: HealthStatus = "UNKNOWN"
    network_bindings: tuple[NetworkBinding, ...] = ()
    managed_agents: tuple[ManagedAgent, ...] = ()


class Task(Entity, frozen=True, kw_only=True):
    """One task: started at most once, on at most one instance, for ever.

    `desired_status`, `disposition` and `stop_code` are written by the controller's decisions,
    `reported_status` and the containers by agents' reports. What the API calls lastStatus follows from them
    (`lifecycle.last_status`).
    """

    kind: ClassVar[str] = "task"

    cluster: str
    id: str
    family: str
    revision: int
    instance: str | None = None
    """Id of the container instance that the task is placed on; None while it waits for a place."""
    group: str = ""
    started_by: str = ""
    launch_type: str = "EC2"
    service: str | None = None
    """Name of the service that owns the task; None for a standalone task."""
    deployment: str | None = None
    """Id of the deployment or task set (`ecs-svc/...`) that started the task."""
    launch_round: int = 0
    """The deployment's or task set's `launch_round` when it started the task."""
    failure_counted: bool = False
    """Whether the deployment has counted this task as one that ended before it ran, or its circuit breaker as
    one that ended by itself."""
    was_healthy: bool = False
    """Whether a circuit breaker has seen this task healthy."""
    desired_status: DesiredStatus = "RUNNING"
    reported_status: ReportedStatus = "NONE"
    disposition: Disposition = "NONE"
    has_run: bool = False
    """Whether the task was ever reported RUNNING; tells a failed start from an exit."""
    containers: tuple[TaskContainer, ...] = ()
    cpu: int = 0
    """CPU units reserved on the instance."""
    memory: int = 0
    """MiB reserved on the instance."""
    ports_tcp: tuple[int, ...] = ()
    ports_udp: tuple[int, ...] = ()
    gpu_ids: tuple[str, ...] = ()
    created_epoch: int = 0
    created_at: float
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    started_at: float | None = None
    stopping_at: float | None = None
    execution_stopped_at: float | None = None
    stopped_at: float | None = None
    stop_code: StopCode | None = None
    stopped_reason: str = ""
    protected_until: float | None = None
    """When the task's scale-in protection ends, by wall time; None when it has none or it has ended."""
    pending_reason: str = ""
    """Why a task that has not started yet waits, in the agent's or the scheduler's words."""
    network_interface: NetworkInterface | None = None
    """Of a task with a network of its own, once its agent has made it."""
    log_mode: str = ""
    """Mode of the containers' log drivers where the definition names none; empty for Docker's own."""
    options: Document = {}
    """Members that are kept and answered as given: overrides, platformVersion, enableExecuteCommand,
    networkConfiguration, ..."""
    tags: tuple[Tag, ...] = ()
    version: int = 1

    @property
    def key(self) -> str:
        return task_key(self.cluster, self.id)


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


class QuarantinedTask(Entity, frozen=True, kw_only=True):
    """A task that an agent runs and this store does not know: shown, never stopped by default."""

    kind: ClassVar[str] = "quarantined-task"

    cluster: str
    instance: str
    task_arn: str
    family: str = ""
    version: str = ""
    first_seen_at: float

    @property
    def key(self) -> str:
        return f"{self.cluster}/{self.instance}/{self.task_arn}"


class RunTaskToken(Entity, frozen=True, kw_only=True):
    """A RunTask client token, so that a repeated call answers with the tasks of the first."""

    kind: ClassVar[str] = "run-task-token"

    cluster: str
    token: str
    fingerprint: str
    """Digest of the request without its token; another digest under the same token is a conflict."""
    tasks: tuple[str, ...]
    failures: tuple[Document, ...] = ()
    created_at: float

    @property
    def key(self) -> str:
        return f"{self.cluster}/{self.token}"


class CapacityProvider(Entity, frozen=True, kw_only=True):
    """A capacity provider: a named pool of machines that clusters can take instances from.

    FARGATE and FARGATE_SPOT always exist; they are kept only when they have tags.
    """

    kind: ClassVar[str] = "capacity-provider"

    name: str
    status: CapacityProviderStatus = "ACTIVE"
    update_status: str = "CREATE_COMPLETE"
    auto_scaling_group_provider: Document = {}
    """The member of that name, defaults filled; empty for FARGATE and FARGATE_SPOT."""
    created_at: float
    tags: tuple[Tag, ...] = ()
    deleted_at: float | None = None
    """When the provider became INACTIVE."""

    @property
    def key(self) -> str:
        return self.name


class AccountSetting(Entity, frozen=True, kw_only=True):
    """An account setting that a principal has, or with the root user's ARN all who have none of their own."""

    kind: ClassVar[str] = "account-setting"

    principal: str
    """ARN of the user, the role or the root user."""
    name: str
    value: str

    @property
    def key(self) -> str:
        return account_setting_key(self.principal, self.name)


class AccessKey(Entity, frozen=True, kw_only=True):
    """Who may call. The secret is stored encrypted under the key file, which is no part of the store."""

    kind: ClassVar[str] = "access-key"

    id: str
    role: Role
    cluster: str | None = None
    """The only cluster that it may act in; None: all of them."""
    user: str = ""
    """Name of the user who holds it; empty: the controller made it for itself, or for an agent."""
    secret_ciphertext: str
    created_at: float
    enabled: bool = True
    root: bool = False
    """Whether it is the administrator key that local clients of the data directory use."""
    instance: str = ""
    """Id of the container instance for which alone an agent key is good; empty: all of its cluster's."""
    expires_at: float | None = None
    exchange: str = ""
    """The exchange or renewal that made it: the same again is a repetition, not another one."""
    in_use: bool = False
    """Whether its container instance has registered with it: what made it must not be repeated any more."""

    @property
    def key(self) -> str:
        return self.id


class JoinExchange(msgspec.Struct, frozen=True):
    """One use of a join token."""

    id: str
    access_key_id: str
    instance: str
    at: float


class JoinToken(Entity, frozen=True, kw_only=True):
    """With what machines join a cluster, as often as it says. Of its secret only a hash is kept."""

    kind: ClassVar[str] = "join-token"

    id: str
    cluster: str
    secret_hash: str
    uses: int
    created_at: float
    expires_at: float
    revoked_at: float | None = None
    exchanges: tuple[JoinExchange, ...] = ()

    @property
    def key(self) -> str:
        return self.id


class TaskRole(Entity, frozen=True, kw_only=True):
    """What tasks may do with the credentials of a role. A role that has no record may do nothing."""

    kind: ClassVar[str] = "task-role"

    name: str
    """What stands after the last `/` of the role's ARN: a role's path is no part of its identity."""
    allowed: tuple[str, ...] = ()
    """Operations of ECS, and names of sets of them; in the task's own cluster only."""
    passes: tuple[str, ...] = ()
    """Names of the roles, beside itself, with which tasks may be started by those who have it."""
    assumed_arn: str = ""
    """ARN of the AWS role whose credentials tasks get in place of this controller's own."""
    changed_at: float

    @property
    def key(self) -> str:
        return self.name


class SecretVersion(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One value that a secret had or has, encrypted under the key file."""

    id: str
    ciphertext: str
    created_at: float
    stages: tuple[str, ...] = ()
    """AWSCURRENT for the newest, AWSPREVIOUS for the one before it."""

    def __repr__(self) -> str:
        return f"SecretVersion(id={self.id!r}, stages={self.stages!r})"


class Secret(Entity, frozen=True, kw_only=True):
    """A value that tasks get by its name, in this controller's own store of secrets."""

    kind: ClassVar[str] = "secret"

    name: str
    """Without a leading `/`."""
    versions: tuple[SecretVersion, ...] = ()
    """The newest first."""
    created_at: float

    @property
    def key(self) -> str:
        return self.name


def account_setting_key(principal: str, name: str) -> str:
    """Key of a principal's account setting."""
    return f"{principal}/{name}"


def instance_key(cluster: str, instance_id: str) -> str:
    """Key of a container instance and of its connection."""
    return f"{cluster}/{instance_id}"


def task_key(cluster: str, task_id: str) -> str:
    """Key of a task."""
    return f"{cluster}/{task_id}"


def service_key(cluster: str, name: str) -> str:
    """Key of a service."""
    return f"{cluster}/{name}"


def deployment_key(cluster: str, service: str, deployment_id: str) -> str:
    """Key of a deployment."""
    return f"{cluster}/{service}/{deployment_id}"


def task_set_key(cluster: str, service: str, task_set_id: str) -> str:
    """Key of a task set."""
    return f"{cluster}/{service}/{task_set_id}"


def task_definition_key(family: str, revision: int) -> str:
    """Key of a task definition revision, as users write it."""
    return f"{family}:{revision}"


KINDS: tuple[type[Entity], ...] = (
    Cluster,
    TaskDefinitionFamily,
    TaskDefinition,
    ContainerInstance,
    InstanceConnection,
    Task,
    Service,
    Deployment,
    TaskSet,
    QuarantinedTask,
    RunTaskToken,
    CapacityProvider,
    AccountSetting,
    AccessKey,
    JoinToken,
    TaskRole,
    Secret,
)
"""Every kind of record that the state holds."""
