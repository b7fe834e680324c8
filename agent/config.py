"""The agent's settings: flags beat environment beat defaults.

Where amazon-ecs-agent has the setting, ours has its ``ECS_*`` name, its syntax and, unless its docstring says
otherwise, its default. An empty variable counts as one that is not set. A bad value ends the start with a
sentence that names the variable, the value and what is accepted.
"""

import argparse
import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, TypeVar

from agent import config_values as values
from agent.config_values import Address
from agent.protocol.signing import Credentials

T = TypeVar("T")

# Names that ECS's API knows; a driver outside it could never be asked for.
LOGGING_DRIVERS = frozenset(
    {
        "awsfirelens",
        "awslogs",
        "fluentd",
        "gelf",
        "journald",
        "json-file",
        "logentries",
        "none",
        "splunk",
        "sumologic",
        "syslog",
    }
)


class ConfigError(Exception):
    """A setting that cannot be used; the message names it, its value and what is accepted."""


def _read(env: str, parse: Callable[[str], Any], flag: str | None = None) -> dict[str, Any]:
    """Where a setting is read from, as the metadata of its field."""
    return {"env": env, "parse": parse, "flag": flag}


def _text(value: str) -> str:
    return value


@dataclasses.dataclass(frozen=True, kw_only=True)
class AgentConfig:
    """What one agent was told. Durations are seconds, memory is MiB."""

    credentials: Credentials
    """``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN``: what signs all calls."""

    data_dir: Path
    """``--data-dir``, ``ECS_DATADIR``, or ``agent`` below ``HOMEPORT_DATA_DIR``: what survives a restart.

    By default ``/var/lib/homeport/agent`` for root and ``~/.local/share/homeport/agent`` for others.
    """

    controller_url: str = field(
        default="http://127.0.0.1:8480",
        metadata=_read("ECS_BACKEND_HOST", values.endpoint, flag="--controller"),
    )
    """The controller's address. The websockets' addresses come from it by DiscoverPollEndpoint."""

    cluster: str = field(default="default", metadata=_read("ECS_CLUSTER", _text, flag="--cluster"))
    """Name or ARN of the cluster to join. ``default`` is created if it does not exist, as ECS does."""

    region: str = field(default="us-east-1", metadata=_read("AWS_DEFAULT_REGION", _text))
    """The region that requests are signed for."""

    availability_zone: str = field(default="", metadata=_read("HOMEPORT_AVAILABILITY_ZONE", _text))
    """Rack, room or site, for placement that spreads over ``ecs.availability-zone``.

    By default region and ``a``.
    """

    instance_type: str = field(default="custom", metadata=_read("HOMEPORT_INSTANCE_TYPE", _text))
    """The attribute ``ecs.instance-type``, for placement constraints on kinds of machines."""

    detailed_os_family: str = field(default="LINUX", metadata=_read("ECS_DETAILED_OS_FAMILY", _text))
    """The attribute ``ecs.os-type-detailed``."""

    instance_attributes: tuple[tuple[str, str], ...] = field(
        default=(), metadata=_read("ECS_INSTANCE_ATTRIBUTES", values.pairs)
    )
    """Custom attributes, sent at the first registration only, so that later edits in the controller stay."""

    container_instance_tags: tuple[tuple[str, str], ...] = field(
        default=(), metadata=_read("ECS_CONTAINER_INSTANCE_TAGS", values.pairs)
    )
    """Tags of the container instance."""

    reserved_memory: int = field(default=0, metadata=_read("ECS_RESERVED_MEMORY", values.whole_number()))
    """MiB withheld from tasks, for everything else that runs on the machine."""

    reserved_ports: tuple[int, ...] = field(
        default=(22, 2375, 2376, 51678, 51679), metadata=_read("ECS_RESERVED_PORTS", values.ports)
    )
    """TCP host ports that no task may have. The agent's own listening ports are added to them."""

    reserved_ports_udp: tuple[int, ...] = field(
        default=(), metadata=_read("ECS_RESERVED_PORTS_UDP", values.ports)
    )
    """UDP host ports that no task may have."""

    dynamic_host_port_range: tuple[int, int] | None = field(
        default=None, metadata=_read("ECS_DYNAMIC_HOST_PORT_RANGE", values.port_range)
    )
    """First and last host port for dynamic ports; None leaves the choice to the container engine."""

    available_logging_drivers: tuple[str, ...] | None = field(
        default=None, metadata=_read("ECS_AVAILABLE_LOGGING_DRIVERS", values.names_out_of(LOGGING_DRIVERS))
    )
    """Log drivers that tasks may use.

    None (not ECS's default) means every one that the engine says it has.
    """

    disable_privileged: bool = field(default=False, metadata=_read("ECS_DISABLE_PRIVILEGED", values.boolean))
    """Do not advertise privileged containers, so that none is placed here."""

    disable_metrics: bool = field(default=False, metadata=_read("ECS_DISABLE_METRICS", values.boolean))
    """Publish no task metrics. Container health is published all the same."""

    disable_docker_health_check: bool = field(
        default=False, metadata=_read("ECS_DISABLE_DOCKER_HEALTH_CHECK", values.boolean)
    )
    """Do not advertise container health checks, so that no task with one is placed here."""

    exclude_ipv6_port_binding: bool = field(
        default=True, metadata=_read("ECS_EXCLUDE_IPV6_PORTBINDING", values.boolean)
    )
    """Leave bindings to ``::`` out of reports: they repeat the IPv4 ones."""

    docker_host: str = field(default="unix:///var/run/docker.sock", metadata=_read("DOCKER_HOST", _text))
    """The container engine's socket."""

    container_create_timeout_s: float = field(
        default=240.0, metadata=_read("ECS_CONTAINER_CREATE_TIMEOUT", values.duration_s(at_least=60))
    )
    """How long the engine may take to create a container, before the task is given up."""

    container_start_timeout_s: float = field(
        default=180.0, metadata=_read("ECS_CONTAINER_START_TIMEOUT", values.duration_s(at_least=45))
    )
    """How long the engine may take to start a container."""

    container_stop_timeout_s: float = field(
        default=30.0, metadata=_read("ECS_CONTAINER_STOP_TIMEOUT", values.duration_s(at_least=1))
    )
    """Time between SIGTERM and SIGKILL for containers that set no ``stopTimeout`` of their own."""

    image_pull_behavior: str = field(
        default="prefer-cached",
        metadata=_read(
            "ECS_IMAGE_PULL_BEHAVIOR", values.one_of("default", "always", "once", "prefer-cached")
        ),
    )
    """When to pull.

    Ours is ``prefer-cached`` (pull unless present): own machines often have no registry at all.
    """

    image_pull_timeout_s: float = field(
        default=7200.0, metadata=_read("ECS_IMAGE_PULL_TIMEOUT", values.duration_s(at_least=1))
    )
    """How long one whole pull may take."""

    image_pull_inactivity_timeout_s: float = field(
        default=60.0, metadata=_read("ECS_IMAGE_PULL_INACTIVITY_TIMEOUT", values.duration_s(at_least=60))
    )
    """How long a pull may go without progress."""

    image_pull_concurrency: int = field(
        default=4, metadata=_read("HOMEPORT_IMAGE_PULL_CONCURRENCY", values.whole_number(at_least=1))
    )
    """Images pulled at the same time; more of them fight for the same disk and line."""

    task_cleanup_wait_s: float = field(
        default=10800.0,
        metadata=_read("ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION", values.duration_s(at_least=0)),
    )
    """How long the containers of a stopped task stay, for logs and inspection."""

    task_cpu_mem_limit: bool | None = field(
        default=None, metadata=_read("ECS_ENABLE_TASK_CPU_MEM_LIMIT", values.boolean)
    )
    """Limit CPU and memory of whole tasks by cgroups.

    None: where the host can do it; true: the agent does not start where it cannot; false: never.
    """

    cgroup_path: Path = field(default=Path("/sys/fs/cgroup"), metadata=_read("ECS_CGROUP_PATH", Path))
    """Where the host's cgroups are mounted."""

    cgroup_cpu_period_s: float = field(
        default=0.1, metadata=_read("ECS_CGROUP_CPU_PERIOD", values.duration_s(at_least=0.008, at_most=0.1))
    )
    """The period in which a task may use its share of CPU time: short ones make for short pauses."""

    metrics_interval_s: float = field(
        default=5.0,
        metadata=_read("ECS_POLLING_METRICS_WAIT_DURATION", values.duration_s(at_least=5, at_most=20)),
    )
    """Time between two samples of a container's use. ECS's default of 10 gives too few for a 20 s report."""

    introspection_address: Address = field(
        default=Address("127.0.0.1", 51678),
        metadata=_read("HOMEPORT_INTROSPECTION_LISTEN", values.address, flag="--introspection"),
    )
    """Where the introspection API listens; loopback only, while ECS's listens to the whole network."""

    credentials_address: Address = field(
        default=Address("127.0.0.1", 51679),
        metadata=_read("HOMEPORT_CREDENTIALS_LISTEN", values.address, flag="--credentials"),
    )
    """Where task metadata and credentials are served."""

    metrics_address: Address = field(
        default=Address("127.0.0.1", 51680),
        metadata=_read("HOMEPORT_METRICS_LISTEN", values.address, flag="--metrics"),
    )
    """Where Prometheus finds the agent's metrics."""

    log_level: str = field(
        default="info",
        metadata=_read(
            "ECS_LOGLEVEL", values.one_of("crit", "error", "warn", "info", "debug"), flag="--log-level"
        ),
    )
    """The least severe level that is logged."""

    log_format: str = field(
        default="text",
        metadata=_read("ECS_LOG_OUTPUT_FORMAT", values.one_of("text", "logfmt", "json"), flag="--log-format"),
    )
    """``json``, or one readable line for each event (``text``; ``logfmt`` is taken as the same)."""


def load(arguments: Sequence[str], environment: Mapping[str, str]) -> AgentConfig:
    """Read the settings from command-line ``arguments`` and ``environment``.

    Raises ``ConfigError``. ``--help`` and unknown flags end the process, as argparse does.
    """
    flags = vars(_parser().parse_args(arguments))
    chosen: dict[str, Any] = {
        "credentials": _credentials(environment),
        "data_dir": _data_dir(flags["data_dir"], environment),
    }
    for setting in dataclasses.fields(AgentConfig):
        if "env" not in setting.metadata:
            continue
        flag, variable = setting.metadata["flag"], setting.metadata["env"]
        text = flags.get(setting.name)
        source = flag if text is not None else variable
        text = environment.get(variable, "") if text is None else text
        if text:
            chosen[setting.name] = _parse(source, text, setting.metadata["parse"])
    config = AgentConfig(**chosen)
    if not config.availability_zone:
        config = dataclasses.replace(config, availability_zone=f"{config.region}a")
    return config


def _parse(source: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise ConfigError(f"{source}={text!r} cannot be used: {error}") from error


def _credentials(environment: Mapping[str, str]) -> Credentials:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        if not environment.get(variable):
            raise ConfigError(
                f"{variable} is not set: the agent needs an access key that the controller knows "
                "(homeport agent-config prints one)"
            )
    return Credentials(
        environment["AWS_ACCESS_KEY_ID"],
        environment["AWS_SECRET_ACCESS_KEY"],
        environment.get("AWS_SESSION_TOKEN") or None,
    )


def _data_dir(flag: str | None, environment: Mapping[str, str]) -> Path:
    if flag:
        return Path(flag)
    if environment.get("ECS_DATADIR"):
        return Path(environment["ECS_DATADIR"])
    if environment.get("HOMEPORT_DATA_DIR"):
        return Path(environment["HOMEPORT_DATA_DIR"]) / "agent"
    if os.geteuid() == 0:
        return Path("/var/lib/homeport/agent")
    return Path.home() / ".local/share/homeport/agent"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m agent",
        description="Runs this machine as a container instance of a Homeport cluster.",
        epilog="The access key comes from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; every other setting "
        "that amazon-ecs-agent has too is taken from the same ECS_* variable.",
        allow_abbrev=False,
    )
    parser.add_argument("--data-dir", metavar="D", help="what survives a restart is kept here")
    described = {
        "controller_url": ("URL", "the controller's address"),
        "cluster": ("NAME", "the cluster to join"),
        "introspection_address": ("H:P", "where the introspection API listens"),
        "credentials_address": ("H:P", "where task metadata and credentials are served"),
        "metrics_address": ("H:P", "where Prometheus finds the agent's metrics"),
        "log_format": ("F", "text or json"),
        "log_level": ("L", "crit, error, warn, info or debug"),
    }
    for setting in dataclasses.fields(AgentConfig):
        if setting.metadata.get("flag"):
            metavar, text = described[setting.name]
            parser.add_argument(
                setting.metadata["flag"],
                dest=setting.name,
                metavar=metavar,
                help=f"{text} ({setting.metadata['env']}; default {setting.default})",
            )
    return parser
