"""What a session asks of the engine. ``agent.engine.engine.TaskEngine`` is the real one."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from agent.engine.changes import KnownTask, RejectedTask, TaskChange
from agent.protocol import acs, tcs
from agent.protocol.extensions import InstanceDiskMessage


class Changes(Protocol):
    """The states that the controller has not acknowledged yet: one merged report for each task."""

    async def wait(self) -> None:
        """Return when something has become unsent since the last return; at once if that is so already."""
        ...

    def unsent(self) -> tuple[str, ...]:
        """The ARNs of the tasks that have something unsent, the longest waiting first."""
        ...

    def peek(self, task_arn: str) -> TaskChange | None:
        """The newest state of a task, or None if there is nothing unsent of it."""
        ...

    async def mark_sent(self, task_arn: str, change: TaskChange) -> None:
        """The controller has acknowledged ``change``. Durable when it returns; newer states stay unsent."""
        ...


class Orders(Protocol):
    """What a controller's messages ask of the engine."""

    async def accept(self, tasks: Sequence[acs.Task]) -> tuple[RejectedTask, ...]:
        """Take over desired state, stops first; durable when it returns. Known ARNs only move forward.

        A task that cannot be run is returned, and reported STOPPED with the reason.
        """
        ...

    async def stop_tasks(self, task_arns: Iterable[str]) -> None:
        """Stop tasks whose stop the controller has verified."""
        ...

    def known_tasks(self) -> tuple[KnownTask, ...]:
        """Every task that the agent knows, stopped ones whose end is not acknowledged included."""
        ...

    def set_credentials(self, message: acs.IAMRoleCredentialsMessage) -> bool:
        """Keep the credentials of a task's role. False if the task is not known."""
        ...


class EnginePort(Orders, Protocol):
    """The engine as the sessions see it."""

    @property
    def changes(self) -> Changes: ...

    @property
    def docker_version(self) -> str | None:
        """The version of the container engine, such as ``20.10.24``; None while it is not known."""
        ...

    async def healthy(self) -> bool:
        """Whether the container engine answers; bounded in time."""
        ...

    def task_metrics(self, window_s: float) -> tuple[tcs.TaskMetric, ...]:
        """Use of CPU, memory and network by the running tasks over the last ``window_s`` seconds."""
        ...

    def task_health(self) -> tuple[tcs.TaskHealth, ...]:
        """The health of every container that has a health check."""
        ...

    async def wait_for_health_change(self) -> None:
        """Return when the health of some container has changed since the last return."""
        ...

    def disks(self) -> InstanceDiskMessage:
        """Whether the disks that tasks fill have room."""
        ...

    async def wait_for_disk_change(self) -> None:
        """Return when something about the disks has changed since the last return."""
        ...
