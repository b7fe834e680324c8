"""The attributes and capabilities that this machine registers.

Placement compares them with what a task definition requires, so a capability is listed only if tasks that
need it do run here. Capabilities have a name and no value.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from agent.config import LOGGING_DRIVERS, AgentConfig
from agent.host.machine import Ec2Instance, Machine

LEGACY = "com.amazonaws.ecs.capability."
CAPABILITY = "ecs.capability."

# The Engine API versions that amazon-ecs-agent has attributes for; task definitions never require another.
REMOTE_API_VERSIONS = tuple((1, minor) for minor in range(17, 33) if minor not in (26, 27, 31))
HEALTH_CHECK_API = (1, 24)
TASK_LIMITS_API = (1, 22)
TASK_LIMITS = ("task-cpu-mem-limit", "increased-task-cpu-limit")
TASK_ROLES = ("task-iam-role", "task-iam-role-network-host")
ENGINE_CAPABILITIES = (
    "full-sync",
    "container-ordering",
    "container-restart-policy",
    "docker-plugin.local",
    "env-files.s3",
    "execution-role-ecr-pull",
    "firelens.fluentbit",
    "firelens.fluentd",
    "firelens.non-root-user",
    "firelens.options.config.file",
    "logging-driver.awsfirelens.log-driver-buffer-limit",
    "network.container-port-range",
    "private-registry-authentication.secretsmanager",
    "secrets.asm.bootstrap.log-driver",
    "secrets.asm.environment-variables",
    "secrets.ssm.bootstrap.log-driver",
    "secrets.ssm.environment-variables",
)
"""What every version of our engine does, whatever the container engine below it."""
SHARED_NAMESPACES = ("pid-ipc-namespace-sharing", "task-eni")
# The Engine API's own driver for no logs at all, which it does not list.
_NO_LOGS = "none"


class Attribute(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A name, and a value where it is not a mere capability."""

    name: str
    value: str | None = None


class EngineFacts(msgspec.Struct, frozen=True, gc=False):
    """What the container engine says about itself."""

    version: str | None = None
    api_version: tuple[int, int] = (0, 0)
    logging_drivers: tuple[str, ...] = ()
    volume_plugins: tuple[str, ...] = ()
    security_options: tuple[str, ...] = ()
    """Such as ``name=apparmor``."""
    task_limits: bool = False
    """Our engine bounds CPU and memory of whole tasks on this host."""
    task_roles: bool = False
    """Containers reach the agent, which gives them the credentials of their task's role."""
    shared_namespaces: bool = False
    """Containers of a task can share namespaces of their own: its network (awsvpc), processes, IPC."""


def engine_facts(
    info: Mapping[str, Any],
    version: Mapping[str, Any],
    *,
    task_limits: bool = False,
    task_roles: bool = False,
    shared_namespaces: bool = False,
) -> EngineFacts:
    """Read the answers of the Engine API's ``/info`` and ``/version``; what is missing in them counts as
    nothing.
    """
    plugins = info.get("Plugins") or {}
    return EngineFacts(
        version=version.get("Version") or None,
        api_version=_api_version(version.get("ApiVersion") or ""),
        logging_drivers=tuple(plugins.get("Log") or ()),
        volume_plugins=tuple(plugins.get("Volume") or ()),
        security_options=tuple(info.get("SecurityOptions") or ()),
        task_limits=task_limits,
        task_roles=task_roles,
        shared_namespaces=shared_namespaces,
    )


def _api_version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


def built_in_attributes(
    config: AgentConfig,
    machine: Machine,
    engine: EngineFacts,
    capabilities: Iterable[str] = ENGINE_CAPABILITIES,
    ec2: Ec2Instance | None = None,
) -> tuple[Attribute, ...]:
    """Every attribute that is sent with each registration, in ECS's names.

    ``capabilities`` are names below ``ecs.capability.`` that the task engine implements. Custom attributes of
    ``ECS_INSTANCE_ATTRIBUTES`` are not among the result: they go with the first registration only.
    """
    names = [f"{CAPABILITY}{name}" for name in capabilities]
    names.append(f"{LEGACY}ecr-auth")
    if engine.task_limits and engine.api_version >= TASK_LIMITS_API:
        names += [f"{CAPABILITY}{name}" for name in TASK_LIMITS]
    if engine.shared_namespaces:
        names += [f"{CAPABILITY}{name}" for name in SHARED_NAMESPACES]
    if engine.task_roles:
        names += [f"{LEGACY}{name}" for name in TASK_ROLES]
        if config.awslogs_execution_role:
            names.append(f"{CAPABILITY}execution-role-awslogs")
    names += [f"{CAPABILITY}docker-plugin.{plugin.replace(':', '.')}" for plugin in engine.volume_plugins]
    if not config.disable_privileged:
        names.append(f"{LEGACY}privileged-container")
    names += [
        f"{LEGACY}docker-remote-api.{major}.{minor}"
        for major, minor in REMOTE_API_VERSIONS
        if (major, minor) <= engine.api_version
    ]
    names += [f"{LEGACY}{name}" for name in ("apparmor", "selinux") if _offers(engine, name)]
    names += [f"{LEGACY}logging-driver.{driver}" for driver in logging_drivers(config, engine)]
    if engine.api_version >= HEALTH_CHECK_API and not config.disable_docker_health_check:
        names.append(f"{CAPABILITY}container-health-check")
    values = {
        "ecs.availability-zone": config.availability_zone,
        "ecs.instance-type": config.instance_type,
        "ecs.os-type": "linux",
        "ecs.os-family": "LINUX",
        "ecs.os-type-detailed": config.detailed_os_family,
        "ecs.cpu-architecture": machine.architecture,
    }
    if ec2 is not None and ec2.image_id:
        values["ecs.ami-id"] = ec2.image_id
    if config.external:
        names.append(f"{CAPABILITY}external")
    capabilities_once = (Attribute(name) for name in dict.fromkeys(names))
    return (*capabilities_once, *(Attribute(name, value) for name, value in values.items()))


def _offers(engine: EngineFacts, security_option: str) -> bool:
    return any(option.split(",")[0] == f"name={security_option}" for option in engine.security_options)


def logging_drivers(config: AgentConfig, engine: EngineFacts) -> tuple[str, ...]:
    """The log drivers that tasks may use: those of the setting, else those of the engine that ECS has a
    name for.
    """
    if config.available_logging_drivers is not None:
        return config.available_logging_drivers
    # An awslogs driver without credentials for CloudWatch fails every container that asks for it.
    offered = LOGGING_DRIVERS & {*engine.logging_drivers, _NO_LOGS} - {"awslogs"}
    if "fluentd" in offered and config.docker_host.startswith("unix://"):
        offered |= {"awsfirelens"}
    return tuple(sorted(offered))
