"""What agents report about tasks and containers.

An agent repeats a report until it is accepted, in order, for ever: whatever comes late, twice or about a task
that is unknown or long ended is acknowledged. Only a report that nobody can read is refused, with the one
error that makes the agent drop it.
"""

from __future__ import annotations

from typing import Any

import msgspec
import structlog

from agent.protocol.arn import last_segment
from controller.api.context import RequestContext
from controller.api.errors import InvalidParameterException
from controller.api.identifiers import cluster_name
from controller.state.entities import (
    Document,
    NetworkBinding,
    NetworkInterface,
    QuarantinedTask,
    ReportedStatus,
    Task,
    TaskDefinition,
    task_definition_key,
    task_key,
)
from controller.state.image_pins import owner_of, with_digests
from controller.state.indexes import QUARANTINED_BY_CLUSTER
from controller.state.kernel import Transaction
from controller.state.lifecycle import ContainerReport, TaskReport, apply_report
from controller.state.managed_agents import ManagedAgentReport

log = structlog.get_logger(__name__)

ACKNOWLEDGED: Document = {"acknowledgment": "ACK"}

TASK_STATUSES: dict[str, ReportedStatus] = {
    "MANIFEST_PULLED": "PENDING",
    "PULLED": "PENDING",
    "CREATED": "PENDING",
    "PENDING": "PENDING",
    "RUNNING": "RUNNING",
    "STOPPED": "STOPPED",
}
"""Statuses that agents report; the engine's own early ones are all PENDING to the controller."""


MANAGED_AGENTS = ("ExecuteCommandAgent",)
MANAGED_AGENT_STATUSES = ("PENDING", "RUNNING", "STOPPED")
"""Agents inside of containers that ECS shows, and their statuses; what else is reported is acknowledged."""


class BindingReport(msgspec.Struct, frozen=True, rename="camel"):
    """Where a container port was bound on the host."""

    bind_ip: str | None = msgspec.field(default=None, name="bindIP")
    container_port: int | None = None
    host_port: int | None = None
    protocol: str | None = None
    container_port_range: str | None = None
    host_port_range: str | None = None


class InterfaceReport(msgspec.Struct, frozen=True, rename="camel"):
    """The network interface that an agent of ours has made for an awsvpc task. Not a member of ECS's."""

    private_ipv4_address: str | None = None
    mac_address: str | None = None


class ContainerStateChange(msgspec.Struct, frozen=True, rename="camel"):
    """One container in a task's report."""

    container_name: str | None = None
    image_digest: str | None = None
    runtime_id: str | None = None
    exit_code: int | None = None
    network_bindings: tuple[BindingReport, ...] | None = None
    reason: str | None = None
    status: str | None = None


class ManagedAgentStateChange(msgspec.Struct, frozen=True, rename="camel"):
    """One managed agent in a task's report."""

    container_name: str
    managed_agent_name: str
    status: str
    reason: str | None = None


class TaskStateChange(msgspec.Struct, frozen=True, rename="camel"):
    """Input of SubmitTaskStateChange, as far as it is used. Agents call it most, so it is read at once."""

    cluster: str | None = None
    task: str | None = None
    status: str | None = None
    reason: str | None = None
    containers: tuple[ContainerStateChange, ...] | None = None
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    execution_stopped_at: float | None = None
    network_interfaces: tuple[InterfaceReport, ...] | None = None
    managed_agents: tuple[ManagedAgentStateChange, ...] | None = None


class SingleContainerStateChange(msgspec.Struct, frozen=True, rename="camel"):
    """Input of SubmitContainerStateChange."""

    cluster: str | None = None
    task: str | None = None
    container_name: str | None = None
    runtime_id: str | None = None
    status: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    network_bindings: tuple[BindingReport, ...] | None = None


class AttachmentStateChange(msgspec.Struct, frozen=True, rename="camel"):
    """One attachment's state."""

    attachment_arn: str
    status: str


class AttachmentStateChanges(msgspec.Struct, frozen=True, rename="camel"):
    """Input of SubmitAttachmentStateChanges."""

    attachments: tuple[AttachmentStateChange, ...]
    cluster: str | None = None


def submit_task_state_change(context: RequestContext, change: TaskStateChange) -> Document:
    """Note what an agent says about a task and its containers."""
    report = TaskReport(
        status=_status(change.status) if change.status else None,
        reason=change.reason or "",
        containers=[
            _container(container) for container in change.containers or () if container.container_name
        ],
        pull_started_at=change.pull_started_at,
        pull_stopped_at=change.pull_stopped_at,
        execution_stopped_at=change.execution_stopped_at,
        network_interface=_interface(change.network_interfaces),
        managed_agents=[
            _managed_agent(agent)
            for agent in change.managed_agents or ()
            if agent.managed_agent_name in MANAGED_AGENTS and agent.status in MANAGED_AGENT_STATUSES
        ],
    )
    return _apply(context, change.cluster, change.task, report)


def submit_container_state_change(context: RequestContext, change: SingleContainerStateChange) -> Document:
    """Note what an agent says about one container."""
    if not change.container_name:
        raise InvalidParameterException("containerName can not be null.")
    container = ContainerStateChange(
        container_name=change.container_name,
        runtime_id=change.runtime_id,
        exit_code=change.exit_code,
        network_bindings=change.network_bindings,
        reason=change.reason,
        status=change.status,
    )
    return _apply(context, change.cluster, change.task, TaskReport(containers=[_container(container)]))


def submit_attachment_state_changes(_context: RequestContext, changes: AttachmentStateChanges) -> Document:
    """Acknowledge attachments' states. This controller makes no attachments, so there is nothing to note."""
    log.info("attachments_reported", cluster=changes.cluster, attachments=len(changes.attachments))
    return ACKNOWLEDGED


def _apply(
    context: RequestContext, cluster: str | None, task_arn: str | None, report: TaskReport
) -> Document:
    if not task_arn:
        raise InvalidParameterException("task can not be null.")
    name = cluster_name(context, cluster)
    task = context.read.get(Task, task_key(name, last_segment(task_arn)))
    if task is None:
        _note_unknown(context, name, task_arn, report)
        return ACKNOWLEDGED
    changed = apply_report(task, report, context.clock.now())
    if changed is not task:
        with context.transaction() as transaction:
            transaction.put(changed, _sentence(task, changed))
            _settle_images(transaction, changed)
    if task.instance is not None:
        context.signs_of_life(name, task.instance)
    return ACKNOWLEDGED


def _settle_images(transaction: Transaction, task: Task) -> None:
    """Book the digests of images that the task is the first of its deployment or task set to tell."""
    if not any(container.image_digest for container in task.containers):
        return
    definition = transaction.get(TaskDefinition, task_definition_key(task.family, task.revision))
    owner = owner_of(transaction, task)
    if definition is None or owner is None:
        return
    settled = with_digests(owner, definition.document, task)
    if settled is not owner:
        images = ", ".join(f"{container} {digest}" for container, digest in settled.image_digests)
        transaction.put(settled, f"Task {task.id} settled the images of {owner.id}: {images}.")


def _sentence(before: Task, after: Task) -> str:
    """Why the record changed; container details alone are not worth a line of history."""
    if before.reported_status == after.reported_status:
        return ""
    reason = f": {after.stopped_reason}" if after.reported_status == "STOPPED" else ""
    return f"agent reported {after.reported_status}{reason}"


def _note_unknown(context: RequestContext, cluster: str, task_arn: str, report: TaskReport) -> None:
    log.info("unknown_task_reported", cluster=cluster, task=task_arn, status=report.status)
    if report.status != "STOPPED":
        return
    quarantined = context.read.select(QUARANTINED_BY_CLUSTER, cluster).values()
    own = context.caller.instance
    ended = [
        task.key for task in quarantined if task.task_arn == task_arn and (not own or task.instance == own)
    ]
    if ended:
        with context.transaction() as transaction:
            for key in ended:
                transaction.delete(QuarantinedTask, key, "its agent reported it STOPPED")


def _status(value: str) -> ReportedStatus:
    status = TASK_STATUSES.get(value)
    if status is None:
        raise InvalidParameterException(f"status should be one of [{','.join(TASK_STATUSES)}]")
    return status


def _managed_agent(change: ManagedAgentStateChange) -> ManagedAgentReport:
    return ManagedAgentReport(
        change.container_name, change.managed_agent_name, change.status, change.reason or ""
    )


def _container(change: ContainerStateChange) -> ContainerReport:
    bindings = change.network_bindings
    return ContainerReport(
        name=change.container_name or "",
        status=change.status,
        runtime_id=change.runtime_id,
        image_digest=change.image_digest,
        exit_code=change.exit_code,
        reason=change.reason,
        network_bindings=None if bindings is None else tuple(_binding(binding) for binding in bindings),
    )


def _interface(reports: tuple[InterfaceReport, ...] | None) -> NetworkInterface | None:
    if not reports:
        return None
    first = reports[0]
    return NetworkInterface(
        private_ipv4=first.private_ipv4_address or "", mac_address=first.mac_address or ""
    )


def _binding(report: BindingReport) -> NetworkBinding:
    return NetworkBinding(
        bind_ip=report.bind_ip or "",
        container_port=report.container_port,
        host_port=report.host_port,
        protocol=(report.protocol or "tcp").lower(),
        container_port_range=report.container_port_range or "",
        host_port_range=report.host_port_range or "",
    )


TYPED_OPERATIONS: dict[str, tuple[type[msgspec.Struct], Any]] = {
    "SubmitAttachmentStateChanges": (AttachmentStateChanges, submit_attachment_state_changes),
    "SubmitContainerStateChange": (SingleContainerStateChange, submit_container_state_change),
    "SubmitTaskStateChange": (TaskStateChange, submit_task_state_change),
}
"""Operations whose input is decoded into a record of its own instead of being checked against the model."""
