"""The resources that this machine registers."""

from collections.abc import Iterable

import msgspec

from agent.host.machine import Machine
from agent.protocol.resources import CPU_UNITS_PER_CPU


class ReservedTooMuch(ValueError):
    """More memory is reserved than the machine has."""


class Resource(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """One entry of ``totalResources``. Absent numbers count as 0."""

    name: str
    type: str
    integer_value: int = 0
    string_set_value: tuple[str, ...] | None = None


def total_resources(
    machine: Machine,
    *,
    reserved_memory_mib: int,
    reserved_ports: Iterable[int],
    reserved_ports_udp: Iterable[int],
) -> tuple[Resource, ...]:
    """What RegisterContainerInstance declares, in ECS's units.

    CPU is 1024 units for each logical CPU, MEMORY is MiB less what is reserved, PORTS and PORTS_UDP are the
    host ports that no task may have. Raises ``ReservedTooMuch`` if no memory would be left.
    """
    memory = machine.memory_mib - reserved_memory_mib
    if memory < 0:
        raise ReservedTooMuch(
            f"ECS_RESERVED_MEMORY={reserved_memory_mib} is more than this machine's {machine.memory_mib} MiB"
        )
    return (
        Resource("CPU", "INTEGER", machine.cpus * CPU_UNITS_PER_CPU),
        Resource("MEMORY", "INTEGER", memory),
        Resource("PORTS", "STRINGSET", string_set_value=_port_set(reserved_ports)),
        Resource("PORTS_UDP", "STRINGSET", string_set_value=_port_set(reserved_ports_udp)),
    )


def _port_set(ports: Iterable[int]) -> tuple[str, ...]:
    return tuple(str(port) for port in sorted({port for port in ports if port}))
