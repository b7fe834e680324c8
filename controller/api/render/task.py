"""A task as the API shows it."""

from __future__ import annotations

from collections.abc import Iterator

from controller.api.render.network import attachments, network_interfaces
from controller.api.tags import render_tags
from controller.scheduler.demand import demand_of
from controller.services.view import checked_containers
from controller.state.entities import (
    ContainerInstance,
    Document,
    InstanceConnection,
    ManagedAgent,
    NetworkBinding,
    Task,
    TaskContainer,
    TaskDefinition,
    instance_key,
    task_definition_key,
)
from controller.state.kernel import Reader
from controller.state.lifecycle import health_status, is_ended, last_status

_SHOWN_INSTANCE_ATTRIBUTE = "ecs.cpu-architecture"
_ZONE_ATTRIBUTE = "ecs.availability-zone"
_DEFAULT_PLATFORM_VERSION = "1.4.0"

_TIMESTAMPS = {
    "pullStartedAt": "pull_started_at",
    "pullStoppedAt": "pull_stopped_at",
    "startedAt": "started_at",
    "stoppingAt": "stopping_at",
    "executionStoppedAt": "execution_stopped_at",
    "stoppedAt": "stopped_at",
}
"""Members that are absent until the task gets there, and the task's field."""


def render_task(task: Task, read: Reader, *, with_tags: bool = False) -> Document:
    """The `task` structure. Works for tasks of the history too, whose definition or instance may be gone."""
    definition = read.get(TaskDefinition, task_definition_key(task.family, task.revision))
    shown: Document = {
        "taskArn": read.names.task(task),
        "taskDefinitionArn": read.names.task_definition_revision(task.family, task.revision),
        "clusterArn": read.names.cluster(task.cluster),
        "lastStatus": last_status(task),
        "desiredStatus": task.desired_status,
        "healthStatus": health_status(task, checked_containers(definition) if definition else ()),
        "launchType": task.launch_type,
        "group": task.group,
        "version": task.version,
        "createdAt": task.created_at,
        "enableExecuteCommand": task.options.get("enableExecuteCommand", False),
        "attachments": attachments(task),
        "inferenceAccelerators": definition.document.get("inferenceAccelerators", []) if definition else [],
        "overrides": _overrides(task),
        "containers": _containers(task, definition, read),
        "tags": render_tags(task.tags) if with_tags else [],
    }
    shown.update(_size(task, definition))
    shown.update(_place(task, read))
    for member, field in _TIMESTAMPS.items():
        if (at := getattr(task, field)) is not None:
            shown[member] = at
    if task.started_by:
        shown["startedBy"] = task.started_by
    if task.stop_code is not None:
        shown["stopCode"] = task.stop_code
    if task.stopped_reason:
        shown["stoppedReason"] = task.stopped_reason
    if provider := task.options.get("capacityProviderName"):
        shown["capacityProviderName"] = provider
    if task.launch_type == "FARGATE":
        shown["platformVersion"] = platform_version(task.options)
        shown["platformFamily"] = "Linux"
    storage = task.options.get("overrides", {}).get("ephemeralStorage") or (
        definition and definition.document.get("ephemeralStorage")
    )
    if storage:
        shown["ephemeralStorage"] = storage
    return shown


def platform_version(options: Document) -> str:
    """The Fargate platform version that is shown: for LATEST the number that it means."""
    version: str = options.get("platformVersion", "LATEST")
    return _DEFAULT_PLATFORM_VERSION if version == "LATEST" else version


def _size(task: Task, definition: TaskDefinition | None) -> Document:
    """Reserved CPU and memory: of the placed task what it holds, before that what it will ask for."""
    if task.instance is not None or definition is None:
        return {"cpu": str(task.cpu), "memory": str(task.memory)}
    demand = demand_of(definition, task.options.get("overrides"))
    return {"cpu": str(demand.cpu), "memory": str(demand.memory)}


def _place(task: Task, read: Reader) -> Document:
    """What follows from the instance that the task is on."""
    shown: Document = {"attributes": []}
    if task.instance is None:
        return shown
    key = instance_key(task.cluster, task.instance)
    shown["containerInstanceArn"] = read.names.instance_id(task.cluster, task.instance)
    connection = read.get(InstanceConnection, key)
    shown["connectivity"] = "CONNECTED" if connection is not None and connection.connected else "DISCONNECTED"
    if connection is not None:
        shown["connectivityAt"] = connection.changed_at
    instance = read.get(ContainerInstance, key)
    for attribute in instance.attributes if instance is not None else ():
        if attribute.name == _SHOWN_INSTANCE_ATTRIBUTE and attribute.value:
            shown["attributes"].append({"name": attribute.name, "value": attribute.value})
        if attribute.name == _ZONE_ATTRIBUTE and attribute.value:
            shown["availabilityZone"] = attribute.value
    return shown


def _overrides(task: Task) -> Document:
    given = task.options.get("overrides", {})
    by_name = {override["name"]: override for override in given.get("containerOverrides", ())}
    return {
        "inferenceAcceleratorOverrides": [],
        **given,
        "containerOverrides": [
            by_name.get(container.name, {"name": container.name}) for container in task.containers
        ],
    }


def _containers(task: Task, definition: TaskDefinition | None, read: Reader) -> list[Document]:
    definitions = definition.document["containerDefinitions"] if definition is not None else ()
    by_name = {container["name"]: container for container in definitions}
    overrides = {
        override["name"]: override
        for override in task.options.get("overrides", {}).get("containerOverrides", ())
    }
    gpu_ids = iter(task.gpu_ids)
    return [
        _container(
            task,
            container,
            {**by_name.get(container.name, {}), **overrides.get(container.name, {})},
            gpu_ids,
            read,
        )
        for container in task.containers
    ]


def _container(
    task: Task, container: TaskContainer, asked: Document, gpu_ids: Iterator[str], read: Reader
) -> Document:
    """One container; `asked` is its definition with overrides, `gpu_ids` what is left of the task's GPUs."""
    shown: Document = {
        "containerArn": read.names.container(task, container.id),
        "taskArn": read.names.task(task),
        "name": container.name,
        "lastStatus": "STOPPED" if is_ended(task) else container.last_status,
        "healthStatus": container.health_status,
        "networkBindings": [_network_binding(binding) for binding in container.network_bindings],
        "networkInterfaces": network_interfaces(task),
        "cpu": str(asked.get("cpu", 0)),
    }
    for member in ("memory", "memoryReservation"):
        if member in asked:
            shown[member] = str(asked[member])
    optional = {
        "image": asked.get("image"),
        "imageDigest": container.image_digest,
        "runtimeId": container.runtime_id,
        "reason": container.reason or _waits(task, container),
        "gpuIds": _take_gpus(asked, gpu_ids),
        "managedAgents": [_managed_agent(agent) for agent in container.managed_agents],
    }
    shown.update({member: value for member, value in optional.items() if value})
    if container.exit_code is not None:
        shown["exitCode"] = container.exit_code
    return shown


def _managed_agent(agent: ManagedAgent) -> Document:
    shown: Document = {"name": agent.name, "lastStatus": agent.last_status}
    if agent.last_started_at is not None:
        shown["lastStartedAt"] = agent.last_started_at
    if agent.reason:
        shown["reason"] = agent.reason
    return shown


def _waits(task: Task, container: TaskContainer) -> str:
    """Why a container has not begun: ECS has no member for it on the task, and clients expect none."""
    return task.pending_reason if container.last_status == "PENDING" and not is_ended(task) else ""


def _take_gpus(asked: Document, gpu_ids: Iterator[str]) -> list[str]:
    taken = []
    for requirement in asked.get("resourceRequirements", ()):
        if requirement["type"] == "GPU":
            value = requirement.get("value", "")
            taken += (
                list(gpu_ids)
                if value == "ALL"
                else [gpu for _, gpu in zip(range(int(value)), gpu_ids, strict=False)]
            )
    return taken


def _network_binding(binding: NetworkBinding) -> Document:
    shown: Document = {"bindIP": binding.bind_ip, "protocol": binding.protocol}
    if binding.container_port is not None:
        shown["containerPort"] = binding.container_port
    if binding.host_port is not None:
        shown["hostPort"] = binding.host_port
    if binding.container_port_range:
        shown["containerPortRange"] = binding.container_port_range
    if binding.host_port_range:
        shown["hostPortRange"] = binding.host_port_range
    return shown
