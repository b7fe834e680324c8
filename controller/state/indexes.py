"""Maps of records by what they are looked up by, kept with every put."""

from __future__ import annotations

from collections.abc import Callable, Hashable, ItemsView, Iterable, Mapping
from typing import Any, Generic, TypeVar

from controller.state.entities import (
    AccessKey,
    ContainerInstance,
    Deployment,
    Entity,
    QuarantinedTask,
    Service,
    Task,
    TaskDefinition,
    TaskSet,
    instance_key,
    service_key,
    task_definition_key,
)
from controller.state.lifecycle import holds_resources, is_ended

E = TypeVar("E", bound=Entity)


class Index(Generic[E]):
    """The definition of an index: which values a record of `kind` is found under. It holds no records
    itself."""

    def __init__(self, kind: type[E], values: Callable[[E], Iterable[Hashable]]) -> None:
        self.kind = kind
        self.values = values


class Buckets(Generic[E]):
    """The records of one index, by value."""

    def __init__(self, index: Index[E]) -> None:
        self._values = index.values
        self._buckets: dict[Hashable, dict[str, E]] = {}

    def bucket(self, value: Hashable) -> Mapping[str, E]:
        """Records found under `value`, by key."""
        return self._buckets.get(value, {})

    def items(self) -> ItemsView[Hashable, dict[str, E]]:
        """Every value with its records."""
        return self._buckets.items()

    def replace(self, key: str, old: E | None, new: E | None) -> None:
        """Move a record from the values of `old` to the values of `new`."""
        after = tuple(self._values(new)) if new is not None else ()
        if old is not None:
            for value in self._values(old):
                if value not in after:
                    bucket = self._buckets[value]
                    del bucket[key]
                    if not bucket:
                        del self._buckets[value]
        if new is not None:
            for value in after:
                self._buckets.setdefault(value, {})[key] = new


TASKS_BY_CLUSTER: Index[Task] = Index(Task, lambda task: ((task.cluster, task.desired_status),))
"""Tasks by (cluster, desired status)."""

LIVE_TASKS_BY_CLUSTER: Index[Task] = Index(Task, lambda task: () if is_ended(task) else (task.cluster,))
"""Tasks that are not STOPPED, by cluster."""

UNPLACED_TASKS_BY_CLUSTER: Index[Task] = Index(
    Task, lambda task: () if task.instance or is_ended(task) else (task.cluster,)
)
"""Tasks that wait for a place, by cluster."""

TASKS_ON_INSTANCE: Index[Task] = Index(
    Task,
    lambda task: (
        (instance_key(task.cluster, task.instance),) if task.instance and holds_resources(task) else ()
    ),
)
"""Tasks that hold resources of an instance, by the instance's key."""

LIVE_TASKS_OF_SERVICE: Index[Task] = Index(
    Task,
    lambda task: (service_key(task.cluster, task.service),) if task.service and not is_ended(task) else (),
)
"""Tasks of a service that are not STOPPED, by the service's key."""

LIVE_TASKS_OF_GROUP: Index[Task] = Index(
    Task, lambda task: () if is_ended(task) else ((task.cluster, task.group),)
)
"""Tasks that are not STOPPED, by (cluster, group)."""

UNCOUNTED_FAILED_STARTS: Index[Task] = Index(
    Task,
    lambda task: (
        (service_key(task.cluster, task.service),)
        if task.service
        and task.stop_code == "TaskFailedToStart"
        and not task.failure_counted
        and is_ended(task)
        else ()
    ),
)
"""Tasks that ended before they ran and that their deployment has not counted yet, by the service's key."""

UNCOUNTED_EXITS: Index[Task] = Index(
    Task,
    lambda task: (
        (service_key(task.cluster, task.service),)
        if task.service
        and task.stop_code == "EssentialContainerExited"
        and not task.failure_counted
        and is_ended(task)
        else ()
    ),
)
"""Tasks that ended by themselves after they ran and that no circuit breaker has counted, by the service's
key."""

ENDED_TASKS: Index[Task] = Index(
    Task, lambda task: (True,) if is_ended(task) and not holds_resources(task) else ()
)
"""STOPPED tasks under the one value True; they retire to the history after an hour."""

PROTECTED_TASKS: Index[Task] = Index(
    Task, lambda task: (True,) if task.protected_until is not None and not is_ended(task) else ()
)
"""Tasks with scale-in protection that are not STOPPED, under the one value True."""

LIVE_TASKS_OF_DEFINITION: Index[Task] = Index(
    Task, lambda task: () if is_ended(task) else (task_definition_key(task.family, task.revision),)
)
"""Tasks that are not STOPPED, by the key of their task definition."""

INSTANCES_BY_CLUSTER: Index[ContainerInstance] = Index(
    ContainerInstance, lambda instance: (instance.cluster,)
)
"""Container instances by cluster, INACTIVE ones too."""

SERVICES_BY_CLUSTER: Index[Service] = Index(Service, lambda service: (service.cluster,))
"""Services by cluster, INACTIVE ones too."""

DAEMON_SERVICES: Index[Service] = Index(
    Service,
    lambda service: (
        (service.cluster,) if service.scheduling_strategy == "DAEMON" and service.status == "ACTIVE" else ()
    ),
)
"""ACTIVE services with the scheduling strategy DAEMON, by cluster."""

DEPLOYMENTS_OF_SERVICE: Index[Deployment] = Index(
    Deployment, lambda deployment: (service_key(deployment.cluster, deployment.service),)
)
"""Deployments by the key of their service, INACTIVE ones too."""

DEFINITIONS_OF_FAMILY: Index[TaskDefinition] = Index(TaskDefinition, lambda definition: (definition.family,))
"""Task definition revisions by family."""

DEFINITIONS_TO_DELETE: Index[TaskDefinition] = Index(
    TaskDefinition, lambda definition: (True,) if definition.status == "DELETE_IN_PROGRESS" else ()
)
"""DELETE_IN_PROGRESS revisions under the one value True."""

DEPLOYMENTS_OF_DEFINITION: Index[Deployment] = Index(
    Deployment, lambda deployment: (task_definition_key(deployment.family, deployment.revision),)
)
"""Deployments by the key of their task definition, INACTIVE ones too."""

TASK_SETS_OF_SERVICE: Index[TaskSet] = Index(
    TaskSet, lambda task_set: (service_key(task_set.cluster, task_set.service),)
)
"""Task sets by the key of their service."""

TASK_SETS_OF_DEFINITION: Index[TaskSet] = Index(
    TaskSet, lambda task_set: (task_definition_key(task_set.family, task_set.revision),)
)
"""Task sets by the key of their task definition."""

QUARANTINED_BY_CLUSTER: Index[QuarantinedTask] = Index(QuarantinedTask, lambda task: (task.cluster,))
"""Quarantined tasks by cluster."""

QUARANTINED_ON_INSTANCE: Index[QuarantinedTask] = Index(
    QuarantinedTask, lambda task: (instance_key(task.cluster, task.instance),)
)
"""Quarantined tasks by the key of the instance that runs them."""

AGENT_KEYS_BY_CLUSTER: Index[AccessKey] = Index(
    AccessKey,
    lambda access_key: (
        (access_key.cluster,)
        if access_key.role == "agent" and not access_key.user and not access_key.instance
        else ()
    ),
)
"""Agent access keys that are good for a whole cluster and no user's, by its name."""

KEYS_OF_INSTANCE: Index[AccessKey] = Index(
    AccessKey,
    lambda access_key: (
        (instance_key(access_key.cluster or "", access_key.instance),) if access_key.instance else ()
    ),
)
"""Access keys that are bound to a container instance, by its key."""

INDEXES: tuple[Index[Any], ...] = (
    TASKS_BY_CLUSTER,
    LIVE_TASKS_BY_CLUSTER,
    UNPLACED_TASKS_BY_CLUSTER,
    TASKS_ON_INSTANCE,
    LIVE_TASKS_OF_SERVICE,
    LIVE_TASKS_OF_GROUP,
    UNCOUNTED_FAILED_STARTS,
    UNCOUNTED_EXITS,
    ENDED_TASKS,
    PROTECTED_TASKS,
    LIVE_TASKS_OF_DEFINITION,
    INSTANCES_BY_CLUSTER,
    SERVICES_BY_CLUSTER,
    DAEMON_SERVICES,
    DEPLOYMENTS_OF_SERVICE,
    DEFINITIONS_OF_FAMILY,
    DEFINITIONS_TO_DELETE,
    DEPLOYMENTS_OF_DEFINITION,
    TASK_SETS_OF_SERVICE,
    TASK_SETS_OF_DEFINITION,
    QUARANTINED_BY_CLUSTER,
    QUARANTINED_ON_INSTANCE,
    AGENT_KEYS_BY_CLUSTER,
    KEYS_OF_INSTANCE,
)
"""Every index that the state keeps."""
