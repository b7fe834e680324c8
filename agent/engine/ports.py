"""Where a container's ports are on the host: in its create call, and in what is reported of it.

A range of container ports is bound to a range of as many host ports in a row, and reported as such.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from agent.engine.changes import NetworkBinding
from agent.engine.namespaces import has_own_network, uses_host_network
from agent.engine.records import PortBinding
from agent.protocol import acs

_ANY_ADDRESS = "0.0.0.0"


class PortRange(msgspec.Struct, frozen=True, gc=False):
    """Ports in a row, the last one included."""

    first: int
    last: int
    protocol: str

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    def holds(self, port: int, protocol: str) -> bool:
        """Whether a port is one of them."""
        return self.first <= port <= self.last and protocol == self.protocol


def parse_range(mapping: acs.PortMapping) -> PortRange:
    """The container ports of a mapping that has a range. Raises ``ValueError`` if it makes no sense."""
    first, dash, last = (mapping.container_port_range or "").partition("-")
    if not (dash and first.isdigit() and last.isdigit() and 0 < int(first) < int(last) < 65536):
        raise ValueError(f"containerPortRange {mapping.container_port_range!r} is not like 8000-8010")
    return PortRange(int(first), int(last), mapping.protocol or "tcp")


def ranges_of(container: acs.Container) -> tuple[PortRange, ...]:
    """The ranges of container ports that a container maps."""
    return tuple(parse_range(mapping) for mapping in container.port_mappings if mapping.container_port_range)


def lasting_ports(container: acs.Container) -> tuple[PortRange, ...]:
    """The container ports whose host ports the engine would choose anew at every start, each as a range of
    its own: a container that is started again in place has to keep them.
    """
    mappings = (m for m in container.port_mappings if not m.host_port and not m.container_port_range)
    return tuple(_alone(mapping) for mapping in mappings)


def _alone(mapping: acs.PortMapping) -> PortRange:
    port = mapping.container_port or 0
    return PortRange(port, port, mapping.protocol or "tcp")


def container_ports(container: acs.Container) -> tuple[tuple[int, str], ...]:
    """Every container port that is mapped, with its protocol; of ranges each single one."""
    single = [
        (mapping.container_port or 0, mapping.protocol or "tcp")
        for mapping in container.port_mappings
        if not mapping.container_port_range
    ]
    in_ranges = [(port, r.protocol) for r in ranges_of(container) for port in range(r.first, r.last + 1)]
    return (*single, *in_ranges)


def port_key(port: int, protocol: str) -> str:
    """A container port in the engine's words."""
    return f"{port}/{protocol}"


def port_bindings(
    container: acs.Container, dynamic_ports: tuple[int, int] | None, host_ranges: Mapping[PortRange, int]
) -> dict[str, list[dict[str, str]]]:
    """The create call's ``PortBindings``.

    ``dynamic_ports`` bounds the host ports that the engine may choose, None leaves them to the kernel's own
    range; ``host_ranges`` says where ports begin on the host for which that is chosen already.
    """
    chosen_by_engine = "" if dynamic_ports is None else f"{dynamic_ports[0]}-{dynamic_ports[1]}"
    bindings: dict[str, list[dict[str, str]]] = {}
    for mapping in container.port_mappings:
        if not mapping.container_port_range and _alone(mapping) not in host_ranges:
            host_port = str(mapping.host_port) if mapping.host_port else chosen_by_engine
            key = port_key(mapping.container_port or 0, mapping.protocol or "tcp")
            bindings.setdefault(key, []).append({"HostPort": host_port})
    for ports, first_on_host in host_ranges.items():
        for offset in range(len(ports)):
            key = port_key(ports.first + offset, ports.protocol)
            bindings.setdefault(key, []).append({"HostPort": str(first_on_host + offset)})
    return bindings


def has_dynamic_ports(container: acs.Container) -> bool:
    """Whether the host port of a mapping is known only when the container runs."""
    return any(not mapping.host_port for mapping in container.port_mappings)


def fixed_bindings(task: acs.Task, container: acs.Container) -> tuple[NetworkBinding, ...]:
    """The bindings of a container whose host ports are all known before it starts.

    In the host's network a container's ports are the host's own; in a network of the task's own none is.
    """
    if has_own_network(task):
        return ()
    host_network = uses_host_network(task, container)
    return tuple(
        NetworkBinding(
            bind_ip=_ANY_ADDRESS,
            protocol=mapping.protocol or "tcp",
            container_port_range=mapping.container_port_range or "",
            host_port_range=mapping.container_port_range or "",
        )
        if mapping.container_port_range
        else NetworkBinding(
            bind_ip=_ANY_ADDRESS,
            container_port=mapping.container_port or 0,
            host_port=(mapping.container_port if host_network else mapping.host_port) or 0,
            protocol=mapping.protocol or "tcp",
        )
        for mapping in container.port_mappings
    )


def reported_bindings(
    ports: Sequence[PortBinding], ranges: Sequence[PortRange] = (), *, with_ipv6: bool
) -> tuple[NetworkBinding, ...]:
    """The bindings that the engine tells of, those of ``ranges`` of container ports in one.

    Those to ``::`` only repeat the others and are left out by default.
    """
    told = sorted(ports, key=lambda port: (port.container_port, port.protocol, port.host_ip, port.host_port))
    shown = [port for port in told if with_ipv6 or ":" not in port.host_ip]
    single = [p for p in shown if not any(r.holds(p.container_port, p.protocol) for r in ranges)]
    found = [
        NetworkBinding(
            bind_ip=port.host_ip,
            container_port=port.container_port,
            host_port=port.host_port,
            protocol=port.protocol,
        )
        for port in single
    ]
    for ports_in_a_row in ranges:
        found += _range_bindings(ports_in_a_row, shown)
    return tuple(found)


def _range_bindings(ports: PortRange, shown: Iterable[PortBinding]) -> list[NetworkBinding]:
    host_ports: dict[str, list[int]] = {}
    for port in shown:
        if ports.holds(port.container_port, port.protocol):
            host_ports.setdefault(port.host_ip, []).append(port.host_port)
    return [
        NetworkBinding(
            bind_ip=host_ip,
            protocol=ports.protocol,
            container_port_range=str(ports),
            host_port_range=f"{min(on_host)}-{max(on_host)}",
        )
        for host_ip, on_host in host_ports.items()
    ]
