"""What a task definition, with a launch's overrides, demands of the instance that shall run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agent.protocol.resources import ContainerDemand, task_resources
from controller.state.entities import Attribute, Document, TaskDefinition

DEFAULT_NETWORK_MODE = "bridge"

_CPU_ARCHITECTURES = {"X86_64": "x86_64", "ARM64": "arm64"}


class Demand(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What an instance must have free, and be, for a task to be placed on it."""

    cpu: int = 0
    """CPU units."""
    memory: int = 0
    """MiB."""
    ports_tcp: tuple[int, ...] = ()
    """Fixed host ports, ascending."""
    ports_udp: tuple[int, ...] = ()
    gpus: int = 0
    """Number of GPUs; with `all_gpus` the least number."""
    all_gpus: bool = False
    """Whether the task takes every GPU of its instance (resource requirement `ALL`)."""
    required_attributes: tuple[str, ...] = ()
    """Names that the instance must have among its attributes, whatever their values."""
    platform: tuple[Attribute, ...] = ()
    """Attributes that the instance must not contradict: one that it does not have is no contradiction."""


def demand_of(definition: TaskDefinition, overrides: Document | None) -> Demand:
    """The demand of one task of a definition.

    `overrides` is RunTask's or StartTask's member of that name, already checked: numbers that replace the
    definition's, for the task and by container name. ECS reserves what is left after overrides.
    """
    document = definition.document
    overrides = overrides or {}
    changed = {
        override["name"]: override
        for override in overrides.get("containerOverrides", ())
        if "name" in override
    }
    network_mode = document.get("networkMode") or DEFAULT_NETWORK_MODE
    containers = [
        {**container, **_reservations(changed.get(container["name"], {}))}
        for container in document["containerDefinitions"]
    ]
    resources = task_resources(
        _units(overrides.get("cpu") or document.get("cpu")),
        _units(overrides.get("memory") or document.get("memory")),
        [_container_demand(container, network_mode) for container in containers],
    )
    return Demand(
        cpu=resources.cpu,
        memory=resources.memory,
        ports_tcp=tuple(sorted(resources.ports_tcp)),
        ports_udp=tuple(sorted(resources.ports_udp)),
        gpus=resources.gpus,
        all_gpus=any(value == "ALL" for container in containers for value in _gpu_values(container)),
        required_attributes=definition.requires_attributes,
        platform=_platform(document.get("runtimePlatform") or {}),
    )


def _reservations(override: Mapping[str, Any]) -> dict[str, Any]:
    names = ("cpu", "memory", "memoryReservation", "resourceRequirements")
    return {name: override[name] for name in names if override.get(name) is not None}


def _units(value: str | int | None) -> int | None:
    return int(value) if value else None


def _container_demand(container: Mapping[str, Any], network_mode: str) -> ContainerDemand:
    return ContainerDemand(
        cpu=container.get("cpu") or 0,
        memory=container.get("memory"),
        memory_reservation=container.get("memoryReservation"),
        host_ports=_host_ports(container, network_mode),
        gpus=sum(1 if value == "ALL" else int(value) for value in _gpu_values(container)),
    )


def _host_ports(container: Mapping[str, Any], network_mode: str) -> tuple[tuple[int, str], ...]:
    """Fixed host ports: on the host's network every container port, on a network of its own none."""
    if network_mode not in ("bridge", "host"):
        return ()
    return tuple(
        (port, "udp" if mapping.get("protocol") == "udp" else "tcp")
        for mapping in container.get("portMappings") or ()
        for port in (_container_ports(mapping) if network_mode == "host" else (mapping.get("hostPort") or 0,))
    )


def _container_ports(mapping: Mapping[str, Any]) -> Sequence[int]:
    if "containerPortRange" in mapping:
        first, last = mapping["containerPortRange"].split("-")
        return range(int(first), int(last) + 1)
    return (mapping.get("containerPort") or 0,)


def _gpu_values(container: Mapping[str, Any]) -> list[str]:
    return [
        requirement["value"]
        for requirement in container.get("resourceRequirements") or ()
        if requirement.get("type") == "GPU" and requirement.get("value")
    ]


def _platform(platform: Mapping[str, Any]) -> tuple[Attribute, ...]:
    attributes = []
    if architecture := _CPU_ARCHITECTURES.get(platform.get("cpuArchitecture", "")):
        attributes.append(Attribute("ecs.cpu-architecture", architecture))
    if family := platform.get("operatingSystemFamily", ""):
        attributes.append(Attribute("ecs.os-type", "linux" if family == "LINUX" else "windows"))
    return tuple(attributes)
