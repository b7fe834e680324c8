"""From a task of a payload to the plan that the state machine works on.

What is wrong with the task itself is an ``InvalidTaskError``; what is right but beyond this agent or this
host is a sentence from ``refusals``, with which the task is stopped.
"""

from collections.abc import Callable, Iterator

import msgspec
from msgspec.structs import replace

from agent.engine.firelens import log_options, router_of
from agent.engine.namespaces import PAUSE_NAME, has_own_network, uses_host_network
from agent.engine.ordering import find_cycle
from agent.engine.payload_documents import InvalidTaskError, command_of, docker_document
from agent.engine.ports import ranges_of
from agent.engine.role_credentials import without_secrets
from agent.engine.states import Condition, ContainerPlan, Dependency, PlannedVolume, RestartPlan, TaskPlan
from agent.protocol import acs
from agent.protocol.arn import Arn
from agent.protocol.resources import CPU_UNITS_PER_CPU, ContainerDemand, Resources, task_resources

_CONDITIONS: dict[str, Condition] = {
    "START": "START",
    "COMPLETE": "COMPLETE",
    "SUCCESS": "SUCCESS",
    "HEALTHY": "HEALTHY",
}
_DESIRED = ("NONE", "MANIFEST_PULLED", "CREATED", "RUNNING", "STOPPED", "UNKNOWN", "DEAD")
DEFAULT_RESTART_ATTEMPT_PERIOD_S = 300
"""ECS's."""
_MIB = 1024 * 1024


def plan_task(task: acs.Task, default_stop_timeout: float, token: Callable[[], str]) -> TaskPlan:
    """Check a task and settle everything about it that never changes.

    ``token`` gives twenty hex digits, new ones at every call, for the names of containers and volumes.
    Raises ``InvalidTaskError``.
    """
    arn = _checked_arn(task)
    if (task.desired_status or "RUNNING") not in _DESIRED:
        raise InvalidTaskError(f"unrecognized desired status {task.desired_status!r}")
    names = [container.name or "" for container in task.containers]
    if not all(names) or len(set(names)) != len(names):
        raise InvalidTaskError("containers need names that differ from each other")
    prefix = f"ecs-{task.family or ''}-{task.version or ''}"
    volumes = tuple(_plan_volume(volume, arn, prefix, token) for volume in task.volumes)
    containers = tuple(_plan_container(c, prefix, default_stop_timeout, token) for c in task.containers)
    pairs = zip(task.containers, containers, strict=True)
    containers = tuple(_after_router(task, container, plan) for container, plan in pairs)
    if PAUSE_NAME in names:
        containers = tuple(_after_pause(container) for container in containers)
    plan = TaskPlan(arn=arn, containers=containers, volumes=volumes)
    if find_cycle(plan):
        raise InvalidTaskError(f"Task dependencies cannot be resolved, taskArn: {arn}")
    _check_mounts(task, {volume.name for volume in volumes})
    return plan


def stripped(task: acs.Task) -> acs.Task:
    """The task without its credentials' secrets, which are never written to disk; their ids stay, since the
    containers hold them.
    """
    return msgspec.structs.replace(
        task,
        role_credentials=without_secrets(task.role_credentials),
        execution_role_credentials=without_secrets(task.execution_role_credentials),
    )


def demand(task: acs.Task) -> Resources:
    """What the task takes from the host.

    Raises ``InvalidTaskError`` if a ``hostConfig`` is not JSON.
    """
    containers = tuple(_container_demand(task, container) for container in task.containers)
    cpu = round(task.cpu * CPU_UNITS_PER_CPU) if task.cpu else None
    gpus = frozenset(a.name or "" for a in task.associations if a.type == "gpu" and a.containers)
    return msgspec.structs.replace(task_resources(cpu, task.memory, containers), gpu_ids=gpus)


def _container_demand(task: acs.Task, container: acs.Container) -> ContainerDemand:
    reservation = docker_document(container, "host_config").get("MemoryReservation") or 0
    mappings = () if has_own_network(task) else container.port_mappings
    ports = tuple((mapping.host_port or 0, mapping.protocol or "tcp") for mapping in mappings)
    if uses_host_network(task, container):
        ports += tuple(
            (port, r.protocol) for r in ranges_of(container) for port in range(r.first, r.last + 1)
        )
    gpus = sum(1 for a in task.associations if a.type == "gpu" and container.name in a.containers)
    return ContainerDemand(
        cpu=container.cpu or 0,
        memory=container.memory,
        memory_reservation=reservation // _MIB or None,
        host_ports=ports,
        gpus=gpus,
    )


def _checked_arn(task: acs.Task) -> str:
    try:
        arn = Arn.parse(task.arn or "")
    except ValueError as error:
        raise InvalidTaskError(str(error)) from error
    if "/" not in arn.resource:
        raise InvalidTaskError(f"{task.arn!r} is not the ARN of a task")
    return str(arn)


def _plan_container(
    container: acs.Container, prefix: str, default_stop_timeout: float, token: Callable[[], str]
) -> ContainerPlan:
    name = container.name or ""
    if not container.image:
        raise InvalidTaskError(f"container {name} has no image")
    if (container.cpu or 0) < 0 or (container.memory or 0) < 0:
        raise InvalidTaskError(f"container {name} has a negative cpu or memory")
    for mapping in container.port_mappings:
        if mapping.protocol not in (None, "tcp", "udp"):
            raise InvalidTaskError(f"container {name}: unrecognized transport protocol {mapping.protocol!r}")
    try:
        ranges_of(container)
    except ValueError as error:
        raise InvalidTaskError(f"container {name}: {error}") from error
    command_of(container)
    docker_document(container, "config")
    docker_document(container, "host_config")
    stop_timeout = float(container.stop_timeout or default_stop_timeout)
    return ContainerPlan(
        name=name,
        docker_name=f"{prefix}-{_plain(name)}-{token()}",
        essential=bool(container.essential),
        depends_on=tuple(_dependencies(container)),
        start_timeout=float(container.start_timeout) if container.start_timeout else None,
        stop_timeout=stop_timeout,
        restart=_restart(container),
        health_checked=(container.health_check_type or "").lower() == "docker",
        metadata_id=_random_id(token),
    )


def _random_id(token: Callable[[], str]) -> str:
    """In the form of a UUID, as ECS's are."""
    digits = token() + token()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))


def _after_router(task: acs.Task, container: acs.Container, plan: ContainerPlan) -> ContainerPlan:
    """The container, made after the one that its logs go through and stopped before it."""
    router = router_of(task)
    if router is None or router.name == container.name or log_options(container) is None:
        return plan
    return replace(plan, depends_on=(*plan.depends_on, Dependency(router.name or "", "START")))


def _after_pause(container: ContainerPlan) -> ContainerPlan:
    """The container, made after the one that holds the task's namespaces and stopped before it."""
    if container.name == PAUSE_NAME:
        return replace(container, internal=True)
    return replace(container, depends_on=(*container.depends_on, Dependency(PAUSE_NAME, "START")))


def _restart(container: acs.Container) -> RestartPlan | None:
    policy = container.restart_policy
    if policy is None or not policy.enabled:
        return None
    period = policy.restart_attempt_period or DEFAULT_RESTART_ATTEMPT_PERIOD_S
    return RestartPlan(policy.ignored_exit_codes, float(period))


def _dependencies(container: acs.Container) -> Iterator[Dependency]:
    for declared in container.depends_on:
        condition = _CONDITIONS.get(declared.condition or "")
        if condition is None:
            raise InvalidTaskError(f"container {container.name}: unknown condition {declared.condition!r}")
        yield Dependency(declared.container_name or "", condition)
    for link in container.links:
        yield Dependency(link.partition(":")[0], "START")
    for source in container.volumes_from:
        yield Dependency(source.source_container or "", "CREATE")


def _plain(name: str) -> str:
    return "".join(letter for letter in name if letter == "-" or (letter.isascii() and letter.isalnum()))


def _plan_volume(volume: acs.Volume, arn: str, prefix: str, token: Callable[[], str]) -> PlannedVolume:
    name = volume.name or ""
    if not name:
        raise InvalidTaskError("a volume has no name")
    docker = volume.docker_volume_configuration
    if volume.type == "docker" and docker is not None:
        shared = docker.scope == "shared"
        return PlannedVolume(
            name=name,
            source=name if shared else f"{prefix}-{_plain(name)}-{token()}",
            driver=docker.driver or "local",
            driver_opts=docker.driver_opts or {},
            labels=docker.labels or {},
            create=not shared or bool(docker.autoprovision),
            task_scoped=not shared,
            shared=shared,
        )
    if volume.type in (None, "host") and volume.host is not None:
        if volume.host.source_path:
            return PlannedVolume(name=name, source=volume.host.source_path)
        source = f"{prefix}-{_plain(name)}-{token()}"
        return PlannedVolume(name=name, source=source, driver="local", create=True, task_scoped=True)
    if volume.type in (None, "host", "docker"):
        raise InvalidTaskError(f"volume {name} of {arn} has no configuration for its type")
    return PlannedVolume(name=name, source="")


def _check_mounts(task: acs.Task, volumes: set[str]) -> None:
    for container in task.containers:
        for mount in container.mount_points:
            if mount.source_volume not in volumes:
                raise InvalidTaskError(
                    f"container {container.name} mounts volume {mount.source_volume!r}, which the task lacks"
                )
