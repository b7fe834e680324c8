"""The agent's settings: flags beat environment beat the settings file beat defaults.

Where amazon-ecs-agent has the setting, ours has its ``ECS_*`` name, its syntax and, unless its docstring says
otherwise, its default. An empty variable counts as one that is not set. A bad value ends the start with a
sentence that names the variable, the value and what is accepted.
"""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from agent import config_file
from agent import config_values as values
from agent.config_endpoints import EndpointSettings
from agent.config_fields import setting
from agent.config_file import ConfigFile
from agent.config_flags import parser
from agent.config_host import HostSettings
from agent.config_storage import StorageSettings
from agent.config_values import Address
from agent.engine.registry_credentials import StaticCredentials
from agent.membership import Membership, MembershipError, MembershipFile
from agent.protocol.arn import last_segment
from agent.protocol.joining import JoinToken, parse_token
from agent.protocol.signing import Credentials
from agent.protocol.trust import parse_fingerprint

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

MOST_PROCESSES = 4_194_304
"""What the kernel of Linux can count."""


class ConfigError(Exception):
    """A setting that cannot be used; the message names it, its value and what is accepted."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AgentConfig(HostSettings, StorageSettings, EndpointSettings):
    """What one agent was told. Durations are seconds, memory is MiB."""

    credentials: Credentials | None
    """``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_SESSION_TOKEN``: what signs all calls.

    None where this machine joins with a token, or has.
    """

    data_dir: Path
    """``--data-dir``, ``ECS_DATADIR``, or ``agent`` below ``HOMEPORT_DATA_DIR``: what survives a restart.

    By default ``/var/lib/homeport/agent`` for root and ``~/.local/share/homeport/agent`` for others.
    """

    given: frozenset[str] = frozenset()
    """The names of the settings that somebody chose; the others may give way to what the machine says."""

    controller_url: str = setting(
        "http://127.0.0.1:8480", "ECS_BACKEND_HOST", values.endpoint, flag="--controller"
    )
    """The controller's address. The websockets' addresses come from it by DiscoverPollEndpoint."""

    ca_file: Path | None = setting(None, "HOMEPORT_CA_FILE", Path, flag="--ca-file")
    """File with certificates of the authorities that vouch for the controller, instead of the system's."""

    authority_fingerprint: str = setting("", "HOMEPORT_AUTHORITY_FINGERPRINT", parse_fingerprint)
    """SHA-256 of the certificate of the controller's authority, by which the agent knows it at the first
    contact. It keeps the certificate then, and learns of the authorities that follow.
    """

    cluster: str = setting("default", "ECS_CLUSTER", str, flag="--cluster")
    """Name or ARN of the cluster to join. ``default`` is created if it does not exist, as ECS does."""

    join_token: JoinToken | None = setting(
        None, "HOMEPORT_JOIN_TOKEN", parse_token, flag="--token", secret=True
    )
    """Join with what ``homeport token create`` printed: it says where the controller is, which cluster to
    join, and is exchanged, once, for credentials of this container instance, which are kept.
    """

    region: str = setting("us-east-1", "AWS_DEFAULT_REGION", str)
    """The region that requests are signed for."""

    drain_on_exit_s: float = setting(
        0.0, "HOMEPORT_DRAIN_ON_EXIT", values.duration_s(), flag="--drain-on-exit"
    )
    """On SIGTERM drain first, and wait so long for the tasks to end; then end, and be active on the return.

    A second signal ends the waiting; whatever supervises the agent must allow for it (``TimeoutStopSec`` of
    systemd). By default containers go on while the agent is away.
    """

    dynamic_host_port_range: tuple[int, int] | None = setting(
        None, "ECS_DYNAMIC_HOST_PORT_RANGE", values.port_range
    )
    """First and last host port for dynamic ports; None leaves the choice to the container engine."""

    available_logging_drivers: tuple[str, ...] | None = setting(
        None, "ECS_AVAILABLE_LOGGING_DRIVERS", values.names_out_of(LOGGING_DRIVERS)
    )
    """Log drivers that tasks may use.

    None (not ECS's default) means every one that the engine says it has.
    """

    disable_privileged: bool = setting(False, "ECS_DISABLE_PRIVILEGED", values.boolean)
    """Do not advertise privileged containers, so that none is placed here."""

    disable_metrics: bool = setting(False, "ECS_DISABLE_METRICS", values.boolean)
    """Publish no task metrics. Container health is published all the same."""

    awslogs_execution_role: bool = setting(False, "ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE", values.boolean)
    """Have the awslogs driver write as the task's execution role, which must be one of AWS, where the engine
    can reach the agent at the tasks' address."""

    firelens_async: bool = setting(True, "ECS_ENABLE_FIRELENS_ASYNC", values.boolean)
    """Start containers whose logs go to a log router whether it answers yet or not."""

    disable_docker_health_check: bool = setting(False, "ECS_DISABLE_DOCKER_HEALTH_CHECK", values.boolean)
    """Do not advertise container health checks, so that no task with one is placed here."""

    exclude_ipv6_port_binding: bool = setting(True, "ECS_EXCLUDE_IPV6_PORTBINDING", values.boolean)
    """Leave bindings to ``::`` out of reports: they repeat the IPv4 ones."""

    docker_host: str = setting("unix:///var/run/docker.sock", "DOCKER_HOST", str)
    """The container engine's socket."""

    container_create_timeout_s: float = setting(
        240.0, "ECS_CONTAINER_CREATE_TIMEOUT", values.duration_s(at_least=60)
    )
    """How long the engine may take to create a container, before the task is given up."""

    container_start_timeout_s: float = setting(
        180.0, "ECS_CONTAINER_START_TIMEOUT", values.duration_s(at_least=45)
    )
    """How long the engine may take to start a container."""

    container_stop_timeout_s: float = setting(
        30.0, "ECS_CONTAINER_STOP_TIMEOUT", values.duration_s(at_least=1)
    )
    """Time between SIGTERM and SIGKILL for containers that set no ``stopTimeout`` of their own."""

    image_pull_behavior: str = setting(
        "prefer-cached",
        "ECS_IMAGE_PULL_BEHAVIOR",
        values.one_of("default", "always", "once", "prefer-cached"),
    )
    """When to pull.

    Ours is ``prefer-cached`` (pull unless present): own machines often have no registry at all.
    """

    image_pull_timeout_s: float = setting(7200.0, "ECS_IMAGE_PULL_TIMEOUT", values.duration_s(at_least=1))
    """How long one whole pull may take."""

    image_pull_inactivity_timeout_s: float = setting(
        60.0, "ECS_IMAGE_PULL_INACTIVITY_TIMEOUT", values.duration_s(at_least=60)
    )
    """How long a pull may go without progress."""

    image_pull_concurrency: int = setting(
        4, "HOMEPORT_IMAGE_PULL_CONCURRENCY", values.whole_number(at_least=1)
    )
    """Images pulled at the same time; more of them fight for the same disk and line."""

    task_cleanup_wait_s: float = setting(
        10800.0, "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION", values.duration_s(at_least=0)
    )
    """How long the containers of a stopped task stay, for logs and inspection."""

    task_cleanup_jitter_s: float = setting(
        0.0, "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION_JITTER", values.duration_s()
    )
    """How much longer they may stay, by chance: those that ended together are then not removed together."""

    gpu_support: bool | None = setting(None, "ECS_ENABLE_GPU_SUPPORT", values.boolean)
    """Give tasks the machine's NVIDIA GPUs. None (not ECS's default): if it has any."""

    host_wait_s: float = setting(60.0, "HOMEPORT_HOST_WAIT", values.duration_s(at_least=0))
    """How long a task waits for host ports and memory that others than this agent's tasks hold, before it is
    stopped with the reason.
    """

    count_memory_in_use: bool = setting(True, "HOMEPORT_COUNT_MEMORY_IN_USE", values.boolean)
    """Let no task in for which the machine has no memory available, whoever uses it.

    Off: only what tasks reserve counts, as with amazon-ecs-agent.
    """

    task_cpu_mem_limit: bool | None = setting(None, "ECS_ENABLE_TASK_CPU_MEM_LIMIT", values.boolean)
    """Limit CPU and memory of whole tasks by cgroups.

    None: where the host can do it; true: the agent does not start where it cannot; false: never.
    """

    cgroup_path: Path = setting(Path("/sys/fs/cgroup"), "ECS_CGROUP_PATH", Path)
    """Where the host's cgroups are mounted."""

    cgroup_cpu_period_s: float = setting(
        0.1, "ECS_CGROUP_CPU_PERIOD", values.duration_s(at_least=0.008, at_most=0.1)
    )
    """The period in which a task may use its share of CPU time: short ones make for short pauses."""

    task_pids_limit: int | None = setting(
        None, "ECS_TASK_PIDS_LIMIT", values.whole_number(at_least=1, at_most=MOST_PROCESSES)
    )
    """How many processes and threads all containers of a task together may have; None sets no limit."""

    metrics_interval_s: float = setting(
        5.0, "ECS_POLLING_METRICS_WAIT_DURATION", values.duration_s(at_least=5, at_most=20)
    )
    """Time between two samples of a container's use. ECS's default of 10 gives too few for a 20 s report."""

    introspection_address: Address = setting(
        Address("127.0.0.1", 51678), "HOMEPORT_INTROSPECTION_LISTEN", values.address, flag="--introspection"
    )
    """Where the introspection API listens; loopback only, while ECS's listens to the whole network."""

    credentials_address: Address = setting(
        Address("127.0.0.1", 51679), "HOMEPORT_CREDENTIALS_LISTEN", values.address, flag="--credentials"
    )
    """Where task metadata and credentials are served."""

    metrics_address: Address = setting(
        Address("127.0.0.1", 51680), "HOMEPORT_METRICS_LISTEN", values.address, flag="--metrics"
    )
    """Where Prometheus finds the agent's metrics."""

    log_level: str = setting(
        "info", "ECS_LOGLEVEL", values.one_of("crit", "error", "warn", "info", "debug"), flag="--log-level"
    )
    """The least severe level that is logged."""

    log_format: str = setting(
        "text", "ECS_LOG_OUTPUT_FORMAT", values.one_of("text", "logfmt", "json"), flag="--log-format"
    )
    """``json``, or one readable line for each event (``text``; ``logfmt`` is taken as the same)."""


def load(arguments: Sequence[str], environment: Mapping[str, str]) -> AgentConfig:
    """Read the settings from command-line ``arguments``, ``environment`` and the settings file.

    Raises ``ConfigError``. ``--help``, ``--settings`` and unknown flags end the process, as argparse does.
    """
    settings = [each for each in dataclasses.fields(AgentConfig) if "env" in each.metadata]
    flags = vars(parser(settings, _listing).parse_args(arguments))
    file = _file(flags["config"], environment)
    chosen: dict[str, Any] = {}
    for each in settings:
        flag, variable = each.metadata["flag"], each.metadata["env"]
        if text := flags.get(each.name):
            source = flag
        elif text := environment.get(variable):
            source = variable
        elif found := file.get(variable):
            source, text = found
        else:
            continue
        chosen[each.name] = _parse(source, text, each.metadata["parse"], secret=not each.repr)
    data_dir = _data_dir(flags["data_dir"], environment, file)
    invited = _invitation(chosen.get("join_token"), data_dir, environment)
    if invited is not None:
        _accept(invited, chosen)
    config = AgentConfig(
        credentials=None if invited else _credentials(environment),
        data_dir=data_dir,
        given=frozenset(chosen),
        **chosen,
    )
    _check_registry_credentials(config)
    if not config.availability_zone:
        config = dataclasses.replace(config, availability_zone=f"{config.region}a")
    return config


def _check_registry_credentials(config: AgentConfig) -> None:
    try:
        StaticCredentials.parse(config.engine_auth_type, config.engine_auth_data)
    except ValueError as error:
        raise ConfigError(str(error)) from None  # the cause may hold a password


def _listing() -> str:
    from agent.config_listing import listing  # reading the source costs a running agent memory for nothing

    return listing(AgentConfig)


def variables() -> frozenset[str]:
    """The names of all variables that mean something to the agent."""
    read = (each.metadata.get("env") for each in dataclasses.fields(AgentConfig))
    return frozenset({name for name in read if name} | {"ECS_DATADIR", config_file.VARIABLE})


def _file(flag: str | None, environment: Mapping[str, str]) -> ConfigFile:
    try:
        return config_file.read(flag or environment.get(config_file.VARIABLE), variables())
    except config_file.ConfigFileError as error:
        raise ConfigError(str(error)) from error


def _invitation(
    token: JoinToken | None, data_dir: Path, environment: Mapping[str, str]
) -> JoinToken | Membership | None:
    """By what this machine is a member of a cluster: a token, what an earlier one gave, or nothing."""
    if token is not None:
        return token
    if environment.get("AWS_ACCESS_KEY_ID"):
        return None
    try:
        return MembershipFile.load(data_dir).membership
    except MembershipError as error:
        raise ConfigError(str(error)) from error


def _accept(invited: JoinToken | Membership, chosen: dict[str, Any]) -> None:
    """Take the controller, the cluster and the region from what they were given for."""
    cluster = chosen.setdefault("cluster", invited.cluster)
    if last_segment(cluster) != invited.cluster:
        raise ConfigError(
            f"cluster {cluster!r} is not the one to join: the token, or the one that this machine joined "
            f"with, is for {invited.cluster!r}; "
            "leave the cluster out, or take another token and another data directory"
        )
    chosen.setdefault("controller_url", invited.url)
    chosen.setdefault("region", invited.region)
    if invited.fingerprint:
        chosen.setdefault("authority_fingerprint", invited.fingerprint)


def _parse(source: str, text: str, parse: Callable[[str], T], *, secret: bool = False) -> T:
    try:
        return parse(text)
    except ValueError as error:
        if secret:
            raise ConfigError(f"{source} cannot be used: {error}") from None
        raise ConfigError(f"{source}={text!r} cannot be used: {error}") from error


def _credentials(environment: Mapping[str, str]) -> Credentials:
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        if not environment.get(variable):
            raise ConfigError(
                f"{variable} is not set: the agent needs an access key that the controller knows "
                "(homeport agent-config prints one), or a join token (homeport token create)"
            )
    return Credentials(
        environment["AWS_ACCESS_KEY_ID"],
        environment["AWS_SECRET_ACCESS_KEY"],
        environment.get("AWS_SESSION_TOKEN") or None,
    )


def _data_dir(flag: str | None, environment: Mapping[str, str], file: ConfigFile) -> Path:
    in_file = file.get("ECS_DATADIR")
    if told := flag or environment.get("ECS_DATADIR") or (in_file and in_file[1]):
        return Path(told)
    if environment.get("HOMEPORT_DATA_DIR"):
        return Path(environment["HOMEPORT_DATA_DIR"]) / "agent"
    if os.geteuid() == 0:
        return Path("/var/lib/homeport/agent")
    return Path.home() / ".local/share/homeport/agent"
