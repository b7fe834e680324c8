"""What the Docker engine answers, as plain frozen records: the rest of the agent never sees the engine's
JSON.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from agent.engine.changes import NetworkInterface
from agent.engine.image_reference import parse_reference

DockerState = Literal["CREATED", "RUNNING", "STOPPED"]
HealthStatus = Literal["HEALTHY", "UNHEALTHY", "UNKNOWN"]

_NEVER = "0001-01-01"
_HEALTH: dict[str, HealthStatus] = {"healthy": "HEALTHY", "unhealthy": "UNHEALTHY"}


class PortBinding(msgspec.Struct, frozen=True, gc=False):
    """One published port as the engine reports it."""

    container_port: int
    protocol: str
    host_ip: str
    host_port: int


class ContainerInspection(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The state of one container at one moment. Times are epoch seconds, None when unset."""

    docker_id: str
    name: str
    image: str
    image_id: str
    state: DockerState
    exit_code: int | None
    """Set only once the process has ended."""
    error: str
    """Why the engine could not start it; empty otherwise."""
    oom_killed: bool
    ever_started: bool
    created_at: float | None
    started_at: float | None
    finished_at: float | None
    pid: int
    health: HealthStatus
    stop_signal: str
    ports: tuple[PortBinding, ...]
    labels: Mapping[str, str]
    network_interface: NetworkInterface | None = None
    """Its address in the first of the engine's networks that it is in."""


class ContainerListing(msgspec.Struct, frozen=True, gc=False):
    """One line of the engine's list of containers."""

    docker_id: str
    name: str
    state: DockerState
    labels: Mapping[str, str]
    host_ports: tuple[tuple[int, str], ...] = ()
    """Host port and protocol of each that it publishes at the moment."""


class ImageInspection(msgspec.Struct, frozen=True, gc=False):
    """An image in the engine's store; ``digest`` is empty for an image that never saw a registry."""

    image_id: str
    digest: str
    names: tuple[str, ...] = ()
    """Every name that the engine has for it: with tags, then with digests."""


class DockerEvent(msgspec.Struct, frozen=True, gc=False):
    """Something that happened to a container; ``action`` is the engine's word (``die``, ``health_status:
    healthy``).
    """

    action: str
    docker_id: str
    name: str
    labels: Mapping[str, str]
    time_ns: int
    exit_code: int | None = None
    """Told with ``die`` only."""


class StreamOpened(msgspec.Struct, frozen=True, gc=False):
    """The event stream is (again) open. Whatever happened before is unknown: look at every container."""


class StreamLost(msgspec.Struct, frozen=True, gc=False):
    """The event stream broke; ``reason`` says how. It is being reopened."""

    reason: str


Notice = DockerEvent | StreamOpened | StreamLost


def _state(status: str, *, started: bool, error: str) -> DockerState:
    """The engine's word for a state in the three that matter here. A failed start leaves ``created`` with
    an error.
    """
    if status in ("running", "paused", "restarting"):
        return "RUNNING"
    if status == "created" and not started and not error:
        return "CREATED"
    return "STOPPED"


def _ports(settings: Mapping[str, Any]) -> tuple[PortBinding, ...]:
    found = []
    for key, bindings in (settings.get("Ports") or {}).items():
        port, _, protocol = key.partition("/")
        for binding in bindings or ():
            host_port = int(binding.get("HostPort") or 0)
            found.append(PortBinding(int(port), protocol or "tcp", binding.get("HostIp") or "", host_port))
    return tuple(found)


def _network_interface(settings: Mapping[str, Any]) -> NetworkInterface | None:
    for network in (settings.get("Networks") or {}).values():
        if address := network.get("IPAddress"):
            return NetworkInterface(address, network.get("MacAddress") or "")
    return None


def _time(text: str | None) -> float | None:
    return None if not text or text.startswith(_NEVER) else datetime.fromisoformat(text).timestamp()


def inspection_from_engine(body: Mapping[str, Any]) -> ContainerInspection:
    """Read the engine's answer to a container inspection."""
    state: Mapping[str, Any] = body["State"]
    config: Mapping[str, Any] = body.get("Config") or {}
    started_at, error = _time(state.get("StartedAt")), state.get("Error") or ""
    status = _state(state.get("Status") or "", started=started_at is not None, error=error)
    health = (state.get("Health") or {}).get("Status") or ""
    return ContainerInspection(
        docker_id=body["Id"],
        name=body["Name"].lstrip("/"),
        image=config.get("Image") or "",
        image_id=body.get("Image") or "",
        state=status,
        exit_code=int(state["ExitCode"]) if status == "STOPPED" and started_at is not None else None,
        error=error,
        oom_killed=bool(state.get("OOMKilled")),
        ever_started=started_at is not None,
        created_at=_time(body.get("Created")),
        started_at=started_at,
        finished_at=_time(state.get("FinishedAt")),
        pid=int(state.get("Pid") or 0),
        health=_HEALTH.get(health, "UNKNOWN"),
        stop_signal=config.get("StopSignal") or "SIGTERM",
        ports=_ports(body.get("NetworkSettings") or {}),
        labels=config.get("Labels") or {},
        network_interface=_network_interface(body.get("NetworkSettings") or {}),
    )


def listing_from_engine(body: Mapping[str, Any]) -> ContainerListing:
    """Read one entry of the engine's container list."""
    names = body.get("Names") or [""]
    status = body.get("State") or ""
    state: DockerState = "CREATED" if status == "created" else _state(status, started=True, error="")
    published = {(p["PublicPort"], p["Type"]) for p in body.get("Ports") or () if p.get("PublicPort")}
    labels = body.get("Labels") or {}
    return ContainerListing(body["Id"], names[0].lstrip("/"), state, labels, tuple(sorted(published)))


def event_from_engine(body: Mapping[str, Any]) -> DockerEvent:
    """Read one message of the engine's event stream."""
    actor: Mapping[str, Any] = body.get("Actor") or {}
    attributes: Mapping[str, str] = actor.get("Attributes") or {}
    return DockerEvent(
        action=body.get("Action") or "",
        docker_id=actor.get("ID") or "",
        name=attributes.get("name") or "",
        labels=attributes,
        time_ns=int(body.get("timeNano") or 0),
        exit_code=int(attributes["exitCode"]) if "exitCode" in attributes else None,
    )


def image_from_engine(body: Mapping[str, Any], reference: str) -> ImageInspection:
    """Read the engine's answer to an image inspection; the digest is that of ``reference``'s own
    repository.
    """
    wanted = parse_reference(reference)
    digests = [entry.partition("@") for entry in body.get("RepoDigests") or ()]
    own = [digest for name, _, digest in digests if name == wanted.repository]
    # An image has a digest of a repository for each manifest that it came by; a name with one means that one.
    digest = wanted.digest if wanted.digest in own else ""
    names = (*(body.get("RepoTags") or ()), *(body.get("RepoDigests") or ()))
    return ImageInspection(body["Id"], digest or (own or [each for _, _, each in digests] or [""])[0], names)
