"""Namespaces that a task's containers share: awsvpc's network, and ``pidMode`` and ``ipcMode`` of ``task``.

An internal container that only sleeps, the pause container, holds them from before the first container until
after the last. It is one more container of the task to the state machine, to crashes and to the tidying up:
every other one depends on its start, so that it is also stopped last. Only the controller never hears of it.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from agent.engine.payload_documents import docker_document
from agent.protocol import acs

PAUSE_NAME = "~internal~ecs~pause"
"""amazon-ecs-agent's name for it."""

Namespace = Literal["network", "pid", "ipc"]

_OF_THE_NETWORK = ("Dns", "DnsSearch", "DnsOptions", "ExtraHosts")
"""What is said in a container's hostConfig and holds for its network namespace."""
_IPC_CONTROLS = ("kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue.")
_NETWORK_CONTROLS = ("net.",)


def shared_namespaces(task: acs.Task) -> frozenset[Namespace]:
    """Which namespaces all containers of the task have in common, and nobody else."""
    shared: set[Namespace] = set()
    if task.network_mode == "awsvpc":
        shared.add("network")
    if task.pid_mode == "task":
        shared.add("pid")
    if task.ipc_mode == "task":
        shared.add("ipc")
    return frozenset(shared)


def has_own_network(task: acs.Task) -> bool:
    """Whether the task has an address of its own, at which all its ports are: none is the host's."""
    return "network" in shared_namespaces(task)


def uses_host_network(task: acs.Task, container: acs.Container) -> bool:
    """Whether the container lives in the host's own network."""
    mode = docker_document(container, "host_config").get("NetworkMode") or task.network_mode
    return mode == "host"


def publishes_ports(task: acs.Task, container: acs.Container) -> bool:
    """Whether the container's ports are reached through ports of the host that the engine forwards."""
    mode = docker_document(container, "host_config").get("NetworkMode") or task.network_mode
    return mode not in ("host", "none", "awsvpc")


def counts_network(task: acs.Task, container: acs.Container) -> bool:
    """Whether the container has interfaces whose counters are its own, or its task's."""
    mode = docker_document(container, "host_config").get("NetworkMode") or task.network_mode
    return mode not in ("host", "none")


def with_pause_container(task: acs.Task, image: str | None) -> acs.Task:
    """The task with the container that holds its namespaces, of ``image``; as it is if it shares none, or if
    there is no image.

    Raises ``InvalidTaskError`` if a ``dockerConfig`` makes no sense.
    """
    shared = shared_namespaces(task)
    if not shared or image is None:
        return task
    # It handles no signal, and the first process of a PID namespace is spared those that it does not handle.
    config: dict[str, Any] = {"StopSignal": "SIGKILL"}
    host: dict[str, Any] = {
        "NetworkMode": "bridge" if "network" in shared else "none",
        "LogConfig": {"Type": "none"},
    }
    if "ipc" in shared:
        host["IpcMode"] = "shareable"
        if size := max(docker_document(c, "host_config").get("ShmSize") or 0 for c in task.containers):
            host["ShmSize"] = size
    for container in task.containers:
        of_container = docker_document(container, "host_config")
        if "network" in shared:
            _gather_lists(host, of_container)
            if hostname := docker_document(container, "config").get("Hostname"):
                config["Hostname"] = hostname
        controls = _controls(of_container, shared)
        if controls:
            host["Sysctls"] = {**host.get("Sysctls", {}), **controls}
    pause = acs.Container(
        name=PAUSE_NAME,
        image=image,
        essential=True,
        docker_config=acs.DockerConfig(config=_json(config), host_config=_json(host)),
    )
    return replace(task, containers=(*task.containers, pause))


def _gather_lists(host: dict[str, Any], of_container: Mapping[str, Any]) -> None:
    for member in _OF_THE_NETWORK:
        if entries := of_container.get(member):
            host[member] = list(dict.fromkeys([*host.get(member, ()), *entries]))


def _controls(of_container: Mapping[str, Any], shared: frozenset[Namespace]) -> dict[str, str]:
    """The system controls of a container that are those of a namespace that it shares."""
    prefixes = (_NETWORK_CONTROLS if "network" in shared else ()) + (_IPC_CONTROLS if "ipc" in shared else ())
    controls: Mapping[str, str] = of_container.get("Sysctls") or {}
    return {name: value for name, value in controls.items() if name.startswith(prefixes)}


def join(task: acs.Task, pause_docker_name: str, body: dict[str, Any]) -> None:
    """Put a container that is about to be created into the namespaces that it shares, and take out of the
    ``body`` of its create call what is said to the pause container instead.
    """
    host_config: dict[str, Any] = body["HostConfig"]
    shared, pause = shared_namespaces(task), f"container:{pause_docker_name}"
    if controls := _controls(host_config, shared):
        kept = {name: value for name, value in host_config["Sysctls"].items() if name not in controls}
        host_config["Sysctls"] = kept
    if "network" in shared:
        for member in (*_OF_THE_NETWORK, "PortBindings", "Links"):
            host_config.pop(member, None)
        body.pop("Hostname", None)
        body.pop("ExposedPorts", None)
        host_config["NetworkMode"] = pause
    if "pid" in shared:
        host_config["PidMode"] = pause
    if "ipc" in shared:
        host_config["IpcMode"] = pause
        host_config.pop("ShmSize", None)


def _json(document: Mapping[str, Any]) -> str:
    return msgspec.json.encode(document).decode()
