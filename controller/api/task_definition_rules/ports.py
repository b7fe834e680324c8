"""Rules about port mappings, by network mode.

They are checked on the normalised document, where host mode and awsvpc have the host port filled in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from controller.api.errors import ClientException
from controller.state.entities import Document

PORTS = range(65_536)
MAX_PORT_RANGES = 100

_PORT_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]{0,63}")
_PORT_RANGE = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")


def check_ports(document: Document) -> None:
    """Every rule about port mappings."""
    network_mode = document.get("networkMode", "bridge")
    for container in document["containerDefinitions"]:
        if container["portMappings"] and network_mode == "none":
            raise ClientException(
                "Port mappings are not supported when networkMode=none, but container "
                f"'{container['name']}' has some."
            )
        for mapping in container["portMappings"]:
            if "containerPortRange" in mapping:
                _check_range(container["name"], mapping, network_mode)
            else:
                _check_single(container["name"], mapping, network_mode)
        _check_within_container(container)
    _check_names(document)
    _check_host_ports(document, network_mode)


def _check_single(container: str, mapping: Document, network_mode: str) -> None:
    if "containerPort" not in mapping:
        raise ClientException(
            f"Invalid port mapping for container '{container}'. It needs a containerPort or a "
            "containerPortRange."
        )
    for member in ("containerPort", "hostPort"):
        if mapping[member] not in PORTS:
            raise ClientException(
                f"Invalid '{member}' setting for container '{container}'. {mapping[member]} is not between "
                "0 and 65535."
            )
    if network_mode in ("host", "awsvpc") and mapping["hostPort"] != mapping["containerPort"]:
        raise ClientException(
            f"When networkMode={network_mode}, the host ports and container ports in port mappings must "
            "match."
        )


def _check_range(container: str, mapping: Document, network_mode: str) -> None:
    where = f"Invalid containerPortRange '{mapping['containerPortRange']}' for container '{container}'."
    if network_mode not in ("bridge", "awsvpc"):
        raise ClientException(f"{where} It is supported when networkMode is bridge or awsvpc.")
    if "containerPort" in mapping or "hostPort" in mapping:
        raise ClientException(f"{where} It does not go together with a containerPort or a hostPort.")
    match = _PORT_RANGE.fullmatch(mapping["containerPortRange"])
    if match is None or not 1 <= int(match[1]) < int(match[2]) < PORTS.stop:
        raise ClientException(f"{where} It should be <first>-<last> with 1 <= first < last <= 65535.")


def _check_within_container(container: Document) -> None:
    mappings = container["portMappings"]
    if sum("containerPortRange" in mapping for mapping in mappings) > MAX_PORT_RANGES:
        raise ClientException(f"Container '{container['name']}' has more than {MAX_PORT_RANGES} port ranges.")
    protocols: dict[int, str] = {}
    for mapping in mappings:
        if "containerPort" not in mapping:
            continue
        if protocols.setdefault(mapping["containerPort"], mapping["protocol"]) != mapping["protocol"]:
            raise ClientException(
                "You can't expose the same container port for multiple protocols: container "
                f"'{container['name']}' does so with port {mapping['containerPort']}."
            )
    spans = sorted(
        (mapping["protocol"], *_span(mapping)) for mapping in mappings if "containerPortRange" in mapping
    )
    for (protocol, _, last), (next_protocol, first, _) in pairwise(spans):
        if protocol == next_protocol and first <= last:
            raise ClientException(
                f"The container port ranges of container '{container['name']}' overlap at port {first}."
            )


def _span(mapping: Document) -> tuple[int, int]:
    first, _, last = mapping["containerPortRange"].partition("-")
    return int(first), int(last)


def _check_names(document: Document) -> None:
    names = set()
    for container, mapping in _mappings(document):
        name = mapping.get("name")
        if name is None:
            continue
        if not _PORT_NAME.fullmatch(name):
            raise ClientException(
                f"Invalid port mapping name '{name}' for container '{container}'. Up to 64 lowercase "
                "letters, numbers, underscores and hyphens are allowed, and it can't start with a hyphen."
            )
        if name in names:
            raise ClientException(
                f"Port mapping names must be unique within a task definition: '{name}' is used twice."
            )
        names.add(name)


def _check_host_ports(document: Document, network_mode: str) -> None:
    taken = set()
    for container, mapping in _mappings(document):
        host_port = (mapping.get("hostPort", 0), mapping["protocol"])
        if not host_port[0]:
            continue
        if host_port in taken:
            kind = "container" if network_mode == "awsvpc" else "host"
            raise ClientException(
                f"Duplicate {kind} port {host_port[0]}/{host_port[1]} in port mappings: container "
                f"'{container}' and another mapping of this task definition use it."
            )
        taken.add(host_port)


def _mappings(document: Document) -> Iterator[tuple[str, Document]]:
    for container in document["containerDefinitions"]:
        for mapping in container["portMappings"]:
            yield container["name"], mapping
