"""The life of a task in the controller's books, as tables and plain functions.

`desired_status` is written by decisions here, `reported_status` by agents' reports, and neither ever goes
backwards. lastStatus, which the API shows, follows from both (ecs-semantics: desiredStatus is RUNNING from
creation and STOPPED once the stop is decided).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from controller.state.entities import (
    Disposition,
    HealthStatus,
    NetworkBinding,
    NetworkInterface,
    ReportedStatus,
    StopCode,
    Task,
    TaskContainer,
)
from controller.state.managed_agents import ManagedAgentReport, with_managed_agents

REPORT_RANK: dict[ReportedStatus, int] = {"NONE": 0, "PENDING": 1, "RUNNING": 2, "STOPPED": 3}
"""Order of reported statuses; a report of a lower rank than the present one changes nothing."""

DISPOSITION_EDGES: dict[Disposition, frozenset[Disposition]] = {
    "NONE": frozenset({"NEVER_SENT", "UNKNOWN", "GIVEN_UP", "FORCED"}),
    "UNKNOWN": frozenset({"NONE", "GIVEN_UP", "FORCED"}),
    "GIVEN_UP": frozenset({"FORCED"}),
    "NEVER_SENT": frozenset(),
    "FORCED": frozenset(),
}
"""Allowed changes of a task's disposition."""

ENDED_DISPOSITIONS: frozenset[Disposition] = frozenset({"NEVER_SENT", "GIVEN_UP", "FORCED"})
"""Dispositions under which the API shows a task as STOPPED whatever an agent last reported."""

DEFAULT_EXIT_REASON = "Essential container in task exited"
DEFAULT_START_FAILURE_REASON = "Task failed to start"


class ImpossibleTransition(Exception):
    """An edge that is in no table; carries the object's story."""

    def __init__(self, task: Task, edge: str) -> None:
        super().__init__(
            f"task {task.key} cannot go {edge}: "
            f"desired {task.desired_status}, reported {task.reported_status}, "
            f"disposition {task.disposition}, stop code {task.stop_code}, reason {task.stopped_reason!r}"
        )


class ContainerReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent says about one container."""

    name: str
    status: str | None = None
    runtime_id: str | None = None
    image_digest: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    network_bindings: tuple[NetworkBinding, ...] | None = None


class TaskReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent says about a task. `status` is None when only containers are reported."""

    status: ReportedStatus | None = None
    reason: str = ""
    containers: Sequence[ContainerReport] = ()
    managed_agents: Sequence[ManagedAgentReport] = ()
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    execution_stopped_at: float | None = None
    network_interface: NetworkInterface | None = None


def is_ended(task: Task) -> bool:
    """Whether the API shows the task as STOPPED."""
    return task.reported_status == "STOPPED" or task.disposition in ENDED_DISPOSITIONS


def holds_resources(task: Task) -> bool:
    """Whether the task's reservation on its instance stands.

    Reservations end only with the agent's STOPPED (or the task's absence from a full sync, which is booked as
    STOPPED), never on a guess: a given-up task may still be running.
    """
    return (
        task.instance is not None
        and task.reported_status != "STOPPED"
        and task.disposition not in ("NEVER_SENT", "FORCED")
    )


def last_status(task: Task) -> str:
    """lastStatus as the API shows it."""
    if is_ended(task):
        return "STOPPED"
    if task.instance is None:
        return "PROVISIONING"
    if task.reported_status == "RUNNING":
        return "RUNNING" if task.desired_status == "RUNNING" else "STOPPING"
    return "PENDING"


def is_running(task: Task) -> bool:
    """Whether the task counts as RUNNING: reported so, and nobody decided to stop it."""
    return (
        task.reported_status == "RUNNING" and task.desired_status == "RUNNING" and task.disposition == "NONE"
    )


def health_status(task: Task, checked: Sequence[str]) -> HealthStatus:
    """Health of a task from its essential containers that have a health check, named in `checked`.

    Any UNHEALTHY makes the task UNHEALTHY, else any UNKNOWN makes it UNKNOWN; without a check a task is
    UNKNOWN.
    """
    states = [container.health_status for container in task.containers if container.name in checked]
    if not states:
        return "UNKNOWN"
    if "UNHEALTHY" in states:
        return "UNHEALTHY"
    return "UNKNOWN" if "UNKNOWN" in states else "HEALTHY"


def decide_stop(task: Task, code: StopCode, reason: str, now: float) -> Task:
    """The task with its stop decided; unchanged when it was decided before.

    A task that no agent was ever given ends at once (disposition NEVER_SENT).
    """
    if task.desired_status == "STOPPED" or is_ended(task):
        return task
    stopped = replace(
        task,
        desired_status="STOPPED",
        stop_code=code,
        stopped_reason=reason,
        stopping_at=now,
        pending_reason="",
        version=task.version + 1,
    )
    if task.instance is None:
        return replace(stopped, disposition="NEVER_SENT", stopped_at=now)
    return stopped


def set_disposition(task: Task, disposition: Disposition, now: float) -> Task:
    """The task with another disposition.

    Raises:
        ImpossibleTransition: the change is not in the table.
    """
    if disposition == task.disposition:
        return task
    if disposition not in DISPOSITION_EDGES[task.disposition]:
        raise ImpossibleTransition(task, f"from disposition {task.disposition} to {disposition}")
    changed = replace(task, disposition=disposition, version=task.version + 1)
    if disposition in ENDED_DISPOSITIONS and changed.stopped_at is None:
        return replace(changed, stopped_at=now)
    return changed


def apply_report(task: Task, report: TaskReport, now: float) -> Task:
    """The task after an agent's report; the same object when the report says nothing new.

    Reports may come twice, late and out of order: a status of a lower rank is ignored, container facts are
    merged. A STOPPED that nobody decided gets its stop code here: TaskFailedToStart before the task ever ran,
    EssentialContainerExited after.
    """
    containers = with_managed_agents(_merge_containers(task, report), report.managed_agents, now)
    status = task.reported_status
    if report.status is not None and REPORT_RANK[report.status] > REPORT_RANK[status]:
        status = report.status
    if status == task.reported_status and task.reported_status == "STOPPED":
        return task
    changed = replace(
        task,
        containers=containers,
        reported_status=status,
        pull_started_at=task.pull_started_at or report.pull_started_at,
        pull_stopped_at=task.pull_stopped_at or report.pull_stopped_at,
        network_interface=task.network_interface or report.network_interface,
        pending_reason=report.reason if status in ("NONE", "PENDING") else "",
    )
    if status == "RUNNING" and task.reported_status != "RUNNING":
        changed = replace(changed, has_run=True, started_at=now)
    if status == "STOPPED":
        changed = _stopped(changed, report, now)
    return task if changed == task else replace(changed, version=task.version + 1)


def _stopped(task: Task, report: TaskReport, now: float) -> Task:
    if task.desired_status == "RUNNING":
        task = replace(
            task,
            desired_status="STOPPED",
            stop_code="EssentialContainerExited" if task.has_run else "TaskFailedToStart",
            stopped_reason=_stopped_reason(task, report),
            stopping_at=task.stopping_at or now,
        )
    return replace(
        task,
        stopped_at=task.stopped_at or now,
        execution_stopped_at=report.execution_stopped_at or (now if task.has_run else None),
    )


def _stopped_reason(task: Task, report: TaskReport) -> str:
    if report.reason:
        return report.reason
    if task.has_run:
        return DEFAULT_EXIT_REASON
    container_reasons = [container.reason for container in task.containers if container.reason]
    return container_reasons[0] if container_reasons else DEFAULT_START_FAILURE_REASON


def _merge_containers(task: Task, report: TaskReport) -> tuple[TaskContainer, ...]:
    reports = {container.name: container for container in report.containers}
    if not reports and report.status != "STOPPED":
        return task.containers
    merged = []
    for container in task.containers:
        if container.name in reports:
            container = merge_container(container, reports[container.name])
        if report.status == "STOPPED" and container.last_status != "STOPPED":
            container = replace(container, last_status="STOPPED")
        merged.append(container)
    return tuple(merged)


def merge_container(container: TaskContainer, report: ContainerReport) -> TaskContainer:
    """The container after a report; facts once known stay, a status never goes backwards."""
    rank: dict[str, int] = {"PENDING": 1, "RUNNING": 2, "STOPPED": 3}
    status = container.last_status
    if report.status in rank and rank[report.status] > rank.get(status, 0):
        status = report.status
    return replace(
        container,
        last_status=status,
        runtime_id=report.runtime_id or container.runtime_id,
        image_digest=report.image_digest or container.image_digest,
        exit_code=report.exit_code if report.exit_code is not None else container.exit_code,
        reason=report.reason or container.reason,
        network_bindings=report.network_bindings or container.network_bindings,
    )
