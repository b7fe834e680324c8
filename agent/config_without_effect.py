"""The settings of amazon-ecs-agent that mean nothing to ours, each with the reason.

None of them is an error: an ``ecs.config`` that was written for amazon-ecs-agent can be taken over as it is.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

_WINDOWS = "it concerns Windows"
_GMSA = "group managed service accounts are not supported"
_ENI = "a task's network needs no elastic network interface here"
_LOG_FILE = "the log goes to standard error, for the journal or the container engine to keep"
_NOT_OURS = "containers and images that the agent did not bring are never removed"
_BY_THE_ENGINE = "what the container engine says of itself is taken"

WITHOUT_EFFECT = {
    "CREDENTIALS_FETCHER_HOST": _GMSA,
    "CREDENTIALS_FETCHER_HOST_DIR": _GMSA,
    "CREDENTIALS_FETCHER_SECRET_NAME_FOR_DOMAINLESS_GMSA": _GMSA,
    "ECS_AGENT_APPARMOR_PROFILE": "the agent is started by its own unit, not by ecs-init",
    "ECS_AGENT_HEALTHCHECK_HOST": "any HTTP client can ask the introspection API",
    "ECS_AGENT_LABELS": "the agent is started by its own unit, not by ecs-init",
    "ECS_AGENT_PID_NAMESPACE_HOST": "the agent is started by its own unit, not by ecs-init",
    "ECS_AGENT_RUN_PRIVILEGED": "the agent is started by its own unit, not by ecs-init",
    "ECS_ALLOW_OFFHOST_INTROSPECTION_ACCESS": "HOMEPORT_INTROSPECTION_LISTEN chooses the address",
    "ECS_ALTERNATE_CREDENTIAL_PROFILE": "the access key comes from the environment",
    "ECS_APPARMOR_CAPABLE": _BY_THE_ENGINE,
    "ECS_AUDIT_LOGFILE": "who asks for credentials is in the agent's own log",
    "ECS_AUDIT_LOGFILE_DISABLED": "who asks for credentials is in the agent's own log",
    "ECS_AWSVPC_ADDITIONAL_LOCAL_ROUTES": _ENI,
    "ECS_AWSVPC_BLOCK_IMDS": "tasks reach the instance's metadata unless the machine's firewall forbids it",
    "ECS_CHECKPOINT": "tasks are always kept on disk",
    "ECS_CNI_PLUGINS_PATH": _ENI,
    "ECS_DOMAIN_JOINED_LINUX_INSTANCE": _GMSA,
    "ECS_EBSTA_SUPPORTED": "EBS volumes cannot be attached to tasks",
    "ECS_ENABLE_CONTAINER_METADATA": "containers ask the metadata endpoint, there is no file",
    "ECS_ENABLE_CPU_UNBOUNDED_WINDOWS_WORKAROUND": _WINDOWS,
    "ECS_ENABLE_HIGH_DENSITY_ENI": _ENI,
    "ECS_ENABLE_INF_SUPPORT": "Inferentia is not supported",
    "ECS_ENABLE_MEMORY_UNBOUNDED_WINDOWS_WORKAROUND": _WINDOWS,
    "ECS_ENABLE_PROMETHEUS_METRICS": "metrics are always served; HOMEPORT_METRICS_LISTEN chooses the address",
    "ECS_ENABLE_RUNTIME_STATS": "it profiles programs in Go",
    "ECS_ENABLE_TASK_ENI": _ENI,
    "ECS_ENABLE_TASK_IAM_ROLE": "tasks have roles where HOMEPORT_TASK_ADDRESS lets them reach the agent",
    "ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST": "tasks have their roles in the host's network, too",
    "ECS_ENABLE_UNTRACKED_IMAGE_CLEANUP": _NOT_OURS,
    "ECS_FSX_WINDOWS_FILE_SERVER_SUPPORTED": _WINDOWS,
    "ECS_GMSA_SUPPORTED": _GMSA,
    "ECS_HOST_DATA_DIR": "the agent and the container engine see the same files",
    "ECS_INSTANCE_IP_COMPATIBILITY": "addresses are taken as the container engine gives them",
    "ECS_LOGFILE": _LOG_FILE,
    "ECS_LOGLEVEL_ON_INSTANCE": _LOG_FILE,
    "ECS_LOG_DRIVER": _LOG_FILE,
    "ECS_LOG_MAX_FILE_SIZE_MB": _LOG_FILE,
    "ECS_LOG_MAX_ROLL_COUNT": _LOG_FILE,
    "ECS_LOG_OPTS": _LOG_FILE,
    "ECS_LOG_ROLLOVER_TYPE": _LOG_FILE,
    "ECS_MANIFEST_PULL_TIMEOUT": "an image's digest is learnt from its pull, whose limits hold",
    "ECS_NVIDIA_RUNTIME": "the container engine is asked for GPUs as devices",
    "ECS_OFFHOST_INTROSPECTION_INTERFACE_NAME": "HOMEPORT_INTROSPECTION_LISTEN chooses the address",
    "ECS_PAUSE_LABELS": "pause containers carry the labels of their task",
    "ECS_POLL_METRICS": "samples are always taken by polling",
    "ECS_PROPAGATE_TASK_MEMORY_LIMIT_CGROUPV2": "the limit holds for the task's cgroup as a whole",
    "ECS_PULL_DEPENDENT_CONTAINERS_UPFRONT": "images are always pulled before dependencies are waited for",
    "ECS_SELINUX_CAPABLE": _BY_THE_ENGINE,
    "ECS_SHARED_VOLUME_MATCH_FULL_CONFIG": "a shared volume that is there is used as it is",
    "ECS_SKIP_LOCALHOST_TRAFFIC_FILTER": "traffic from outside to addresses of loopback is always dropped",
    "ECS_UPDATES_ENABLED": "deploy/install.sh updates the agent",
    "ECS_UPDATE_DOWNLOAD_DIR": "deploy/install.sh updates the agent",
    "ECS_VOLUME_PLUGIN_CAPABILITIES": "EFS volumes are not supported",
    "ECS_WARM_POOLS_CHECK": "an instance of a warm pool joins as soon as its agent starts",
    "NONECS_NUM_CONTAINERS_DELETE_PER_CYCLE": "containers that Homeport did not make are never removed",
    "NON_ECS_IMAGE_MINIMUM_CLEANUP_AGE": _NOT_OURS,
}

_PREFIXES = ("ECS_", "NON_ECS_", "NONECS_")
# What an agent of ECS's puts into containers, for an agent that runs in one.
_GIVEN_TO_CONTAINERS = ("ECS_CONTAINER_METADATA_", "ECS_AGENT_URI")


class Notice(NamedTuple):
    """A setting that somebody gave and that changes nothing."""

    variable: str
    reason: str


def notices(environment: Mapping[str, str], honoured: Iterable[str]) -> list[Notice]:
    """What of the environment looks like a setting of the agent's and is none; ``honoured`` are those that
    are.
    """
    known = frozenset(honoured)
    found = []
    for variable in sorted(environment):
        if not environment[variable] or variable in known or variable.startswith(_GIVEN_TO_CONTAINERS):
            continue
        if reason := WITHOUT_EFFECT.get(variable):
            found.append(Notice(variable, reason))
        elif variable.startswith(_PREFIXES):
            found.append(Notice(variable, _unknown(variable, known)))
    return found


def _unknown(variable: str, known: frozenset[str]) -> str:
    from difflib import get_close_matches  # seldom needed, and the agent is to stay small

    near = get_close_matches(variable, sorted(known), n=1)
    return f"there is no such setting; did you mean {near[0]}?" if near else "there is no such setting"
