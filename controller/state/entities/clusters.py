"""Clusters, and the machines in them."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from controller.state.entities.record import Document, Entity, Tag

ClusterStatus = Literal["ACTIVE", "INACTIVE"]
CapacityProviderStatus = Literal["ACTIVE", "INACTIVE"]
InstanceStatus = Literal["ACTIVE", "DRAINING", "INACTIVE"]


class Attribute(msgspec.Struct, frozen=True, gc=False):
    """A container instance attribute; capabilities have a name and no value."""

    name: str
    value: str | None = None


class Cluster(Entity, frozen=True, kw_only=True):
    """A cluster: the namespace of instances, tasks and services."""

    kind: ClassVar[str] = "cluster"

    name: str
    status: ClusterStatus = "ACTIVE"
    created_at: float
    tags: tuple[Tag, ...] = ()
    options: Document = {}
    """Members that are kept and answered as given: settings, configuration, capacityProviders,
    defaultCapacityProviderStrategy, serviceConnectDefaults."""
    deleted_at: float | None = None
    """When the cluster became INACTIVE."""

    @property
    def key(self) -> str:
        return self.name


class ContainerInstance(Entity, frozen=True, kw_only=True):
    """A machine that registered."""

    kind: ClassVar[str] = "container-instance"

    cluster: str
    id: str
    status: InstanceStatus = "ACTIVE"
    status_reason: str = ""
    ec2_instance_id: str
    cpu: int
    """Registered CPU units, 1,024 a core."""
    memory: int
    """Registered memory in MiB."""
    reserved_ports_tcp: tuple[int, ...] = ()
    reserved_ports_udp: tuple[int, ...] = ()
    gpu_ids: tuple[str, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    """What the agent registered, in its order, then what the controller added."""
    tags: tuple[Tag, ...] = ()
    agent_version: str = ""
    agent_hash: str = ""
    docker_version: str = ""
    machine_id: str = ""
    boot_id: str = ""
    registered_at: float
    version: int = 1
    deleted_at: float | None = None
    """When the instance became INACTIVE."""

    @property
    def key(self) -> str:
        return instance_key(self.cluster, self.id)


class InstanceConnection(Entity, frozen=True, kw_only=True):
    """Whether an instance's agent is connected; known to this process only."""

    kind: ClassVar[str] = "instance-connection"
    durable: ClassVar[bool] = False

    cluster: str
    id: str
    connected: bool
    synchronised: bool = False
    """Whether the agent has told, or been asked for, all its tasks since it connected."""
    clock_skew_s: float = 0.0
    """Seconds that the agent's clock is ahead of this one, if so far off that its signatures are refused."""
    runtime_status: str = ""
    """What the agent says about its container runtime: OK, IMPAIRED, INSUFFICIENT_DATA or INITIALIZING; empty
    before it spoke."""
    runtime_changed_at: float = 0.0
    """When the agent first said so."""
    disk_status: str = ""
    """What our agent says about its disks: OK, WARNING, or FULL (it gets no tasks); empty at first."""
    disk_reason: str = ""
    """The fullest disk in words; empty while all is well."""
    disk_changed_at: float = 0.0
    """When the agent first said so."""
    changed_at: float

    @property
    def key(self) -> str:
        return instance_key(self.cluster, self.id)


class QuarantinedTask(Entity, frozen=True, kw_only=True):
    """A task that an agent runs and this store does not know: shown, never stopped by default."""

    kind: ClassVar[str] = "quarantined-task"

    cluster: str
    instance: str
    task_arn: str
    family: str = ""
    version: str = ""
    first_seen_at: float

    @property
    def key(self) -> str:
        return f"{self.cluster}/{self.instance}/{self.task_arn}"


class CapacityProvider(Entity, frozen=True, kw_only=True):
    """A capacity provider: a named pool of machines that clusters can take instances from.

    FARGATE and FARGATE_SPOT always exist; they are kept only when they have tags.
    """

    kind: ClassVar[str] = "capacity-provider"

    name: str
    status: CapacityProviderStatus = "ACTIVE"
    update_status: str = "CREATE_COMPLETE"
    auto_scaling_group_provider: Document = {}
    """The member of that name, defaults filled; empty for FARGATE and FARGATE_SPOT."""
    created_at: float
    tags: tuple[Tag, ...] = ()
    deleted_at: float | None = None
    """When the provider became INACTIVE."""

    @property
    def key(self) -> str:
        return self.name


def instance_key(cluster: str, instance_id: str) -> str:
    """Key of a container instance and of its connection."""
    return f"{cluster}/{instance_id}"
