"""Where the tasks of daemon services belong, and what is kept free for them (ecs-semantics 7.15).

A daemon service has one task on each matching instance, and comes first: what a missing one needs is taken on
its instance for everybody else.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from controller.scheduler.constraints import parse_constraints
from controller.scheduler.demand import Demand, demand_of
from controller.scheduler.query import InstanceFacts
from controller.scheduler.seats import has_attributes, is_member
from controller.state.entities import (
    ContainerInstance,
    Deployment,
    Service,
    TaskDefinition,
    task_definition_key,
)
from controller.state.indexes import (
    DAEMON_SERVICES,
    DEPLOYMENTS_OF_SERVICE,
    INSTANCES_BY_CLUSTER,
    LIVE_TASKS_OF_SERVICE,
)
from controller.state.usage import InstanceUsage

if TYPE_CHECKING:
    from controller.state.kernel import Reader


def matching_instances(read: Reader, service: Service, definition: TaskDefinition) -> list[str]:
    """Ids of the instances that a daemon service is to have a task on: those that are ACTIVE, have the
    attributes that the task definition requires, and match the placement constraints, in a fixed order.

    Neither the agent's connection nor room counts: the task is wanted there all the same.
    """
    members = parse_constraints(
        (
            *service.options.get("placementConstraints", ()),
            *definition.document.get("placementConstraints", ()),
        )
    ).members
    demand = demand_of(definition, None)
    return sorted(
        instance.id
        for instance in read.select(INSTANCES_BY_CLUSTER, service.cluster).values()
        if instance.status == "ACTIVE"
        and has_attributes(instance, demand)
        and is_member(_facts(read, instance), members)
    )


def daemon_reservations(read: Reader, cluster: str, group: str) -> dict[str, list[Demand]]:
    """What daemon services other than that of `group` still need, by the id of the instance."""
    reserved: defaultdict[str, list[Demand]] = defaultdict(list)
    for service in read.select(DAEMON_SERVICES, cluster).values():
        definition = _definition(read, service)
        if f"service:{service.name}" == group or definition is None:
            continue
        present = {task.instance for task in read.select(LIVE_TASKS_OF_SERVICE, service.key).values()}
        for instance in matching_instances(read, service, definition):
            if instance not in present:
                reserved[instance].append(demand_of(definition, None))
    return reserved


def with_reserved(usage: InstanceUsage, demands: list[Demand]) -> InstanceUsage:
    """An instance's usage as if tasks with these demands were on it."""
    total = InstanceUsage()
    total.tasks, total.running, total.pending = usage.tasks, usage.running, usage.pending
    total.cpu = usage.cpu + sum(demand.cpu for demand in demands)
    total.memory = usage.memory + sum(demand.memory for demand in demands)
    for counter in ("ports_tcp", "ports_udp", "gpu_ids"):
        getattr(total, counter).update(getattr(usage, counter))
    for position, demand in enumerate(demands):
        total.ports_tcp.update(demand.ports_tcp)
        total.ports_udp.update(demand.ports_udp)
        total.gpu_ids.update(f"reserved {position} {number}" for number in range(demand.gpus))
    return total


def _definition(read: Reader, service: Service) -> TaskDefinition | None:
    """What the tasks that a service starts now are made of; None while it starts none."""
    deployments = read.select(DEPLOYMENTS_OF_SERVICE, service.key).values()
    primary = next((item for item in deployments if _starts_tasks(item)), None)
    if primary is None:
        return None
    return read.get(TaskDefinition, task_definition_key(primary.family, primary.revision))


def _starts_tasks(deployment: Deployment) -> bool:
    return deployment.status == "PRIMARY" and deployment.rollout_state != "FAILED"


def _facts(read: Reader, instance: ContainerInstance) -> InstanceFacts:
    """What constraints see. The tasks of a daemon service follow from the instance alone, so that groups of
    tasks on it do not count."""
    return InstanceFacts(instance, True, read.usage(instance.key).running, frozenset())
