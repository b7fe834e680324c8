"""Who may open a websocket: the agent of a registered container instance, with a key of its cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec
from aiohttp import web

from agent.protocol.arn import Arn, last_segment
from agent.protocol.extensions import PROTOCOL_PARAMETER, PROTOCOL_VERSION
from controller.api.authentication import SignatureOutOfTime, authorise_connection
from controller.api.context import Caller
from controller.api.errors import ApiError
from controller.state.entities import ContainerInstance, instance_key
from controller.state.kernel import Reader
from controller.state.names import Names

Authenticate = Callable[[Mapping[str, str], str, str, str, bytes], Caller]
"""The front door's check of a signature: headers, method, path, query, body."""

DOCKER_VERSION_PREFIX = "DockerVersion: "


class Channel(msgspec.Struct, frozen=True):
    """One of the two websockets: ECS's name of the operation, and of the query parameters that say who
    connects."""

    name: Literal["acs", "tcs"]
    operation: str
    cluster_parameter: str
    instance_parameter: str


ACS = Channel("acs", "Poll", "clusterArn", "containerInstanceArn")
TCS = Channel("tcs", "StartTelemetrySession", "cluster", "containerInstance")


class Refused(Exception):
    """The upgrade is answered with an HTTP error whose body agents decode: `{"<type>": "<text>"}`."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status

    def response(self) -> web.Response:
        """The answer."""
        return web.json_response({self.code: self.message}, status=self.status)


class OutOfTime(Refused):
    """A genuine request by an agent whose clock is off; names its instance."""

    def __init__(self, instance: ContainerInstance, error: SignatureOutOfTime) -> None:
        super().__init__(error.code, error.message, error.status)
        self.instance = instance
        self.skew_s = error.skew_s


class Host(msgspec.Struct, frozen=True):
    """What the query of an ACS connection tells about the instance. The ECS agent tells no ids of machine and
    boot."""

    agent_version: str = ""
    agent_hash: str = ""
    docker_version: str = ""
    machine_id: str = ""
    boot_id: str = ""

    def is_another_machine(self, other: Host) -> bool:
        """Whether the two are surely not one machine since its last boot: two machines use one identity, as a
        cloned disk does."""
        ids, others = (self.machine_id, self.boot_id), (other.machine_id, other.boot_id)
        return all(ids) and all(others) and ids != others


def check_upgrade(
    request: web.Request, channel: Channel, authenticate: Authenticate, read: Reader
) -> ContainerInstance:
    """The instance whose agent asks for a connection.

    Raises:
        Refused: the signature, the key or the instance is not good for it. InactiveInstanceException only if
        the instance was deregistered: the ECS agent then waits an hour.
        OutOfTime: all is good but the time of the signature.
    """
    skewed: SignatureOutOfTime | None = None
    path, _, query = request.raw_path.partition("?")
    try:
        try:
            caller = authenticate(request.headers, request.method, path, query, b"")
        except SignatureOutOfTime as error:
            skewed, caller = error, error.caller
        cluster, instance_id = instance_named(request.query, channel, read.names)
        authorise_connection(caller, channel.operation, cluster, instance_id)
    except ApiError as error:
        raise Refused(error.code, error.message, max(error.status, 400)) from error
    instance = read.get(ContainerInstance, instance_key(cluster, instance_id))
    if instance is None:
        raise Refused("InvalidInstanceException", "The container instance is not registered.")
    if instance.status == "INACTIVE":
        raise Refused("InactiveInstanceException", "The container instance was deregistered.")
    if skewed is not None:
        raise OutOfTime(instance, skewed)
    return instance


def instance_named(query: Mapping[str, str], channel: Channel, names: Names) -> tuple[str, str]:
    """Cluster and id of the instance in a connection's query. Agents give the cluster as they were
    configured: by name or ARN.

    Raises:
        Refused: there is none, or none of this controller.
    """
    arn = query.get(channel.instance_parameter, "")
    try:
        parts = Arn.parse(arn).resource.split("/")
    except ValueError:
        parts = []
    if len(parts) != 3 or arn != names.instance_id(parts[1], parts[2]):
        raise Refused("InvalidInstanceException", "The container instance is none of this controller's.")
    if last_segment(query.get(channel.cluster_parameter, "")) != parts[1]:
        raise Refused("InvalidClusterException", "The container instance is in another cluster.")
    return parts[1], parts[2]


def host_of(query: Mapping[str, str]) -> Host:
    """What the query of an ACS connection tells about the instance."""
    return Host(
        agent_version=query.get("agentVersion", ""),
        agent_hash=query.get("agentHash", ""),
        docker_version=query.get("dockerVersion", "").removeprefix(DOCKER_VERSION_PREFIX),
        machine_id=query.get("machineId", ""),
        boot_id=query.get("bootId", ""),
    )


def with_host(instance: ContainerInstance, host: Host) -> ContainerInstance:
    """The instance with what its agent told, as far as it did; the same object when nothing is new."""
    told = {name: value for name, value in msgspec.structs.asdict(host).items() if value}
    changed = msgspec.structs.replace(instance, **told)
    return instance if changed == instance else msgspec.structs.replace(changed, version=instance.version + 1)


def speaks_extensions(query: Mapping[str, str]) -> bool:
    """Whether the agent asked for our additional messages, in a form that this controller knows."""
    return query.get(PROTOCOL_PARAMETER) == str(PROTOCOL_VERSION)
