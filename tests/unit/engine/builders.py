"""Plans, events and inspections for tests of the task engine, with only what a test cares about spelt out."""

from collections.abc import Sequence

from agent.engine.records import ContainerInspection, DockerState, HealthStatus
from agent.engine.states import (
    Admitted,
    Command,
    ContainerPlan,
    ContainerState,
    CreateContainer,
    Created,
    Dependency,
    Event,
    Observed,
    PrepareResources,
    Pulled,
    PullImage,
    ResourcesReady,
    RestartPlan,
    StartContainer,
    Started,
    Status,
    StopContainer,
    TaskPlan,
    TaskState,
    WatchStartTimeout,
)
from agent.engine.transitions import initial_state, step
from agent.protocol import acs

ARN = "arn:aws:ecs:us-east-1:000000000000:task/default/0123456789abcdef0123456789abcdef"
CLUSTER_ARN = "arn:aws:ecs:us-east-1:000000000000:cluster/default"


def container(
    name: str,
    *waits: Dependency,
    essential: bool = True,
    start_timeout: float | None = None,
    health_checked: bool = False,
    restart: RestartPlan | None = None,
) -> ContainerPlan:
    """A container of a plan, with a stop timeout of 30 s."""
    return ContainerPlan(
        name=name,
        docker_name=f"docker-{name}",
        essential=essential,
        depends_on=waits,
        start_timeout=start_timeout,
        stop_timeout=30.0,
        health_checked=health_checked,
        restart=restart,
    )


def plan(*containers: ContainerPlan) -> TaskPlan:
    """A task of these containers; one named ``web`` if there are none."""
    return TaskPlan(arn=ARN, containers=containers or (container("web"),))


def inspection(
    name: str,
    state: DockerState,
    *,
    exit_code: int | None = None,
    ever_started: bool = True,
    oom_killed: bool = False,
    error: str = "",
    health: HealthStatus = "UNKNOWN",
    started_at: float = 2.0,
    finished_at: float = 3.0,
) -> ContainerInspection:
    """What the engine might say about container ``name``."""
    return ContainerInspection(
        docker_id=f"id-{name}",
        name=f"docker-{name}",
        image="image",
        image_id="sha256:1",
        state=state,
        exit_code=exit_code,
        error=error,
        oom_killed=oom_killed,
        ever_started=ever_started,
        created_at=1.0,
        started_at=started_at if ever_started else None,
        finished_at=finished_at if state == "STOPPED" else None,
        pid=0,
        health=health,
        stop_signal="SIGTERM",
        ports=(),
        labels={},
    )


def exited(name: str, code: int = 0, at: float = 9.0) -> Observed:
    """The engine's word that a container has ended."""
    return Observed(at=at, container=name, inspection=inspection(name, "STOPPED", exit_code=code))


class Machine:
    """A task under test: remembers its state and every command given, and carries commands out when told."""

    def __init__(self, task_plan: TaskPlan) -> None:
        self.plan = task_plan
        self.state: TaskState = initial_state(task_plan)
        self.commands: list[Command] = []

    def happen(self, *events: Event) -> list[Command]:
        """Let events happen in order; returns the commands that follow, in order."""
        given: list[Command] = []
        for event in events:
            result = step(self.plan, self.state, event)
            self.state = result.state
            given += result.commands
        self.commands += given
        return given

    def known(self) -> Status:
        """The task's known status."""
        return self.state.known

    def container(self, name: str) -> ContainerState:
        """The state of a container."""
        return self.state.containers[self.plan.index(name)]

    def run_up(self) -> "Machine":
        """Admit the task and carry out every command successfully until none is left; timeouts never come."""
        todo: Sequence[Command] = self.happen(Admitted(at=1.0))
        while todo:
            todo = [more for command in todo for more in self.happen(*success(command))]
        return self


ADMITTED: tuple[Event, ...] = (Admitted(at=1.0), ResourcesReady(at=1.0))
"""A task that is let in and has everything that it needs beside its containers."""


def success(command: Command, at: float = 2.0) -> tuple[Event, ...]:
    """How a command that worked is answered. A stop ends the container with 137, a timeout never comes."""
    if isinstance(command, PrepareResources):
        return (ResourcesReady(at=at),)
    name = command.container
    match command:
        case PullImage():
            return (Pulled(at=at, container=name),)
        case CreateContainer():
            return (Created(at=at, container=name, docker_id=f"id-{name}"),)
        case StartContainer():
            return (Started(at=at, container=name, docker_id=f"id-{name}"),)
        case StopContainer():
            return (exited(name, 137, at),)
        case WatchStartTimeout():
            return ()


def acs_container(name: str = "web", **members: object) -> acs.Container:
    """A container of a payload."""
    defaults: dict[str, object] = {"image": "busybox", "cpu": 10, "memory": 16, "essential": True}
    return acs.Container(name=name, **{**defaults, **members})  # type: ignore[arg-type]


def acs_task(*containers: acs.Container, **members: object) -> acs.Task:
    """A task of a payload."""
    defaults: dict[str, object] = {
        "arn": ARN,
        "task_cluster_arn": CLUSTER_ARN,
        "desired_status": "RUNNING",
        "family": "app",
        "version": "3",
        "containers": containers or (acs_container(),),
    }
    return acs.Task(**{**defaults, **members})  # type: ignore[arg-type]
