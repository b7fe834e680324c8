"""The agent's settings file: amazon-ecs-agent's JSON file, with its names or those of the variables.

A value in the file is turned into the text that its variable would have, so that both are checked by the
same parser. Unlike the original, a name that nobody knows is an error, and durations may be written as in a
variable.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

VARIABLE = "ECS_AGENT_CONFIG_FILE_PATH"
DEFAULT_PATH = Path("/etc/ecs_container_agent/config.json")
"""Read if it exists; a file that was named must exist."""

NAMES = {
    "APIEndpoint": "ECS_BACKEND_HOST",
    "AWSRegion": "AWS_DEFAULT_REGION",
    "AWSVPCAdditionalLocalRoutes": "ECS_AWSVPC_ADDITIONAL_LOCAL_ROUTES",
    "AWSVPCBlockInstanceMetdata": "ECS_AWSVPC_BLOCK_IMDS",
    "AppArmorCapable": "ECS_APPARMOR_CAPABLE",
    "AvailableLoggingDrivers": "ECS_AVAILABLE_LOGGING_DRIVERS",
    "CNIPluginsPath": "ECS_CNI_PLUGINS_PATH",
    "CgroupCPUPeriod": "ECS_CGROUP_CPU_PERIOD",
    "CgroupPath": "ECS_CGROUP_PATH",
    "Checkpoint": "ECS_CHECKPOINT",
    "Cluster": "ECS_CLUSTER",
    "ContainerCreateTimeout": "ECS_CONTAINER_CREATE_TIMEOUT",
    "ContainerInstancePropagateTagsFrom": "ECS_CONTAINER_INSTANCE_PROPAGATE_TAGS_FROM",
    "ContainerInstanceTags": "ECS_CONTAINER_INSTANCE_TAGS",
    "ContainerMetadataEnabled": "ECS_ENABLE_CONTAINER_METADATA",
    "ContainerStartTimeout": "ECS_CONTAINER_START_TIMEOUT",
    "CredentialsAuditLogDisabled": "ECS_AUDIT_LOGFILE_DISABLED",
    "CredentialsAuditLogFile": "ECS_AUDIT_LOGFILE",
    "DataDir": "ECS_DATADIR",
    "DataDirOnHost": "ECS_HOST_DATA_DIR",
    "DeleteNonECSImagesEnabled": "ECS_ENABLE_UNTRACKED_IMAGE_CLEANUP",
    "DependentContainersPullUpfront": "ECS_PULL_DEPENDENT_CONTAINERS_UPFRONT",
    "DisableDockerHealthCheck": "ECS_DISABLE_DOCKER_HEALTH_CHECK",
    "DisableMetrics": "ECS_DISABLE_METRICS",
    "DockerEndpoint": "DOCKER_HOST",
    "DockerStopTimeout": "ECS_CONTAINER_STOP_TIMEOUT",
    "DynamicHostPortRange": "ECS_DYNAMIC_HOST_PORT_RANGE",
    "EBSTASupportEnabled": "ECS_EBSTA_SUPPORTED",
    "ENITrunkingEnabled": "ECS_ENABLE_HIGH_DENSITY_ENI",
    "EnableRuntimeStats": "ECS_ENABLE_RUNTIME_STATS",
    "EngineAuthData": "ECS_ENGINE_AUTH_DATA",
    "EngineAuthType": "ECS_ENGINE_AUTH_TYPE",
    "External": "ECS_EXTERNAL",
    "FSxWindowsFileServerCapable": "ECS_FSX_WINDOWS_FILE_SERVER_SUPPORTED",
    "FirelensAsyncEnabled": "ECS_ENABLE_FIRELENS_ASYNC",
    "GMSACapable": "ECS_GMSA_SUPPORTED",
    "GPUSupportEnabled": "ECS_ENABLE_GPU_SUPPORT",
    "ImageCleanupDisabled": "ECS_DISABLE_IMAGE_CLEANUP",
    "ImageCleanupExclusionList": "ECS_EXCLUDE_UNTRACKED_IMAGE",
    "ImageCleanupInterval": "ECS_IMAGE_CLEANUP_INTERVAL",
    "ImagePullBehavior": "ECS_IMAGE_PULL_BEHAVIOR",
    "ImagePullInactivityTimeout": "ECS_IMAGE_PULL_INACTIVITY_TIMEOUT",
    "ImagePullTimeout": "ECS_IMAGE_PULL_TIMEOUT",
    "InferentiaSupportEnabled": "ECS_ENABLE_INF_SUPPORT",
    "InstanceAttributes": "ECS_INSTANCE_ATTRIBUTES",
    "InstanceIPCompatibility": "ECS_INSTANCE_IP_COMPATIBILITY",
    "ManifestPullTimeout": "ECS_MANIFEST_PULL_TIMEOUT",
    "MinimumImageDeletionAge": "ECS_IMAGE_MINIMUM_CLEANUP_AGE",
    "NonECSMinimumImageDeletionAge": "NON_ECS_IMAGE_MINIMUM_CLEANUP_AGE",
    "NumImagesToDeletePerCycle": "ECS_NUM_IMAGES_DELETE_PER_CYCLE",
    "NumNonECSContainersToDeletePerCycle": "NONECS_NUM_CONTAINERS_DELETE_PER_CYCLE",
    "NvidiaRuntime": "ECS_NVIDIA_RUNTIME",
    "OverrideAWSLogsExecutionRole": "ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE",
    "PollMetrics": "ECS_POLL_METRICS",
    "PollingMetricsWaitDuration": "ECS_POLLING_METRICS_WAIT_DURATION",
    "PrivilegedDisabled": "ECS_DISABLE_PRIVILEGED",
    "PrometheusMetricsEnabled": "ECS_ENABLE_PROMETHEUS_METRICS",
    "PropagateTaskMemoryLimitCgroupV2": "ECS_PROPAGATE_TASK_MEMORY_LIMIT_CGROUPV2",
    "ReservedMemory": "ECS_RESERVED_MEMORY",
    "ReservedPorts": "ECS_RESERVED_PORTS",
    "ReservedPortsUDP": "ECS_RESERVED_PORTS_UDP",
    "SELinuxCapable": "ECS_SELINUX_CAPABLE",
    "SharedVolumeMatchFullConfig": "ECS_SHARED_VOLUME_MATCH_FULL_CONFIG",
    "ShouldExcludeIPv6PortBinding": "ECS_EXCLUDE_IPV6_PORTBINDING",
    "SpotInstanceDrainingEnabled": "ECS_ENABLE_SPOT_INSTANCE_DRAINING",
    "TaskCPUMemLimit": "ECS_ENABLE_TASK_CPU_MEM_LIMIT",
    "TaskCleanupWaitDuration": "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION",
    "TaskCleanupWaitDurationJitter": "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION_JITTER",
    "TaskENIEnabled": "ECS_ENABLE_TASK_ENI",
    "TaskIAMRoleEnabled": "ECS_ENABLE_TASK_IAM_ROLE",
    "TaskIAMRoleEnabledForNetworkHost": "ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST",
    "TaskMetadataAZDisabled": "ECS_DISABLE_TASK_METADATA_AZ",
    "TaskPidsLimit": "ECS_TASK_PIDS_LIMIT",
    "UpdateDownloadDir": "ECS_UPDATE_DOWNLOAD_DIR",
    "UpdatesEnabled": "ECS_UPDATES_ENABLED",
    "VolumePluginCapabilities": "ECS_VOLUME_PLUGIN_CAPABILITIES",
    "WarmPoolsSupport": "ECS_WARM_POOLS_CHECK",
}
"""amazon-ecs-agent's names in the file, and the variables that are the same settings."""

_DURATIONS = frozenset(
    {
        "ECS_CGROUP_CPU_PERIOD",
        "ECS_CONTAINER_CREATE_TIMEOUT",
        "ECS_CONTAINER_START_TIMEOUT",
        "ECS_CONTAINER_STOP_TIMEOUT",
        "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION",
        "ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION_JITTER",
        "ECS_IMAGE_CLEANUP_INTERVAL",
        "ECS_IMAGE_MINIMUM_CLEANUP_AGE",
        "ECS_IMAGE_PULL_INACTIVITY_TIMEOUT",
        "ECS_IMAGE_PULL_TIMEOUT",
        "ECS_MANIFEST_PULL_TIMEOUT",
        "ECS_POLLING_METRICS_WAIT_DURATION",
        "NON_ECS_IMAGE_MINIMUM_CLEANUP_AGE",
    }
)
"""Settings whose numbers in the file are nanoseconds, as Go keeps durations."""
_COMMA_SEPARATED = frozenset({"ECS_EXCLUDE_UNTRACKED_IMAGE"})


class ConfigFileError(Exception):
    """The file cannot be used; the message names it and says why."""


class ConfigFile:
    """What one file says, by variable."""

    def __init__(self, path: Path, texts: Mapping[str, str], keys: Mapping[str, str]) -> None:
        self._path = path
        self._texts = texts
        self._keys = keys

    def get(self, variable: str) -> tuple[str, str] | None:
        """Where the file sets this variable's setting, for messages, and the text; None if it does not."""
        if not (text := self._texts.get(variable)):
            return None
        return f"{self._keys[variable]} in {self._path}", text

    @property
    def variables(self) -> frozenset[str]:
        """The variables of the settings that the file sets."""
        return frozenset(self._texts)


def read(path: str | None, known: Iterable[str]) -> ConfigFile:
    """Read the file at ``path``, or the one at the usual place if None and it exists.

    ``known`` are the variables that the file may name itself. Raises ``ConfigFileError``.
    """
    place = Path(path) if path else DEFAULT_PATH
    try:
        content = msgspec.json.decode(place.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        if path:
            raise ConfigFileError(f"the settings file {place} does not exist") from None
        return ConfigFile(place, {}, {})
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigFileError(f"the settings file {place} cannot be read: {error}") from error
    # Go takes the names in any case.
    names = {name.casefold(): variable for name, variable in NAMES.items()}
    names |= {variable.casefold(): variable for variable in (*known, *NAMES.values())}
    texts, keys = {}, {}
    for key, value in content.items():
        variable = names.get(key.casefold())
        if variable is None:
            raise ConfigFileError(
                f"{key} in {place} is no setting; there are {', '.join(sorted(NAMES))}, and the names of the "
                "agent's variables (homeport agent --settings lists them)"
            )
        texts[variable], keys[variable] = _as_text(variable, value), key
    return ConfigFile(place, texts, keys)


def _as_text(variable: str, value: Any) -> str:
    """The value as it would stand in its variable."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() if variable in _DURATIONS:
            return f"{value}ns"
        case list() if variable in _COMMA_SEPARATED:
            return ",".join(str(part) for part in value)
        case _:
            return msgspec.json.encode(value).decode()
