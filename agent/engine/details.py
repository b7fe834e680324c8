"""What task metadata tells of a container beyond its state: the engine's answer to an inspection, in more
detail than the state machine needs.
"""

from collections.abc import Mapping
from typing import Any

import msgspec


class NetworkDetails(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One network that the container is in. ``ipv4`` is empty in the host's network."""

    name: str
    ipv4: str = ""
    ipv4_prefix: int = 0
    ipv4_gateway: str = ""
    ipv6: str = ""
    mac_address: str = ""


class Mount(msgspec.Struct, frozen=True, gc=False):
    """A mounted volume; ``name`` is empty for a path of the host."""

    name: str
    source: str
    destination: str


class ContainerDetails(msgspec.Struct, frozen=True, kw_only=True):
    """One container as the engine runs it."""

    network_mode: str
    networks: tuple[NetworkDetails, ...]
    dns: tuple[str, ...]
    dns_search: tuple[str, ...]
    hostname: str
    labels: Mapping[str, str]
    log_driver: str
    log_options: Mapping[str, str]
    mounts: tuple[Mount, ...]
    health_exit_code: int
    """Of the newest run of the health check; 0 where there is none."""
    health_output: str


def details_from_engine(body: Mapping[str, Any]) -> ContainerDetails:
    """Read the engine's answer to a container inspection."""
    config: Mapping[str, Any] = body.get("Config") or {}
    host_config: Mapping[str, Any] = body.get("HostConfig") or {}
    log_config: Mapping[str, Any] = host_config.get("LogConfig") or {}
    checks = ((body.get("State") or {}).get("Health") or {}).get("Log") or [{}]
    return ContainerDetails(
        network_mode=host_config.get("NetworkMode") or "",
        networks=tuple(
            _network(name, network or {})
            for name, network in ((body.get("NetworkSettings") or {}).get("Networks") or {}).items()
        ),
        dns=tuple(host_config.get("Dns") or ()),
        dns_search=tuple(host_config.get("DnsSearch") or ()),
        hostname=config.get("Hostname") or "",
        labels=config.get("Labels") or {},
        log_driver=log_config.get("Type") or "",
        log_options=log_config.get("Config") or {},
        mounts=tuple(
            Mount(mount.get("Name") or "", mount.get("Source") or "", mount.get("Destination") or "")
            for mount in body.get("Mounts") or ()
        ),
        health_exit_code=int(checks[-1].get("ExitCode") or 0),
        health_output=checks[-1].get("Output") or "",
    )


def _network(name: str, network: Mapping[str, Any]) -> NetworkDetails:
    return NetworkDetails(
        name=name,
        ipv4=network.get("IPAddress") or "",
        ipv4_prefix=int(network.get("IPPrefixLen") or 0),
        ipv4_gateway=network.get("Gateway") or "",
        ipv6=network.get("GlobalIPv6Address") or "",
        mac_address=network.get("MacAddress") or "",
    )
