"""The body of a create call: what the definition says, then ``dockerConfig`` decoded over it, then what is
forced.

Pure. Units: a payload's memory is MiB and its CPU is shares; the engine takes bytes and shares.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.engine.errors import DockerClientConfigError, EngineError, HostConfigError
from agent.engine.gpu_requests import device_requests, gpu_environment
from agent.engine.namespaces import PAUSE_NAME, join, shared_namespaces
from agent.engine.payload_documents import InvalidTaskError, command_of, docker_document
from agent.engine.ports import PortRange, container_ports, port_bindings, port_key
from agent.engine.share_labels import share_labels
from agent.engine.states import TaskPlan
from agent.protocol import acs
from agent.protocol.arn import Arn, last_segment

TASK_ARN_LABEL = "com.amazonaws.ecs.task-arn"
CONTAINER_NAME_LABEL = "com.amazonaws.ecs.container-name"
FAMILY_LABEL = "com.amazonaws.ecs.task-definition-family"
VERSION_LABEL = "com.amazonaws.ecs.task-definition-version"
CLUSTER_LABEL = "com.amazonaws.ecs.cluster"
OWNER_LABEL = "homeport.agent"
"""Which agent made the container: several of them can share one engine."""
ESSENTIAL_LABEL = "homeport.essential"
METADATA_ID_LABEL = "homeport.metadata-id"
"""The id that the container asks for its metadata with; its environment holds it for as long as it lives."""

_MIB = 1024 * 1024
_LOG_BUFFER = "10m"
_LEAST_MEMORY = 4 * _MIB
_LEAST_SHARES, _MOST_SHARES = 2, 262144


def create_body(
    task: acs.Task,
    plan: TaskPlan,
    container: acs.Container,
    owner: str,
    dynamic_ports: tuple[int, int] | None,
    cgroup_parent: str | None = None,
    host_ranges: Mapping[PortRange, int] = {},
) -> dict[str, Any]:
    """What to post to create ``container``.

    ``dynamic_ports`` bounds the host ports that the engine may choose; None leaves them to the kernel's own
    range. ``cgroup_parent`` is the task's cgroup, if it has one. ``host_ranges`` says where on the host
    each range of container ports begins. Raises ``DockerClientConfigError`` or ``HostConfigError`` for a part
    that makes no sense.
    """
    host_config = _host_config(task, plan, container, port_bindings(container, dynamic_ports, host_ranges))
    if cgroup_parent is not None:
        host_config["CgroupParent"] = cgroup_parent
    body: dict[str, Any] = {"Image": container.image}
    if command_of(container):
        body["Cmd"] = list(command_of(container))
    if container.entry_point is not None:
        body["Entrypoint"] = list(container.entry_point)
    body["ExposedPorts"] = {port_key(*port): {} for port in container_ports(container)}
    body["Env"] = [f"{key}={value}" for key, value in (container.environment or {}).items()]
    _decode_over(body, _document(container, "config", DockerClientConfigError))
    if (container.health_check_type or "").lower() == "docker" and not body.get("Healthcheck"):
        raise DockerClientConfigError(
            f"container {container.name} has healthCheckType docker but no Healthcheck"
        )
    added = (*_region(task, body.get("Env") or ()), *gpu_environment(task, container))
    body["Env"] = [*(body.get("Env") or ()), *added]
    body["Labels"] = {**(body.get("Labels") or {}), **_labels(task, plan, container, owner)}
    body["HostConfig"] = host_config
    if shared_namespaces(task) and container.name != PAUSE_NAME:
        join(task, _docker_name(plan, PAUSE_NAME), body)
    return body


def _decode_over(base: dict[str, Any], document: Mapping[str, Any]) -> None:
    """What decoding JSON over a filled record does: maps are merged, everything else is replaced, null is
    skipped.
    """
    for key, value in document.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _decode_over(base[key], value)
        elif value is not None:
            base[key] = value


def _document(container: acs.Container, which: str, error: type[EngineError]) -> Mapping[str, Any]:
    try:
        return docker_document(container, which)
    except InvalidTaskError as invalid:
        raise error(str(invalid)) from invalid


def _labels(task: acs.Task, plan: TaskPlan, container: acs.Container, owner: str) -> dict[str, str]:
    return {
        TASK_ARN_LABEL: task.arn or "",
        CONTAINER_NAME_LABEL: container.name or "",
        FAMILY_LABEL: task.family or "",
        VERSION_LABEL: task.version or "",
        CLUSTER_LABEL: last_segment(task.task_cluster_arn or ""),
        OWNER_LABEL: owner,
        **share_labels(task, container),
        ESSENTIAL_LABEL: str(plan.containers[plan.index(container.name or "")].essential).lower(),
    }


def _region(task: acs.Task, environment: Sequence[str]) -> list[str]:
    """The task's region, unless the definition speaks of a region itself."""
    if any(entry.startswith(("AWS_REGION=", "AWS_DEFAULT_REGION=")) for entry in environment):
        return []
    region = Arn.parse(task.arn or "").region
    return [f"AWS_REGION={region}", f"AWS_DEFAULT_REGION={region}"] if region else []


def _host_config(
    task: acs.Task, plan: TaskPlan, container: acs.Container, bindings: dict[str, list[dict[str, str]]]
) -> dict[str, Any]:
    config: dict[str, Any] = {
        "Binds": [_bind(plan, mount) for mount in container.mount_points],
        "Links": [_link(plan, link) for link in container.links],
        "VolumesFrom": [_volume_from(plan, source) for source in container.volumes_from],
        "PortBindings": bindings,
        "CpuShares": min(max(container.cpu or 0, _LEAST_SHARES), _MOST_SHARES),
    }
    if container.memory:
        config["Memory"] = max(container.memory * _MIB, _LEAST_MEMORY)
    if requests := device_requests(task, container):
        config["DeviceRequests"] = requests
    _decode_over(config, _document(container, "host_config", HostConfigError))
    _complete_log_options(config)
    if task.network_mode and not config.get("NetworkMode"):
        config["NetworkMode"] = task.network_mode
    if config.get("NetworkMode") in ("host", "none"):
        config["PortBindings"] = {}
    if container.name == PAUSE_NAME:
        return config
    if task.pid_mode == "host":
        config["PidMode"] = "host"
    if task.ipc_mode in ("host", "none"):
        config["IpcMode"] = task.ipc_mode
    return config


def _complete_log_options(host_config: dict[str, Any]) -> None:
    """A driver that does not block gets ECS's size of buffer, unless the definition says another."""
    log_config = host_config.get("LogConfig") or {}
    options = log_config.get("Config") or {}
    if options.get("mode") == "non-blocking" and "max-buffer-size" not in options:
        buffered = {**options, "max-buffer-size": _LOG_BUFFER}
        host_config["LogConfig"] = {**log_config, "Config": buffered}


def _docker_name(plan: TaskPlan, name: str) -> str:
    try:
        return plan.containers[plan.index(name)].docker_name
    except KeyError:
        raise HostConfigError(f"the task has no container {name}") from None


def _link(plan: TaskPlan, link: str) -> str:
    name, _, alias = link.partition(":")
    return f"{_docker_name(plan, name)}:{alias or name}"


def _volume_from(plan: TaskPlan, source: acs.VolumeFrom) -> str:
    return _docker_name(plan, source.source_container or "") + (":ro" if source.read_only else "")


def _bind(plan: TaskPlan, mount: acs.MountPoint) -> str:
    for volume in plan.volumes:
        if volume.name == mount.source_volume:
            return f"{volume.source}:{mount.container_path}" + (":ro" if mount.read_only else "")
    raise HostConfigError(f"the task has no volume {mount.source_volume}")
