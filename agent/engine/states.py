"""What the task state machine works on: statuses, a task's fixed plan and its changing state, events and
commands.

Each status is ordered and only grows. Of every container the machine keeps what is wanted (``desired``),
what is known to be so (``known``), what is being done about it (``applied``) and what the controller has
acknowledged (``sent``). Everything here is frozen: ``agent.engine.transitions.step`` makes new states of
old ones.
"""

from enum import IntEnum
from typing import Literal

import msgspec
from msgspec.structs import replace

from agent.engine.changes import NetworkBinding, NetworkInterface
from agent.engine.records import ContainerInspection, HealthStatus

Condition = Literal["START", "COMPLETE", "SUCCESS", "HEALTHY", "CREATE"]
"""What a container waits for in another; ``CREATE`` comes from volumesFrom and is not ECS's to write."""


class Status(IntEnum):
    """How far a container, or a task through its containers, has come. The numbers are kept on disk."""

    NONE = 0
    PULLED = 20
    CREATED = 30
    RUNNING = 40
    STOPPED = 60


class ResourceStatus(IntEnum):
    """How far what a task needs beside its containers has come (see ``task_resources``)."""

    NONE = 0
    PREPARING = 1
    READY = 2


class Sent(IntEnum):
    """How much of a status the controller has acknowledged, in the words of the Submit calls."""

    NONE = 0
    PENDING = 1
    RUNNING = 2
    STOPPED = 3


class Dependency(msgspec.Struct, frozen=True, gc=False):
    """This container waits until container ``name`` fulfils ``condition``."""

    name: str
    condition: Condition


class RestartPlan(msgspec.Struct, frozen=True, gc=False):
    """A container that ends by itself is started again."""

    ignored_exit_codes: tuple[int, ...]
    """With these it stays stopped."""
    attempt_period: float
    """Seconds that it must have run before it is started again."""


class ContainerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What never changes about a container. Timeouts are in seconds."""

    name: str
    docker_name: str
    """Chosen before the container exists, so that a crash in the middle of its creation can be settled."""
    essential: bool = True
    depends_on: tuple[Dependency, ...] = ()
    start_timeout: float | None = None
    """How long others wait for this container to become COMPLETE, SUCCESS or HEALTHY."""
    stop_timeout: float
    health_checked: bool = False
    restart: RestartPlan | None = None
    metadata_id: str = ""
    """By this random id the container asks the agent for metadata; empty if it was made without one."""
    internal: bool = False
    """The agent added it to the task; the controller never hears of it."""


class ContainerState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known about a container. Times are in epoch seconds."""

    desired: Status = Status.RUNNING
    known: Status = Status.NONE
    sent: Sent = Sent.NONE
    applied: Status | None = None
    """What a command in flight will bring it to. Not kept on disk: after a restart nothing is in flight."""
    ran: bool = False
    docker_id: str | None = None
    image_digest: str | None = None
    image_id: str | None = None
    exit_code: int | None = None
    reason: str = ""
    network_bindings: tuple[NetworkBinding, ...] = ()
    network_interface: NetworkInterface | None = None
    """Of an internal container that holds a network: the task's own."""
    health: HealthStatus = "UNKNOWN"
    health_since: float | None = None
    created_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    restarts: int = 0
    """How often its restart policy has had it started again."""
    restarting: bool = False
    """Its last life has ended and the next has not begun."""
    restarted_life: float | None = None
    """When the last life that was followed by another had begun, in the engine's words."""


class TaskState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known about a task; ``containers`` is in the order of its plan. Times are in epoch seconds."""

    desired: Status = Status.RUNNING
    known: Status = Status.NONE
    sent: Sent = Sent.NONE
    arrival: int = 0
    """Grows from task to task in the order in which they came, which is that of waiting."""
    admitted: bool = False
    """It holds its share of the host. Not kept on disk: worked out anew from the containers after a
    restart.
    """
    resources: ResourceStatus = ResourceStatus.NONE
    """Not kept on disk: what was prepared is in the memory of one life of the agent only."""
    waits_for: str = ""
    """Why it is not admitted yet, or does not get on, in words for people."""
    told_to_wait_for: str = ""
    """The same as the controller was told last."""
    reason: str = ""
    """Why it stopped, if that was not the controller's wish."""
    containers: tuple[ContainerState, ...] = ()
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    started_at: float | None = None
    stopped_at: float | None = None

    def with_container(self, position: int, container: ContainerState) -> "TaskState":
        """The same state with another one of its containers."""
        containers = (*self.containers[:position], container, *self.containers[position + 1 :])
        return replace(self, containers=containers)


class PlannedVolume(msgspec.Struct, frozen=True, kw_only=True):
    """A volume of the task definition as the engine shall have it."""

    name: str
    source: str
    """A path of the host, or the name of a docker volume."""
    driver: str = ""
    driver_opts: dict[str, str] = {}
    labels: dict[str, str] = {}
    create: bool = False
    """It is a docker volume that is made before the first container that mounts it, if need be."""
    shared: bool = False
    """It is a docker volume that outlives its tasks, and is used as it is if it is there."""
    task_scoped: bool = False
    """It is removed with the task's containers."""


class TaskPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What never changes about a task."""

    arn: str
    containers: tuple[ContainerPlan, ...]
    volumes: tuple[PlannedVolume, ...] = ()

    def index(self, name: str) -> int:
        """The position of container ``name``. Raises ``KeyError`` if the task has none of that name."""
        for position, container in enumerate(self.containers):
            if container.name == name:
                return position
        raise KeyError(name)

    def dependents(self, name: str) -> tuple[ContainerPlan, ...]:
        """The containers that declare a dependency on container ``name``."""
        return tuple(c for c in self.containers if any(d.name == name for d in c.depends_on))


# --- events -------------------------------------------------------------------------------------------------


class _Event(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Something that happened, at wall-clock time ``at``."""

    at: float


class StopRequested(_Event, frozen=True, kw_only=True):
    """The controller, or the agent for the stated ``reason``, wants the task stopped."""

    reason: str = ""


class AdmissionDelayed(_Event, frozen=True, kw_only=True):
    """The host cannot take the task on, or go on with it, yet: it has no room, or its engine is away."""

    reason: str


class Admitted(_Event, frozen=True, kw_only=True):
    """The task holds its share of the host now."""


class ResourcesReady(_Event, frozen=True, kw_only=True):
    """Everything that the task needs beside its containers is there."""


class ResourcesFailed(_Event, frozen=True, kw_only=True):
    """What the task needs beside its containers cannot be had; it is stopped for that ``reason``."""

    reason: str


class Resumed(_Event, frozen=True, kw_only=True):
    """The agent has started anew and looked at every container; go on from there."""


class _ContainerEvent(_Event, frozen=True, kw_only=True):
    container: str


class Pulled(_ContainerEvent, frozen=True, kw_only=True):
    """The image is in the engine's store; ``digest`` is empty where no registry has named one."""

    digest: str = ""
    image_id: str = ""


class PullFailed(_ContainerEvent, frozen=True, kw_only=True):
    reason: str


class Created(_ContainerEvent, frozen=True, kw_only=True):
    docker_id: str


class CreateFailed(_ContainerEvent, frozen=True, kw_only=True):
    reason: str


class Started(_ContainerEvent, frozen=True, kw_only=True):
    """The engine has started the container; it may have ended since."""

    docker_id: str
    network_bindings: tuple[NetworkBinding, ...] = ()
    network_interface: NetworkInterface | None = None


class StartFailed(_ContainerEvent, frozen=True, kw_only=True):
    """``may_run`` says that the engine gave no clear answer, so that the container must be taken for
    running.
    """

    reason: str
    may_run: bool = False


class StopFailed(_ContainerEvent, frozen=True, kw_only=True):
    """The container was not seen stopped. It counts as running and is stopped again after a while."""

    reason: str


class Observed(_ContainerEvent, frozen=True, kw_only=True):
    """The engine's own account of the container."""

    inspection: ContainerInspection
    network_bindings: tuple[NetworkBinding, ...] = ()


class Died(_ContainerEvent, frozen=True, kw_only=True):
    """The engine's event that a running container's process has ended.

    It comes a good while before the engine answers an inspection of the container again.
    """

    exit_code: int
    out_of_memory: bool = False


class Vanished(_ContainerEvent, frozen=True, kw_only=True):
    """The engine knows no container of that name."""


class HealthChanged(_ContainerEvent, frozen=True, kw_only=True):
    health: HealthStatus


class StartTimedOut(_ContainerEvent, frozen=True, kw_only=True):
    """The container's startTimeout has passed since it started."""


ContainerEvent = (
    Pulled
    | PullFailed
    | Created
    | CreateFailed
    | Started
    | StartFailed
    | StopFailed
    | Observed
    | Died
    | Vanished
    | HealthChanged
    | StartTimedOut
)
Event = (
    StopRequested | AdmissionDelayed | Admitted | ResourcesReady | ResourcesFailed | Resumed | ContainerEvent
)


# --- commands -----------------------------------------------------------------------------------------------


class _Command(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    pass


class PrepareResources(_Command, frozen=True, kw_only=True):
    """Given before the first image is pulled, and again after a restart if containers are still to be made.
    Answered by ``ResourcesReady`` or ``ResourcesFailed``.
    """


class _ContainerCommand(_Command, frozen=True, kw_only=True):
    container: str


class PullImage(_ContainerCommand, frozen=True, kw_only=True):
    """Answered by ``Pulled`` or ``PullFailed``."""


class CreateContainer(_ContainerCommand, frozen=True, kw_only=True):
    """Answered by ``Created`` or ``CreateFailed``."""


class StartContainer(_ContainerCommand, frozen=True, kw_only=True):
    """Answered by ``Started`` or ``StartFailed``."""


class StopContainer(_ContainerCommand, frozen=True, kw_only=True):
    """Answered by ``Observed``, ``Vanished`` or ``StopFailed``; ``delay`` seconds pass before it is tried."""

    timeout: float
    delay: float = 0.0


class WatchStartTimeout(_ContainerCommand, frozen=True, kw_only=True):
    """Answered by ``StartTimedOut`` after ``seconds``."""

    seconds: float


ContainerCommand = PullImage | CreateContainer | StartContainer | StopContainer | WatchStartTimeout
Command = PrepareResources | ContainerCommand


# --- in ECS's words -----------------------------------------------------------------------------------------


def reported(status: Status) -> Literal["PENDING", "RUNNING", "STOPPED"]:
    """A status as the Submit calls and the introspection endpoint say it."""
    if status is Status.STOPPED:
        return "STOPPED"
    return "RUNNING" if status is Status.RUNNING else "PENDING"
