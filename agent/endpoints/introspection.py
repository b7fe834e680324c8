"""The introspection API of amazon-ecs-agent: what this agent runs, for people and tools on the machine.

Statuses are the controller's (PENDING, RUNNING, STOPPED). A task that waits for room on the host carries
one member more than ECS's: ``WaitsFor``, the reason in words. ``/v1/resources`` is not ECS's either: what the
host has, who holds how much of it, and who waits for what, the next one first.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec
from aiohttp import web

from agent.endpoints.storage import Handler
from agent.engine.book import TaskRecord
from agent.engine.states import ContainerPlan, ContainerState, Status, reported
from agent.engine.waiting import Account
from agent.protocol import acs
from agent.protocol.resources import Resources

COMMANDS = ("/v1/metadata", "/v1/tasks", "/v1/resources", "/license")
_LICENSE_FILE = Path(__file__).resolve().parents[2] / "LICENSE"
_LICENSE_NAME = "Apache License, Version 2.0: https://www.apache.org/licenses/LICENSE-2.0\n"
_SHORT_ID = 12


class Tasks(Protocol):
    """Where the tasks are found; ``agent.engine.engine.TaskEngine`` is the real one."""

    def records(self) -> tuple[TaskRecord, ...]:
        """Every task that the agent knows."""
        ...

    def account(self) -> Account:
        """The host's resources: what there is, who holds how much, and who waits for what."""
        ...


def introspection_app(
    tasks: Tasks,
    *,
    version: str,
    cluster: str,
    container_instance: Callable[[], str | None],
    more: Mapping[str, Handler] | None = None,
) -> web.Application:
    """The application; ``container_instance`` gives the ARN once the instance has registered, ``more`` are
    handlers of further paths.
    """
    further = more or {}

    async def metadata(_: web.Request) -> web.Response:
        return _json(
            {
                "Cluster": cluster,
                "ContainerInstanceArn": container_instance(),
                "Version": f"Homeport Agent - v{version}",
            }
        )

    async def list_tasks(request: web.Request) -> web.Response:
        status, body = answer_tasks(
            tasks.records(), request.query.get("taskarn"), request.query.get("dockerid")
        )
        return _json(body, status)

    async def resources(_: web.Request) -> web.Response:
        return _json(account_body(tasks.account()))

    async def licence(_: web.Request) -> web.Response:
        return web.Response(text=_LICENSE_FILE.read_text() if _LICENSE_FILE.exists() else _LICENSE_NAME)

    async def commands(_: web.Request) -> web.Response:
        return _json({"AvailableCommands": [*COMMANDS, *further]})

    application = web.Application()
    application.router.add_get("/v1/metadata", metadata)
    application.router.add_get("/v1/tasks", list_tasks)
    application.router.add_get("/v1/resources", resources)
    application.router.add_get("/license", licence)
    for path, handler in further.items():
        application.router.add_get(path, handler)
    application.router.add_get("/{anything:.*}", commands)
    return application


def answer_tasks(
    records: Sequence[TaskRecord], task_arn: str | None, docker_id: str | None
) -> tuple[int, dict[str, Any]]:
    """HTTP status and body for ``/v1/tasks``, with at most one of the two parameters."""
    if task_arn and docker_id:
        return 400, {}
    if not task_arn and not docker_id:
        return 200, {"Tasks": [task_body(record) for record in records]}
    if task_arn:
        found = [record for record in records if record.plan.arn == task_arn]
    else:
        found = [record for record in records if _holds(record, docker_id or "")]
    if len(found) > 1:
        return 400, {}
    return (200, task_body(found[0])) if found else (404, {})


def _holds(record: TaskRecord, docker_id: str) -> bool:
    ids = [container.docker_id or "" for container in record.state.containers]
    if len(docker_id) <= _SHORT_ID:
        return any(each.startswith(docker_id) for each in ids)
    return docker_id in ids


def task_body(record: TaskRecord) -> dict[str, Any]:
    """A task as ECS's introspection tells it."""
    state = record.state
    known, desired = reported(state.known), reported(state.desired)
    body: dict[str, Any] = {"Arn": record.plan.arn}
    if not (known == "STOPPED" and desired != "STOPPED") and not (
        known == "RUNNING" and desired == "PENDING"
    ):
        body["DesiredStatus"] = desired
    body |= {
        "KnownStatus": known,
        "Family": record.definition.family or "",
        "Version": record.definition.version or "",
        "Containers": [
            _container_body(record, record.container(plan.name), plan, container)
            for plan, container in zip(record.plan.containers, state.containers, strict=True)
            if not plan.internal
        ],
    }
    if state.waits_for:
        body["WaitsFor"] = state.waits_for
    return body


def account_body(account: Account) -> dict[str, Any]:
    """The host's resources in ECS's units: CPU units, MiB, host ports, GPUs."""
    reserved = _resources_body(account.capacity)
    ports = {name: reserved.pop(name) for name in ("PortsTCP", "PortsUDP")}
    return {
        "Capacity": reserved,
        "Reserved": ports,
        "Held": [{"Arn": arn, **_resources_body(held)} for arn, held in account.held.items()],
        "Waiting": [{"Arn": delay.task_arn, "WaitsFor": delay.reason} for delay in account.waiting],
    }


def _resources_body(resources: Resources) -> dict[str, Any]:
    return {
        "CPU": resources.cpu,
        "Memory": resources.memory,
        "GPUs": sorted(resources.gpu_ids),
        "PortsTCP": sorted(resources.ports_tcp),
        "PortsUDP": sorted(resources.ports_udp),
    }


def _container_body(
    record: TaskRecord, definition: acs.Container, plan: ContainerPlan, state: ContainerState
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "DockerId": state.docker_id or "",
        "DockerName": plan.docker_name if state.known >= Status.CREATED else "",
        "Name": definition.name or "",
        "Image": definition.image or "",
        "ImageID": state.image_id or "",
    }
    for name, at in (("CreatedAt", state.created_at), ("StartedAt", state.started_at)):
        if at is not None:
            body[name] = datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
    if state.network_bindings:
        body["Ports"] = [
            {
                "ContainerPort": binding.container_port,
                "Protocol": binding.protocol,
                "HostPort": binding.host_port,
                "HostIp": binding.bind_ip,
            }
            for binding in state.network_bindings
            if not binding.container_port_range
        ]
    if addresses := _own_addresses(record):
        body["Networks"] = [{"NetworkMode": "awsvpc", "IPv4Addresses": addresses}]
    sources = {volume.name: volume.source for volume in record.plan.volumes}
    if definition.mount_points:
        body["Volumes"] = [
            {
                "DockerName": sources.get(mount.source_volume or "", ""),
                "Source": sources.get(mount.source_volume or "", ""),
                "Destination": mount.container_path or "",
            }
            for mount in definition.mount_points
        ]
    if plan.restart is not None:
        body["RestartCount"] = state.restarts
    return body


def _own_addresses(record: TaskRecord) -> list[str]:
    """Those of the task's own network interface, if it has one."""
    interfaces = [state.network_interface for state in record.state.containers]
    return [interface.private_ipv4_address for interface in interfaces if interface is not None]


def _json(body: Any, status: int = 200) -> web.Response:
    return web.json_response(body, status=status, dumps=lambda value: msgspec.json.encode(value).decode())
