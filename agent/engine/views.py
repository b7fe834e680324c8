"""What the agent tells of its tasks, in the shapes of those who ask: functions over the records."""

from collections.abc import Iterable

from agent.engine.book import TaskRecord
from agent.engine.cgroups import Running
from agent.engine.changes import KnownTask
from agent.engine.disk import DiskCondition
from agent.engine.namespaces import counts_network
from agent.engine.states import Status, reported
from agent.engine.statistics import Usage
from agent.protocol import tcs
from agent.protocol.extensions import DiskFill, InstanceDiskMessage


def known_tasks(records: Iterable[TaskRecord]) -> tuple[KnownTask, ...]:
    """Every task that the agent knows, stopped ones that are not removed yet included."""
    return tuple(
        KnownTask(
            task_arn=record.plan.arn,
            family=record.definition.family or "",
            version=record.definition.version or "",
            desired_status=reported(record.state.desired),
            known_status=reported(record.state.known),
            sent_status=record.state.sent.name,
            started_at=record.state.started_at,
        )
        for record in records
    )


def task_health(records: Iterable[TaskRecord]) -> tuple[tcs.TaskHealth, ...]:
    """The health of every running container that has a health check."""
    found = []
    for record in records:
        pairs = zip(record.plan.containers, record.state.containers, strict=True)
        containers = tuple(
            tcs.ContainerHealth(
                container_name=plan.name,
                health_status=state.health,
                status_since=state.health_since or state.started_at,
            )
            for plan, state in pairs
            if plan.health_checked and state.known is Status.RUNNING
        )
        if containers:
            found.append(
                tcs.TaskHealth(
                    task_arn=record.plan.arn,
                    cluster_arn=record.definition.task_cluster_arn,
                    task_definition_family=record.definition.family,
                    task_definition_version=record.definition.version,
                    containers=containers,
                )
            )
    return tuple(found)


def task_metrics(records: Iterable[TaskRecord], usage: Usage, since: float) -> tuple[tcs.TaskMetric, ...]:
    """Use of CPU, memory and network by the running tasks since a monotonic time."""
    found = []
    for record in records:
        containers = usage.metrics(record.plan.arn, since)
        if containers:
            found.append(
                tcs.TaskMetric(
                    task_arn=record.plan.arn,
                    cluster_arn=record.definition.task_cluster_arn,
                    task_definition_family=record.definition.family,
                    task_definition_version=record.definition.version,
                    container_metrics=containers,
                )
            )
    return tuple(found)


def running_containers(records: Iterable[TaskRecord]) -> tuple[Running, ...]:
    """Every running container, as the statistics want to know it."""
    return tuple(
        Running(
            docker_id=state.docker_id,
            task_arn=record.plan.arn,
            name=plan.name,
            own_network=counts_network(record.definition, record.container(plan.name)),
            restarts=state.restarts if plan.restart is not None else None,
        )
        for record in records
        for plan, state in zip(record.plan.containers, record.state.containers, strict=True)
        if state.known is Status.RUNNING and state.docker_id is not None and not plan.internal
    )


def disks(condition: DiskCondition) -> InstanceDiskMessage:
    """The disks that tasks fill, as the controller hears of them."""
    return InstanceDiskMessage(
        status=condition.status,
        reason=condition.reason,
        disks=tuple(
            DiskFill(path=fill.path, percent=fill.percent, total=fill.total, available=fill.available)
            for fill in condition.fills
        ),
    )
