"""What a task takes from its instance.

Controller and agent both ask here: two answers would leave tasks waiting.
"""

from collections.abc import Sequence

import msgspec

CPU_UNITS_PER_CPU = 1024


class ContainerDemand(msgspec.Struct, frozen=True, gc=False):
    """What one container asks for."""

    cpu: int
    """CPU units; 0 reserves nothing."""
    memory: int | None
    """Hard limit in MiB."""
    memory_reservation: int | None
    """Soft limit in MiB. If positive, it and not the hard limit is reserved."""
    host_ports: tuple[tuple[int, str], ...]
    """Pairs of host port and protocol (``tcp`` or ``udp``); port 0 is a dynamic one and reserves nothing."""
    gpus: int = 0


class Resources(msgspec.Struct, frozen=True, gc=False):
    """An amount of each resource: CPU units, MiB, host ports, GPUs."""

    cpu: int
    memory: int
    ports_tcp: frozenset[int]
    ports_udp: frozenset[int]
    gpus: int
    gpu_ids: frozenset[str] = frozenset()
    """Which GPUs, where that is settled already."""


def task_resources(
    task_cpu: int | None, task_memory: int | None, containers: Sequence[ContainerDemand]
) -> Resources:
    """The resources that a task holds from its placement until its containers have stopped.

    Task-level CPU (units) and memory (MiB) take the place of the containers' sums where they are set. Of the
    ports only explicit host ports count. Callers pass no host ports for a task with a network namespace of
    its own.
    """
    ports = {port for container in containers for port in container.host_ports if port[0]}
    return Resources(
        cpu=task_cpu or sum(container.cpu for container in containers),
        memory=task_memory or sum(_reserved_memory(container) for container in containers),
        ports_tcp=frozenset(number for number, protocol in ports if protocol == "tcp"),
        ports_udp=frozenset(number for number, protocol in ports if protocol == "udp"),
        gpus=sum(container.gpus for container in containers),
    )


def _reserved_memory(container: ContainerDemand) -> int:
    return container.memory_reservation or container.memory or 0
