"""Task metadata in the shapes of versions 4 and 3: functions from what is known of a task to what it is told.

Statuses are the agent's own (CREATED is one), as in ECS. Version 3 leaves out what version 4 has added: log
configuration, ARNs of containers, host addresses of ports, launch type, service and errors.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import ip_interface
from typing import Any

import msgspec

from agent.engine.book import TaskRecord
from agent.engine.container_body import ESSENTIAL_LABEL, METADATA_ID_LABEL, OWNER_LABEL
from agent.engine.details import ContainerDetails, NetworkDetails
from agent.engine.namespaces import has_own_network
from agent.engine.states import ContainerPlan, ContainerState, Status
from agent.protocol import acs

_LEAST_CPU = 2
# ECS has no word for a task whose images are there and whose containers are not.
_TASK_STATUS = {Status.PULLED: "NONE"}
_OWN_LABELS = (OWNER_LABEL, ESSENTIAL_LABEL, METADATA_ID_LABEL)


class ContainerView(msgspec.Struct, frozen=True):
    """A container of a task; ``details`` is None while the engine has not made it."""

    definition: acs.Container
    plan: ContainerPlan
    state: ContainerState
    details: ContainerDetails | None
    pause: ContainerDetails | None = None
    """The container that holds the task's own network, if the task has one."""


class Surroundings(msgspec.Struct, frozen=True):
    """What is the same for all tasks of this agent. An empty zone is not told."""

    cluster: str
    availability_zone: str


class TagLookup(msgspec.Struct, frozen=True):
    """The tags of a resource, or why they could not be looked up."""

    field: str
    """``TaskTags`` or ``ContainerInstanceTags``."""
    resource_arn: str
    tags: Mapping[str, str] | None = None
    error_code: str = ""
    error_message: str = ""
    status_code: int = 0


def task_v4(
    record: TaskRecord,
    containers: Sequence[ContainerView],
    where: Surroundings,
    tags: Iterable[TagLookup] = (),
) -> dict[str, Any]:
    """The answer to ``/v4/<id>/task``, and with ``tags`` to ``/v4/<id>/taskWithTags``."""
    body = _task(record, where)
    body["Containers"] = [container_v4(record, view) for view in containers]
    if record.definition.launch_type:
        body["LaunchType"] = record.definition.launch_type
    if record.definition.service_name:
        body["ServiceName"] = record.definition.service_name
    errors = []
    for lookup in tags:
        if lookup.tags is not None:
            body[lookup.field] = dict(lookup.tags)
        else:
            errors.append(_error(lookup))
    if errors:
        body["Errors"] = errors
    body["FaultInjectionEnabled"] = bool(record.definition.enable_fault_injection)
    return body


def task_v3(
    record: TaskRecord,
    containers: Sequence[ContainerView],
    where: Surroundings,
    tags: Iterable[TagLookup] = (),
) -> dict[str, Any]:
    """The answer to ``/v3/<id>/task``, and with ``tags`` to ``/v3/<id>/taskWithTags``."""
    body = _task(record, where)
    body["Containers"] = [container_v3(record, view) for view in containers]
    return body | {lookup.field: dict(lookup.tags) for lookup in tags if lookup.tags is not None}


def container_v4(record: TaskRecord, view: ContainerView) -> dict[str, Any]:
    """The answer to ``/v4/<id>``, and a container of a task."""
    body = _container(record, view, with_host_ip=True)
    if view.details is not None:
        secret = {s.name for s in view.definition.secrets if s.target == "LOG_DRIVER"}
        options = {name: value for name, value in view.details.log_options.items() if name not in secret}
        body["LogDriver"] = view.details.log_driver
        if options:
            body["LogOptions"] = options
        body["Networks"] = _networks(view, view.details)
    if view.definition.container_arn:
        body["ContainerARN"] = view.definition.container_arn
    if view.plan.restart is not None:
        body["RestartCount"] = view.state.restarts
    return body


def container_v3(record: TaskRecord, view: ContainerView) -> dict[str, Any]:
    """The answer to ``/v3/<id>``, and a container of a task."""
    body = _container(record, view, with_host_ip=False)
    if view.details is not None:
        body["Networks"] = [
            {key: network[key] for key in ("NetworkMode", "IPv4Addresses", "IPv6Addresses") if key in network}
            for network in _networks(view, view.details)
        ]
    return body


def _task(record: TaskRecord, where: Surroundings) -> dict[str, Any]:
    definition, state = record.definition, record.state
    body: dict[str, Any] = {
        "Cluster": where.cluster,
        "TaskARN": record.plan.arn,
        "Family": definition.family or "",
        "Revision": definition.version or "",
        "DesiredStatus": _TASK_STATUS.get(state.desired, state.desired.name),
        "KnownStatus": _TASK_STATUS.get(state.known, state.known.name),
    }
    limits = {"CPU": _number(definition.cpu or 0), "Memory": definition.memory or 0}
    if any(limits.values()):
        body["Limits"] = {name: value for name, value in limits.items() if value}
    body |= _times(
        PullStartedAt=state.pull_started_at,
        PullStoppedAt=state.pull_stopped_at,
        ExecutionStoppedAt=state.stopped_at,
    )
    if where.availability_zone:
        body["AvailabilityZone"] = where.availability_zone
    return body


def _container(record: TaskRecord, view: ContainerView, *, with_host_ip: bool) -> dict[str, Any]:
    definition, state, details = view.definition, view.state, view.details
    body: dict[str, Any] = {
        "DockerId": state.docker_id or "",
        "Name": view.plan.name,
        "DockerName": view.plan.docker_name,
        "Image": definition.image or "",
        "ImageID": state.image_id or "",
    }
    if ports := _ports(record, state, with_host_ip=with_host_ip):
        body["Ports"] = ports
    if details is not None:
        body["Labels"] = {name: value for name, value in details.labels.items() if name not in _OWN_LABELS}
    body["DesiredStatus"] = _container_status(view.plan, state.desired)
    body["KnownStatus"] = _container_status(view.plan, state.known)
    if state.exit_code is not None:
        body["ExitCode"] = state.exit_code
    body["Limits"] = {
        "CPU": max(definition.cpu or 0, _LEAST_CPU),
        "Memory": definition.memory or 0,
    }
    body |= _times(CreatedAt=state.created_at, StartedAt=state.started_at, FinishedAt=state.finished_at)
    body["Type"] = _type(record, view.plan)
    if view.plan.health_checked:
        body["Health"] = _health(state, details)
    if details is not None and details.mounts:
        body["Volumes"] = [
            {
                key: value
                for key, value in (
                    ("DockerName", mount.name),
                    ("Source", mount.source),
                    ("Destination", mount.destination),
                )
                if value
            }
            for mount in details.mounts
        ]
    return body


def _ports(record: TaskRecord, state: ContainerState, *, with_host_ip: bool) -> list[dict[str, Any]]:
    own_address = has_own_network(record.definition)
    ports = []
    for binding in state.network_bindings:
        if binding.container_port_range:
            continue  # ECS's metadata knows single ports only
        port: dict[str, Any] = {
            "ContainerPort": binding.container_port,
            "Protocol": binding.protocol,
            "HostPort": binding.container_port if own_address else binding.host_port,
        }
        if with_host_ip and binding.bind_ip:
            port["HostIp"] = binding.bind_ip
        ports.append(port)
    return ports


def _networks(view: ContainerView, details: ContainerDetails) -> list[dict[str, Any]]:
    if view.pause is not None:
        return [_own_network(view.pause, network) for network in view.pause.networks]
    if not details.networks:
        return [{"NetworkMode": details.network_mode, "IPv4Addresses": [""]}]
    return [{"NetworkMode": network.name, "IPv4Addresses": [network.ipv4]} for network in details.networks]


def _own_network(pause: ContainerDetails, network: NetworkDetails) -> dict[str, Any]:
    """The task's network interface, told as ECS tells of the one that it attaches in networkMode awsvpc."""
    body: dict[str, Any] = {"NetworkMode": "awsvpc", "IPv4Addresses": [network.ipv4]}
    if network.ipv6:
        body["IPv6Addresses"] = [network.ipv6]
    body |= {"AttachmentIndex": 0, "MACAddress": network.mac_address}
    if network.ipv4:
        subnet = ip_interface(f"{network.ipv4}/{network.ipv4_prefix}").network
        body["IPv4SubnetCIDRBlock"] = str(subnet)
    if pause.dns:
        body["DomainNameServers"] = list(pause.dns)
    if pause.dns_search:
        body["DomainNameSearchList"] = list(pause.dns_search)
    if network.ipv4_gateway:
        body["SubnetGatewayIpv4Address"] = f"{network.ipv4_gateway}/{network.ipv4_prefix}"
    return body


def _type(record: TaskRecord, plan: ContainerPlan) -> str:
    if not plan.internal:
        return "NORMAL"
    return "CNI_PAUSE" if has_own_network(record.definition) else "NAMESPACE_PAUSE"


def _container_status(plan: ContainerPlan, status: Status) -> str:
    """A pause container that runs has done its part: ECS says that what it provides is there."""
    return "RESOURCES_PROVISIONED" if plan.internal and status is Status.RUNNING else status.name


def _health(state: ContainerState, details: ContainerDetails | None) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if state.health != "UNKNOWN":
        body["status"] = state.health
    body |= _times(statusSince=state.health_since)
    if details is not None and details.health_exit_code:
        body["exitCode"] = details.health_exit_code
    if details is not None and details.health_output:
        body["output"] = details.health_output
    return body


def _error(lookup: TagLookup) -> dict[str, Any]:
    body = {
        "ErrorField": lookup.field,
        "ErrorCode": lookup.error_code,
        "ErrorMessage": lookup.error_message,
        "StatusCode": lookup.status_code,
        "ResourceARN": lookup.resource_arn,
    }
    return {name: value for name, value in body.items() if value}


def _times(**moments: float | None) -> dict[str, str]:
    """Those of the moments that have come, in ISO 8601."""
    return {
        name: datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
        for name, at in moments.items()
        if at is not None
    }


def _number(value: float) -> float:
    """A float without a fraction is written like a whole number, as Go does."""
    return int(value) if value == int(value) else value
