"""Candidates for a placement, and facts for a query, as the state has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from controller.scheduler.daemons import daemon_reservations, with_reserved
from controller.scheduler.demand import Demand
from controller.scheduler.query import InstanceFacts
from controller.scheduler.seats import Candidate
from controller.state.entities import ContainerInstance, InstanceConnection
from controller.state.indexes import INSTANCES_BY_CLUSTER, LIVE_TASKS_OF_GROUP, TASKS_ON_INSTANCE

if TYPE_CHECKING:
    from controller.state.kernel import Reader


def candidates_of(read: Reader, cluster: str, group: str, *, with_groups: bool = False) -> list[Candidate]:
    """Every container instance of a cluster that is not INACTIVE, with what its tasks hold and what is kept
    for daemon services.

    `group` is the placement's (`service:NAME`, or a standalone task's). Ask `with_groups` when the
    request's constraints ask for groups (`Constraints.asks_for_groups`): it looks at every task.
    """
    group_tasks = Counter(
        task.instance
        for task in read.select(LIVE_TASKS_OF_GROUP, (cluster, group)).values()
        if task.desired_status == "RUNNING"
    )
    reserved = daemon_reservations(read, cluster, group)
    candidates = [
        candidate_of(read, instance, group_tasks[instance.id], with_groups=with_groups)
        for instance in read.select(INSTANCES_BY_CLUSTER, cluster).values()
        if instance.status != "INACTIVE"
    ]
    return [_with_reserved(candidate, reserved) for candidate in candidates] if reserved else candidates


def _with_reserved(candidate: Candidate, reserved: Mapping[str, list[Demand]]) -> Candidate:
    demands = reserved.get(candidate.instance.id)
    return replace(candidate, usage=with_reserved(candidate.usage, demands)) if demands else candidate


def candidate_of(
    read: Reader, instance: ContainerInstance, group_tasks: int = 0, *, with_groups: bool = False
) -> Candidate:
    """One container instance with what its tasks hold; `group_tasks` of them are of the placement's group."""
    usage = read.usage(instance.key)
    connection = read.get(InstanceConnection, instance.key)
    return Candidate(
        instance=instance,
        usage=usage,
        connected=_is_ready(connection),
        full_disk=_full_disk(connection),
        group_tasks=group_tasks,
        total_tasks=usage.tasks,
        groups=_groups_on(read, instance) if with_groups else frozenset(),
    )


def is_ready(read: Reader, instance: ContainerInstance) -> bool:
    """Whether an instance's agent is connected and has told what it runs since it connected."""
    return _is_ready(read.get(InstanceConnection, instance.key))


def facts_of(read: Reader, instance: ContainerInstance) -> InstanceFacts:
    """What the cluster query language can ask about an instance."""
    connection = read.get(InstanceConnection, instance.key)
    return InstanceFacts(
        instance,
        connection is not None and connection.connected,
        read.usage(instance.key).running,
        _groups_on(read, instance),
    )


def gpus_for(read: Reader, instance: ContainerInstance, demand: Demand) -> tuple[str, ...]:
    """Ids of free GPUs for one task that was planned onto an instance; call it just before the task is
    put."""
    if not demand.gpus:
        return ()
    used = read.usage(instance.key).gpu_ids
    free = [gpu for gpu in instance.gpu_ids if gpu not in used]
    return tuple(free if demand.all_gpus else free[: demand.gpus])


def _groups_on(read: Reader, instance: ContainerInstance) -> frozenset[str]:
    return frozenset(task.group for task in read.select(TASKS_ON_INSTANCE, instance.key).values())


def _is_ready(connection: InstanceConnection | None) -> bool:
    return connection is not None and connection.connected and connection.synchronised


def _full_disk(connection: InstanceConnection | None) -> str:
    return connection.disk_reason if connection is not None and connection.disk_status == "FULL" else ""
