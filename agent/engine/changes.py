"""What the engine tells the controller about a task, and about every task that it knows."""

from typing import Literal

import msgspec

ReportedStatus = Literal["PENDING", "RUNNING", "STOPPED"]
"""The statuses that the Submit calls know."""


class NetworkBinding(msgspec.Struct, frozen=True, gc=False):
    """A container's port as it is reachable on the host; ``protocol`` is ``tcp`` or ``udp``.

    Ports in a row are one binding of two ranges (``8000-8010``) and no single ports.
    """

    bind_ip: str
    container_port: int = 0
    host_port: int = 0
    protocol: str = "tcp"
    container_port_range: str = ""
    host_port_range: str = ""


class NetworkInterface(msgspec.Struct, frozen=True, gc=False):
    """The network interface of a task that has a network of its own."""

    private_ipv4_address: str
    mac_address: str


class ContainerChange(msgspec.Struct, frozen=True, gc=False):
    """The newest state of one container of a task."""

    name: str
    status: ReportedStatus
    runtime_id: str | None = None
    """The engine's id of the container."""
    image_digest: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    network_bindings: tuple[NetworkBinding, ...] = ()


class TaskChange(msgspec.Struct, frozen=True, gc=False):
    """Everything about a task that the controller has not acknowledged yet, merged into one report.

    Times are in epoch seconds, None where the event has not happened.
    """

    task_arn: str
    status: ReportedStatus
    reason: str = ""
    containers: tuple[ContainerChange, ...] = ()
    network_interface: NetworkInterface | None = None
    """That of an awsvpc task, once it has one."""
    pull_started_at: float | None = None
    pull_stopped_at: float | None = None
    execution_stopped_at: float | None = None


class KnownTask(msgspec.Struct, frozen=True, gc=False):
    """One line of the agent's own list of tasks. ``sent_status`` is what the controller acknowledged last.

    Statuses are ECS's (``NONE``, ``PENDING``, ``RUNNING``, ``STOPPED``); ``started_at`` is in epoch seconds.
    """

    task_arn: str
    family: str
    version: str
    desired_status: str
    known_status: str
    sent_status: str
    started_at: float | None = None


class RejectedTask(msgspec.Struct, frozen=True, gc=False):
    """A task of a payload that cannot be run; it is reported STOPPED with ``reason``."""

    task_arn: str
    reason: str
