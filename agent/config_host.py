"""The agent's settings about the machine: what it is called, what it is like, how much of it tasks get."""

import dataclasses

from agent import config_values as values
from agent.config_fields import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class HostSettings:
    """What the machine shows of itself. Memory is MiB."""

    availability_zone: str = setting("", "HOMEPORT_AVAILABILITY_ZONE", str, flag="--availability-zone")
    """Rack, room or site, for placement that spreads over ``ecs.availability-zone``.

    By default that of the EC2 instance; elsewhere region and ``a``.
    """

    instance_type: str = setting("custom", "HOMEPORT_INSTANCE_TYPE", str)
    """The attribute ``ecs.instance-type``, for placement constraints on kinds of machines.

    By default that of the EC2 instance; elsewhere ``custom``.
    """

    detailed_os_family: str = setting("LINUX", "ECS_DETAILED_OS_FAMILY", str)
    """The attribute ``ecs.os-type-detailed``."""

    instance_attributes: tuple[tuple[str, str], ...] = setting(
        (), "ECS_INSTANCE_ATTRIBUTES", values.pairs, flag="--attributes"
    )
    """Custom attributes, sent at the first registration only, so that later edits in the controller stay."""

    container_instance_tags: tuple[tuple[str, str], ...] = setting(
        (), "ECS_CONTAINER_INSTANCE_TAGS", values.pairs
    )
    """Tags of the container instance."""

    propagate_tags_from: str = setting(
        "none", "ECS_CONTAINER_INSTANCE_PROPAGATE_TAGS_FROM", values.one_of("none", "ec2_instance")
    )
    """``ec2_instance`` adds the EC2 instance's tags to these; its metadata must be allowed to show them."""

    external: bool = setting(False, "ECS_EXTERNAL", values.boolean)
    """This is no EC2 instance, whatever answers at its metadata address."""

    metadata_disabled: bool = setting(False, "AWS_EC2_METADATA_DISABLED", values.boolean)
    """Do not look for EC2 instance metadata."""

    metadata_endpoint: str = setting(
        "http://169.254.169.254", "AWS_EC2_METADATA_SERVICE_ENDPOINT", values.endpoint
    )
    """Where EC2 instance metadata would be served."""

    spot_instance_draining: bool = setting(True, "ECS_ENABLE_SPOT_INSTANCE_DRAINING", values.boolean)
    """Drain an EC2 spot instance that is told of its interruption. ECS's default is false."""

    rebalance_draining: bool = setting(True, "HOMEPORT_DRAIN_ON_REBALANCE", values.boolean)
    """Drain an EC2 spot instance already when it is told that its interruption has become likely."""

    reserved_memory: int = setting(0, "ECS_RESERVED_MEMORY", values.whole_number())
    """MiB withheld from tasks, for everything else that runs on the machine."""

    reserved_ports: tuple[int, ...] = setting(
        (22, 2375, 2376, 51678, 51679), "ECS_RESERVED_PORTS", values.ports
    )
    """TCP host ports that no task may have. The agent's own listening ports are added to them."""

    reserved_ports_udp: tuple[int, ...] = setting((), "ECS_RESERVED_PORTS_UDP", values.ports)
    """UDP host ports that no task may have."""
