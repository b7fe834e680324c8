"""Container instances as the API shows them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from controller.api.tags import render_tags
from controller.scheduler.capacity import provider_of
from controller.state.entities import Attribute, ContainerInstance, Document, InstanceConnection
from controller.state.kernel import Reader
from controller.state.usage import InstanceUsage

HEALTH_STATES = ("IMPAIRED", "INSUFFICIENT_DATA", "INITIALIZING", "OK")
"""States of health, the worst first: an instance is as well as its worst part."""


def render_instance(instance: ContainerInstance, read: Reader, include: Collection[str]) -> Document:
    """An instance with what its tasks leave of it; `include` names what is shown beyond the basics."""
    usage = read.usage(instance.key)
    connection = read.get(InstanceConnection, instance.key)
    document: Document = {
        "containerInstanceArn": read.names.instance(instance),
        "ec2InstanceId": instance.ec2_instance_id,
        "version": instance.version,
        "versionInfo": _version_info(instance),
        "remainingResources": remaining_resources(instance, usage),
        "registeredResources": registered_resources(instance),
        "status": instance.status,
        "agentConnected": connection is not None and connection.connected,
        "runningTasksCount": usage.running,
        "pendingTasksCount": usage.pending,
        "attributes": [render_attribute(attribute) for attribute in instance.attributes],
        "registeredAt": instance.registered_at,
        "attachments": [],
        "tags": render_tags(instance.tags) if "TAGS" in include else [],
    }
    if provider := provider_of(instance):
        document["capacityProviderName"] = provider
    if instance.gpu_ids:
        document["gpuDevices"] = _gpu_devices(instance, usage)
    if instance.status_reason:
        document["statusReason"] = instance.status_reason
    elif connection is not None and connection.clock_skew_s:
        document["statusReason"] = (
            f"The instance's clock is {connection.clock_skew_s:+.0f} s off: "
            "the signatures of its agent are refused."
        )
    elif connection is not None and connection.disk_status == "FULL":
        document["statusReason"] = f"No tasks are placed here: {connection.disk_reason}."
    if "CONTAINER_INSTANCE_HEALTH" in include:
        document["healthStatus"] = _health(connection)
    return document


def registered_resources(instance: ContainerInstance) -> list[Document]:
    """What the agent registered."""
    return _resources(
        instance,
        instance.cpu,
        instance.memory,
        instance.reserved_ports_tcp,
        instance.reserved_ports_udp,
        instance.gpu_ids,
    )


def remaining_resources(instance: ContainerInstance, usage: InstanceUsage) -> list[Document]:
    """What is left of CPU, memory and GPUs, and which ports are taken: ECS lists those, not free ones."""
    return _resources(
        instance,
        instance.cpu - usage.cpu,
        instance.memory - usage.memory,
        sorted({*instance.reserved_ports_tcp, *usage.ports_tcp}),
        sorted({*instance.reserved_ports_udp, *usage.ports_udp}),
        [gpu for gpu in instance.gpu_ids if gpu not in usage.gpu_ids],
    )


def render_attribute(attribute: Attribute) -> Document:
    """An attribute; capabilities have a name only."""
    if attribute.value is None:
        return {"name": attribute.name}
    return {"name": attribute.name, "value": attribute.value}


def _resources(
    instance: ContainerInstance,
    cpu: int,
    memory: int,
    ports_tcp: Iterable[int],
    ports_udp: Iterable[int],
    gpus: Iterable[str],
) -> list[Document]:
    resources = [
        _integer("CPU", cpu),
        _integer("MEMORY", memory),
        _string_set("PORTS", map(str, ports_tcp)),
        _string_set("PORTS_UDP", map(str, ports_udp)),
    ]
    if instance.gpu_ids:
        resources.append(_string_set("GPU", gpus))
    return resources


def _integer(name: str, value: int) -> Document:
    return {"name": name, "type": "INTEGER", "doubleValue": 0.0, "longValue": 0, "integerValue": value}


def _string_set(name: str, values: Iterable[str]) -> Document:
    return {
        "name": name,
        "type": "STRINGSET",
        "doubleValue": 0.0,
        "longValue": 0,
        "integerValue": 0,
        "stringSetValue": list(values),
    }


def _version_info(instance: ContainerInstance) -> Document:
    versions = {
        "agentVersion": instance.agent_version,
        "agentHash": instance.agent_hash,
        "dockerVersion": instance.docker_version,
    }
    return {name: version for name, version in versions.items() if version}


def _gpu_devices(instance: ContainerInstance, usage: InstanceUsage) -> list[Document]:
    """A GPU belongs to one container as a whole, or to none."""
    return [
        {
            "gpuId": gpu,
            "sharingMode": "DEDICATED" if gpu in usage.gpu_ids else "IDLE",
            "containerCount": int(gpu in usage.gpu_ids),
        }
        for gpu in instance.gpu_ids
    ]


def _health(connection: InstanceConnection | None) -> Document:
    """What is known of an instance's health: whether its agent is there, and what it said about Docker."""
    if connection is None:
        return {"overallStatus": "INSUFFICIENT_DATA", "details": []}
    details = [
        _health_detail(
            "AGENT_CONNECTIVITY",
            "OK" if connection.connected else "IMPAIRED",
            "" if connection.connected else "The agent is not connected.",
            connection.changed_at,
        )
    ]
    if connection.runtime_status or connection.disk_status:
        details.append(_runtime_detail(connection))
    overall = min((detail["status"] for detail in details), key=HEALTH_STATES.index)
    return {"overallStatus": overall, "details": details}


def _runtime_detail(connection: InstanceConnection) -> Document:
    """The container runtime and the disks that it fills: ECS has no type of check for those."""
    status, reasons = connection.runtime_status or "OK", []
    if status not in HEALTH_STATES:
        status = "INSUFFICIENT_DATA"
    if status == "IMPAIRED":
        reasons.append("The container runtime does not answer.")
    if connection.disk_reason:
        reasons.append(f"{connection.disk_reason[0].upper()}{connection.disk_reason[1:]}.")
    if connection.disk_status == "FULL":
        status = "IMPAIRED"
    changed_at = max(connection.runtime_changed_at, connection.disk_changed_at)
    return _health_detail("CONTAINER_RUNTIME", status, " ".join(reasons), changed_at)


def _health_detail(type_: str, status: str, reason: str, changed_at: float) -> Document:
    detail = {"type": type_, "status": status, "lastUpdated": changed_at, "lastStatusChange": changed_at}
    if reason:
        detail["statusReason"] = reason
    return detail
