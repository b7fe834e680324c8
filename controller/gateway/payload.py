"""From a task and its task definition to the task in a PayloadMessage. Pure functions; an agent needs nothing
else to run the task.

Units change on the way: task-level CPU goes from units to vCPUs, reservations from MiB to bytes, durations to
nanoseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from agent.protocol import acs
from agent.protocol.resources import CPU_UNITS_PER_CPU
from controller.gateway.docker_config import docker_config, has_health_check, host_config
from controller.gateway.overrides import (
    has_overrides,
    overridden_containers,
    overridden_size,
    with_log_mode,
)
from controller.gateway.volumes import payload_volume
from controller.roles.issuing import roles_of
from controller.secrets.references import ecr_registry
from controller.state.entities import DesiredStatus, Document, Task, TaskDefinition
from controller.state.image_pins import pinned_image
from controller.state.names import Names

DEFAULT_NETWORK_MODE = "bridge"
EXECUTION_ENVIRONMENT = {"AWS_EXECUTION_ENV": "AWS_ECS_EC2"}
"""Put in by ECS itself, not by its agent."""

NO_OVERRIDES = "{}"
"""Overrides are merged here already; the ECS agent refuses a task whose override has any member but
`command`."""

_ONE_PORT_SPACE = ("host", "awsvpc")
_SECRETS_MANAGER = ":secretsmanager:"


def task_payload(
    task: Task,
    definition: TaskDefinition,
    names: Names,
    desired_status: DesiredStatus,
    containers: Sequence[acs.Container] = (),
) -> acs.Task:
    """The complete task as an agent shall have it.

    A stop carries the complete task too: an agent that never heard of it then knows what to report.
    `containers` are those of `payload_containers`, for callers who keep them.
    """
    document = definition.document
    cpu = overridden_size(document, task, "cpu")
    return acs.Task(
        arn=names.task(task),
        task_cluster_arn=names.cluster(task.cluster),
        task_definition_account_id=names.account,
        family=task.family,
        version=str(task.revision),
        desired_status=desired_status,
        overrides=NO_OVERRIDES,
        containers=_with_arns(containers or payload_containers(task, definition, names.region), task, names),
        volumes=tuple(payload_volume(volume) for volume in document.get("volumes", ())),
        cpu=None if cpu is None else cpu / CPU_UNITS_PER_CPU,
        memory=overridden_size(document, task, "memory"),
        associations=_gpu_associations(task, document),
        pid_mode=document.get("pidMode"),
        ipc_mode=document.get("ipcMode"),
        network_mode=network_mode(document),
        launch_type=_launch_type(task),
        group=task.group or None,
        service_name=task.service,
    )


def payload_containers(task: Task, definition: TaskDefinition, region: str) -> tuple[acs.Container, ...]:
    """The task's containers, still without ARNs; the same for all tasks of a definition and a log mode that
    override nothing."""
    mode = network_mode(definition.document)
    has_execution_role = "TaskExecution" in roles_of(task, definition.document)
    return tuple(
        _container(with_log_mode(item, task.log_mode), mode, region, has_execution_role=has_execution_role)
        for item in overridden_containers(definition.document, task)
    )


def with_pinned_images(payload: acs.Task, digests: Mapping[str, str]) -> acs.Task:
    """The task with the images that its deployment has settled on; `digests` are by container name."""
    if not digests:
        return payload
    pinned = (
        replace(c, image=pinned_image(c.image or "", c.name or "", digests)) for c in payload.containers
    )
    return replace(payload, containers=tuple(pinned))


def network_mode(document: Document) -> str:
    """The task's network mode; ECS's default on Linux is the bridge."""
    mode: str = document.get("networkMode", DEFAULT_NETWORK_MODE)
    return mode


class Payloads:
    """Translates tasks and keeps the containers of the definitions used last, since tasks of one definition
    differ in ARNs only."""

    MAX_DEFINITIONS = 512

    def __init__(self, names: Names) -> None:
        self._names = names
        self._containers: dict[tuple[str, str], tuple[TaskDefinition, tuple[acs.Container, ...]]] = {}

    def task(self, task: Task, definition: TaskDefinition, desired_status: DesiredStatus) -> acs.Task:
        """The complete task as an agent shall have it."""
        if has_overrides(task):
            return task_payload(task, definition, self._names, desired_status)
        key = definition.key, task.log_mode
        kept = self._containers.pop(key, None)
        if kept is None or kept[0] is not definition:
            kept = definition, payload_containers(task, definition, self._names.region)
        # Re-inserted at the end, so that the first of the map is the one used longest ago.
        self._containers[key] = kept
        if len(self._containers) > self.MAX_DEFINITIONS:
            del self._containers[next(iter(self._containers))]
        return task_payload(task, definition, self._names, desired_status, kept[1])


def _launch_type(task: Task) -> str:
    # FARGATE tasks run on the shared pool and count there like any other, while the ECS agent would exempt
    # them from its books.
    return "EC2" if task.launch_type == "FARGATE" else task.launch_type


def _with_arns(containers: Sequence[acs.Container], task: Task, names: Names) -> tuple[acs.Container, ...]:
    ids = {container.name: container.id for container in task.containers}
    return tuple(
        replace(container, container_arn=names.container(task, ids[container.name]))
        if container.name in ids
        else container
        for container in containers
    )


def _container(container: Document, mode: str, region: str, *, has_execution_role: bool) -> acs.Container:
    return acs.Container(
        name=container["name"],
        image=container["image"],
        command=tuple(container.get("command", ())),
        entry_point=tuple(container["entryPoint"]) if container.get("entryPoint") else None,
        cpu=container.get("cpu", 0),
        memory=container.get("memory", 0),
        environment=_environment(container),
        environment_files=tuple(
            acs.EnvironmentFile(value=file["value"], type=file["type"])
            for file in container.get("environmentFiles", ())
        ),
        essential=container.get("essential", True),
        restart_policy=_restart_policy(container),
        links=tuple(container.get("links", ())),
        overrides=NO_OVERRIDES,
        port_mappings=()
        if mode == "none"
        else tuple(_port(port, mode) for port in container.get("portMappings", ())),
        mount_points=tuple(_mount_point(mount) for mount in container.get("mountPoints", ())),
        volumes_from=tuple(
            acs.VolumeFrom(
                source_container=source["sourceContainer"], read_only=source.get("readOnly", False)
            )
            for source in container.get("volumesFrom", ())
        ),
        docker_config=acs.DockerConfig(
            config=_json(docker_config(container, mode)), host_config=_json(host_config(container, mode))
        ),
        health_check_type="docker" if has_health_check(container) else None,
        logs_auth_strategy=_logs_auth_strategy(container, has_execution_role=has_execution_role),
        registry_authentication=_registry_authentication(
            container, region, has_execution_role=has_execution_role
        ),
        secrets=_secrets(container, region),
        depends_on=tuple(
            acs.ContainerDependency(
                container_name=dependency["containerName"], condition=dependency["condition"]
            )
            for dependency in container.get("dependsOn", ())
        ),
        start_timeout=container.get("startTimeout"),
        stop_timeout=container.get("stopTimeout"),
        firelens_configuration=_firelens(container),
        credential_specs=tuple(container.get("credentialSpecs", ())),
    )


def _environment(container: Document) -> dict[str, str]:
    given = {
        variable["name"]: variable.get("value", "")
        for variable in container.get("environment", ())
        if "name" in variable
    }
    return EXECUTION_ENVIRONMENT | given


def _port(mapping: Document, mode: str) -> acs.PortMapping:
    protocol = str(mapping.get("protocol") or "tcp").lower()
    if "containerPortRange" in mapping:
        return acs.PortMapping(container_port_range=mapping["containerPortRange"], protocol=protocol)
    port = mapping["containerPort"]
    host_port = mapping.get("hostPort", 0) or (port if mode in _ONE_PORT_SPACE else 0)
    return acs.PortMapping(container_port=port, host_port=host_port, protocol=protocol)


def _mount_point(mount: Document) -> acs.MountPoint:
    return acs.MountPoint(
        source_volume=mount.get("sourceVolume"),
        container_path=mount.get("containerPath"),
        read_only=mount.get("readOnly", False),
    )


def _restart_policy(container: Document) -> acs.RestartPolicy | None:
    policy = container.get("restartPolicy")
    if policy is None:
        return None
    return acs.RestartPolicy(
        enabled=policy["enabled"],
        ignored_exit_codes=tuple(policy.get("ignoredExitCodes", ())),
        restart_attempt_period=policy.get("restartAttemptPeriod"),
    )


def _logs_auth_strategy(container: Document, *, has_execution_role: bool) -> str | None:
    """As whom the awslogs driver writes: ECS names the execution role wherever a task has one."""
    driver = container.get("logConfiguration", {}).get("logDriver")
    return "ExecutionRole" if driver == "awslogs" and has_execution_role else None


def _registry_authentication(
    container: Document, region: str, *, has_execution_role: bool
) -> acs.RegistryAuthenticationData | None:
    parameter = container.get("repositoryCredentials", {}).get("credentialsParameter")
    if not parameter:
        return _ecr_authentication(container["image"], has_execution_role=has_execution_role)
    return acs.RegistryAuthenticationData(
        type="asm",
        asm_auth_data=acs.ASMAuthData(credentials_parameter=parameter, region=_region_of(parameter, region)),
    )


def _secrets(container: Document, region: str) -> tuple[acs.Secret, ...]:
    log_secrets = container.get("logConfiguration", {}).get("secretOptions", ())
    of_container = tuple(_secret(secret, "CONTAINER", region) for secret in container.get("secrets", ()))
    return of_container + tuple(_secret(secret, "LOG_DRIVER", region) for secret in log_secrets)


def _secret(secret: Document, target: str, region: str) -> acs.Secret:
    source = secret["valueFrom"]
    return acs.Secret(
        name=secret["name"],
        value_from=source,
        type="ENVIRONMENT_VARIABLE",
        target=target,
        provider="asm" if _SECRETS_MANAGER in source else "ssm",
        region=_region_of(source, region),
    )


def _ecr_authentication(image: str, *, has_execution_role: bool) -> acs.RegistryAuthenticationData | None:
    registry = ecr_registry(image)
    if registry is None:
        return None
    data = acs.ECRAuthData(
        registry_id=registry.id, region=registry.region, use_execution_role=has_execution_role
    )
    return acs.RegistryAuthenticationData(type="ecr", ecr_auth_data=data)


def _region_of(arn_or_name: str, region: str) -> str:
    parts = arn_or_name.split(":")
    return parts[3] if parts[0] == "arn" and len(parts) > 3 and parts[3] else region


def _firelens(container: Document) -> acs.FirelensConfiguration | None:
    firelens = container.get("firelensConfiguration")
    if firelens is None:
        return None
    return acs.FirelensConfiguration(type=firelens["type"], options=dict(firelens.get("options", {})))


def _gpu_associations(task: Task, document: Document) -> tuple[acs.Association, ...]:
    """Which GPU goes to which container: the task's GPUs are dealt out in the order of the containers that
    ask for some."""
    free = list(task.gpu_ids)
    dealt = []
    for container in overridden_containers(document, task):
        for requirement in container.get("resourceRequirements", ()):
            if requirement["type"] == "GPU":
                count = int(requirement["value"]) if requirement["value"].isdigit() else len(free)
                dealt += [(gpu_id, container["name"]) for gpu_id in free[:count]]
                del free[:count]
    return tuple(
        acs.Association(
            name=gpu_id,
            type="gpu",
            content=acs.EncodedString(encoding="base64", value=""),
            containers=(name,),
        )
        for gpu_id, name in dealt
    )


def _json(document: Document) -> str:
    return msgspec.json.encode(document, order="deterministic").decode()
