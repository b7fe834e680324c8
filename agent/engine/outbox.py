"""What the controller has not acknowledged yet: a task's state turned into reports, and the tasks that
have one.
"""

import asyncio
from typing import Literal, Protocol

from msgspec.structs import replace

from agent.engine.changes import ContainerChange, NetworkInterface, TaskChange
from agent.engine.states import ContainerState, Sent, Status, TaskPlan, TaskState

_NO_REPORT = Sent.NONE


def reportable(status: Status) -> Sent:
    """The report that a container's status is worth; what comes before RUNNING is not reported by itself."""
    if status is Status.STOPPED:
        return Sent.STOPPED
    return Sent.RUNNING if status is Status.RUNNING else _NO_REPORT


def unsent_change(plan: TaskPlan, state: TaskState) -> TaskChange | None:
    """The next report about a task, or None if the controller knows everything worth knowing.

    A task that ran and stopped between two reports is first reported RUNNING, or the controller would take
    it for one that failed to start. Containers' news ride along; alone they are reported when a container
    has ended, when the task runs already, or when the task is waiting for its own containers and nothing is
    being done. What a task waits for is told anew whenever it changes.
    """
    due = _due(state)
    if due is Sent.RUNNING and state.known is Status.STOPPED:
        return _change(plan, state, Sent.RUNNING, as_when_running=True)
    if due > state.sent or _waits_for_something_else(state) or _containers_alone_matter(plan, state):
        return _change(plan, state, max(due, state.sent, Sent.PENDING))
    return None


def _due(state: TaskState) -> Sent:
    if state.known is Status.STOPPED:
        first = state.started_at is not None and state.sent < Sent.RUNNING
        return Sent.RUNNING if first else Sent.STOPPED
    if state.known is Status.RUNNING:
        return Sent.RUNNING
    return Sent.PENDING if state.waits_for else Sent.NONE


def _waits_for_something_else(state: TaskState) -> bool:
    """Than the controller was told, or for nothing any more."""
    ahead = state.known < Status.RUNNING and state.desired is not Status.STOPPED
    return ahead and state.waits_for != state.told_to_wait_for


def _containers_alone_matter(plan: TaskPlan, state: TaskState) -> bool:
    pairs = zip(plan.containers, state.containers, strict=True)
    news = [c for p, c in pairs if not p.internal and reportable(c.known) > c.sent]
    if not news or state.known is Status.STOPPED:
        return False
    return (
        state.known is Status.RUNNING
        or any(c.known is Status.STOPPED for c in news)
        or all(c.applied is None for c in state.containers)
    )


def _change(plan: TaskPlan, state: TaskState, status: Sent, *, as_when_running: bool = False) -> TaskChange:
    containers = []
    for planned, container in zip(plan.containers, state.containers, strict=True):
        report = Sent.RUNNING if as_when_running else reportable(container.known)
        if report > container.sent and not planned.internal:
            containers.append(_container_change(planned.name, container, report))
    stopped = status is Sent.STOPPED
    return TaskChange(
        task_arn=plan.arn,
        status=_word(status),
        reason=state.waits_for if status is Sent.PENDING else state.reason if stopped else "",
        containers=tuple(containers),
        network_interface=_network_interface(state),
        pull_started_at=state.pull_started_at,
        pull_stopped_at=state.pull_stopped_at,
        execution_stopped_at=_execution_stopped_at(state) if stopped else None,
    )


def _network_interface(state: TaskState) -> NetworkInterface | None:
    interfaces = (container.network_interface for container in state.containers)
    return next((interface for interface in interfaces if interface is not None), None)


def _container_change(name: str, container: ContainerState, report: Sent) -> ContainerChange:
    stopped = report is Sent.STOPPED
    return ContainerChange(
        name=name,
        status=_word(report),
        runtime_id=container.docker_id,
        image_digest=container.image_digest,
        exit_code=container.exit_code if stopped else None,
        reason=(container.reason or None) if stopped else None,
        network_bindings=container.network_bindings,
    )


def _word(report: Sent) -> Literal["PENDING", "RUNNING", "STOPPED"]:
    if report is Sent.STOPPED:
        return "STOPPED"
    return "RUNNING" if report is Sent.RUNNING else "PENDING"


def _execution_stopped_at(state: TaskState) -> float | None:
    """When the first container ended that had run: from then on the task as a whole was ending."""
    ends = [c.finished_at for c in state.containers if c.ran and c.finished_at is not None]
    return min(ends) if ends else None


def acknowledged(plan: TaskPlan, state: TaskState, change: TaskChange) -> TaskState:
    """The state once the controller has acknowledged ``change``. Never takes an acknowledgement back."""
    reports = {container.name: Sent[container.status] for container in change.containers}
    containers = tuple(
        replace(container, sent=max(container.sent, reports.get(planned.name, Sent.NONE)))
        for planned, container in zip(plan.containers, state.containers, strict=True)
    )
    told = change.reason if change.status == "PENDING" else state.told_to_wait_for
    return replace(
        state,
        sent=max(state.sent, Sent[change.status]),
        told_to_wait_for=told,
        containers=containers,
    )


class TaskStore(Protocol):
    """Where the outbox finds tasks and writes acknowledgements to."""

    def find(self, task_arn: str) -> tuple[TaskPlan, TaskState] | None:
        """A task's plan and state, or None if it is not known."""
        ...

    async def acknowledge(self, task_arn: str, state: TaskState) -> None:
        """Put the state with its acknowledgement in place."""
        ...


class Outbox:
    """The tasks with something unsent, the longest waiting first."""

    def __init__(self, tasks: TaskStore) -> None:
        self._tasks = tasks
        self._unsent: dict[str, None] = {}
        self._news = asyncio.Event()

    def look_at(self, task_arn: str) -> None:
        """The task has changed: put it in line, or out of it."""
        if self.peek(task_arn) is None:
            self._unsent.pop(task_arn, None)
        else:
            self._unsent.setdefault(task_arn)
            self._news.set()

    async def wait(self) -> None:
        """Return when something has become unsent since the last return; at once if that is so already."""
        await self._news.wait()
        self._news.clear()

    def unsent(self) -> tuple[str, ...]:
        """The ARNs of the tasks that have something unsent, the longest waiting first."""
        return tuple(self._unsent)

    def peek(self, task_arn: str) -> TaskChange | None:
        """The next report about a task, or None if there is nothing unsent of it."""
        found = self._tasks.find(task_arn)
        return None if found is None else unsent_change(*found)

    async def mark_sent(self, task_arn: str, change: TaskChange) -> None:
        """The controller has acknowledged ``change``. Newer states stay unsent.

        An acknowledgement of a task that is not known (any more) changes nothing.
        """
        found = self._tasks.find(task_arn)
        if found is not None:
            plan, state = found
            await self._tasks.acknowledge(task_arn, acknowledged(plan, state, change))
