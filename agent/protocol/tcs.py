"""The messages of the TCS websocket (telemetry) and the shapes inside them.

Laid out like ``acs``. Times are epoch seconds as JSON numbers. CPU is in percent of the whole machine (100 is
every core busy), memory in MiB without the page cache.
"""

import msgspec


class _Shape(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", omit_defaults=True):
    """How every shape of this module is laid out and encoded."""


class CWStatsSet(_Shape, frozen=True, kw_only=True, omit_defaults=False):
    """Samples of one quantity over a window, condensed."""

    min: float = 0.0
    max: float = 0.0
    sample_count: int = 0
    sum: float = 0.0


class UDoubleCWStatsSet(_Shape, frozen=True, kw_only=True, omit_defaults=False):
    """Like ``CWStatsSet``, of a quantity that is never negative."""

    min: float = 0.0
    max: float = 0.0
    sample_count: int = 0
    sum: float = 0.0


class ULongStatsSet(_Shape, frozen=True, kw_only=True):
    """Like ``CWStatsSet``, of a whole number.

    The overflow members hold what exceeds a signed 64-bit integer.
    """

    min: int | None = None
    max: int | None = None
    sample_count: int | None = None
    sum: int | None = None
    overflow_min: int | None = None
    overflow_max: int | None = None
    overflow_sum: int | None = None


class NetworkStatsSet(_Shape, frozen=True, kw_only=True):
    rx_bytes: ULongStatsSet | None = None
    rx_dropped: ULongStatsSet | None = None
    rx_errors: ULongStatsSet | None = None
    rx_packets: ULongStatsSet | None = None
    tx_bytes: ULongStatsSet | None = None
    tx_dropped: ULongStatsSet | None = None
    tx_errors: ULongStatsSet | None = None
    tx_packets: ULongStatsSet | None = None
    rx_bytes_per_second: UDoubleCWStatsSet | None = None
    tx_bytes_per_second: UDoubleCWStatsSet | None = None


class StorageStatsSet(_Shape, frozen=True, kw_only=True):
    read_size_bytes: ULongStatsSet | None = None
    write_size_bytes: ULongStatsSet | None = None


class RestartStatsSet(_Shape, frozen=True, kw_only=True):
    restart_count: int | None = None


class ContainerMetric(_Shape, frozen=True, kw_only=True):
    container_name: str | None = None
    container_arn: str | None = None
    cpu_stats_set: CWStatsSet | None = None
    memory_stats_set: CWStatsSet | None = None
    network_stats_set: NetworkStatsSet | None = None
    storage_stats_set: StorageStatsSet | None = None
    restart_stats_set: RestartStatsSet | None = None


class VolumeMetric(_Shape, frozen=True, kw_only=True):
    volume_id: str | None = None
    volume_name: str | None = None
    utilized: UDoubleCWStatsSet | None = None
    size: UDoubleCWStatsSet | None = None


class TaskMetric(_Shape, frozen=True, kw_only=True):
    task_arn: str | None = None
    cluster_arn: str | None = None
    task_definition_family: str | None = None
    task_definition_version: str | None = None
    container_metrics: tuple[ContainerMetric, ...] = ()
    volume_metrics: tuple[VolumeMetric, ...] = ()


class InstanceStorageMetrics(_Shape, frozen=True, kw_only=True):
    """Use of the file systems in percent."""

    root_filesystem: float | None = None
    data_filesystem: float | None = None


class InstanceMetrics(_Shape, frozen=True, kw_only=True):
    storage: InstanceStorageMetrics | None = None


class MetricsMetadata(_Shape, frozen=True, kw_only=True):
    """``fin`` marks the last message of a batch, ``idle`` an instance that runs no tasks."""

    cluster: str | None = None
    container_instance: str | None = None
    message_id: str | None = None
    idle: bool | None = None
    fin: bool | None = None


class PublishMetricsRequest(_Shape, frozen=True, kw_only=True):
    metadata: MetricsMetadata | None = None
    instance_metrics: InstanceMetrics | None = None
    task_metrics: tuple[TaskMetric, ...] = ()
    timestamp: float | None = None


class HealthMetadata(_Shape, frozen=True, kw_only=True):
    cluster: str | None = None
    container_instance: str | None = None
    message_id: str | None = None
    fin: bool | None = None


class ContainerHealth(_Shape, frozen=True, kw_only=True):
    """``health_status`` is ``HEALTHY``, ``UNHEALTHY`` or ``UNKNOWN``; ``status_since`` in epoch seconds."""

    container_name: str | None = None
    health_status: str | None = None
    status_since: float | None = None
    status_message: str | None = None


class TaskHealth(_Shape, frozen=True, kw_only=True):
    task_arn: str | None = None
    cluster_arn: str | None = None
    task_definition_family: str | None = None
    task_definition_version: str | None = None
    containers: tuple[ContainerHealth, ...] = ()


class PublishHealthRequest(_Shape, frozen=True, kw_only=True):
    """Container health. It reaches the controller by no other way."""

    metadata: HealthMetadata | None = None
    tasks: tuple[TaskHealth, ...] = ()
    timestamp: float | None = None


class InstanceStatusMetadata(_Shape, frozen=True, kw_only=True):
    cluster: str | None = None
    container_instance: str | None = None
    request_id: str | None = None


class InstanceStatus(_Shape, frozen=True, kw_only=True):
    """``type`` is ``ContainerRuntime``; ``status`` OK, IMPAIRED, INSUFFICIENT_DATA or INITIALIZING."""

    type: str | None = None
    status: str | None = None
    status_reason: str | None = None
    last_updated: float | None = None
    last_status_change: float | None = None


class PublishInstanceStatusRequest(_Shape, frozen=True, kw_only=True):
    metadata: InstanceStatusMetadata | None = None
    statuses: tuple[InstanceStatus, ...] = ()
    timestamp: float | None = None


class StartTelemetrySessionRequest(_Shape, frozen=True, kw_only=True):
    """Modelled by ECS, but not sent on the socket: the query of the connection's URL takes its place."""

    cluster: str | None = None
    container_instance: str | None = None


class HeartbeatMessage(_Shape, frozen=True, kw_only=True):
    """A sign of life that takes no answer."""

    healthy: bool | None = None


class AckPublishMetric(_Shape, frozen=True, kw_only=True):
    message: str | None = None


class AckPublishHealth(_Shape, frozen=True, kw_only=True):
    message: str | None = None


class AckPublishInstanceStatus(_Shape, frozen=True, kw_only=True):
    message: str | None = None


class StopTelemetrySessionMessage(_Shape, frozen=True, kw_only=True):
    message: str | None = None


class ServerException(_Shape, frozen=True, kw_only=True):
    message: str | None = None


class BadRequestException(_Shape, frozen=True, kw_only=True):
    message: str | None = None


class ResourceValidationException(_Shape, frozen=True, kw_only=True):
    message: str | None = None


class InvalidParameterException(_Shape, frozen=True, kw_only=True):
    message: str | None = None


TO_AGENT: tuple[type[msgspec.Struct], ...] = (
    HeartbeatMessage,
    AckPublishMetric,
    AckPublishHealth,
    AckPublishInstanceStatus,
    StopTelemetrySessionMessage,
    ServerException,
    BadRequestException,
    ResourceValidationException,
    InvalidParameterException,
)
"""What a controller sends."""

TO_CONTROLLER: tuple[type[msgspec.Struct], ...] = (
    PublishMetricsRequest,
    PublishHealthRequest,
    PublishInstanceStatusRequest,
    StartTelemetrySessionRequest,
)
"""What an agent sends."""
