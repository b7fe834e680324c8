"""Tasks and their containers."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from controller.state.entities.record import Document, Entity, Tag

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


def task_key(cluster: str, task_id: str) -> str:
    """Key of a task."""
    return f"{cluster}/{task_id}"
