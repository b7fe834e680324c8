"""Messages of the ACS websocket beyond ECS's own.

They are sent only on connections whose URL carries ``homeportProtocol=1``; an unmodified amazon-ecs-agent
never sees or sends one. Each has an ECS-only fall-back: without the inventory the manifest alone is compared,
without a goodbye the end of a connection means that the agent is gone, without a hello heartbeats are awaited
at ECS's interval, without word of its disks an instance counts as one with room, and where nobody resolves
secrets a task that has some is stopped with that reason.

One member goes beyond ECS's in a call of its API: SubmitTaskStateChange has ``networkInterfaces``, with the
address that our agent has made for an awsvpc task (ECS makes those itself). It rides with the status, so that
no task is RUNNING without its address; whoever does not know the member passes over it.
"""

from typing import Literal

import msgspec

PROTOCOL_PARAMETER = "homeportProtocol"
PROTOCOL_VERSION = 1

IDENTITY_IN_USE = "IdentityInUseException"
"""How an ACS connection is refused while another machine is connected under the same identity."""


class TaskInventoryEntry(
    msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", omit_defaults=True
):
    """What the agent knows of one task.

    ``sent_status`` is the last status that the controller acknowledged.
    """

    task_arn: str
    desired_status: str
    known_status: str
    sent_status: str
    family: str
    version: str
    started_at: float | None = None
    """When the task became RUNNING, in epoch seconds."""


class TaskInventoryMessage(
    msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", omit_defaults=True
):
    """Agent to controller, right after each connect: every task that the agent knows.

    Stopped tasks whose end was not acknowledged are in it too. A task that is absent does not exist on the
    instance.
    """

    tasks: tuple[TaskInventoryEntry, ...] = ()


class GoodbyeMessage(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """Agent to controller, on SIGTERM: it comes back soon (a restart), or the whole host goes down."""

    expect: Literal["BACK_SOON", "HOST_DOWN"]


class DiskFill(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """How full a disk of an instance is. Sizes are in bytes."""

    path: str
    percent: int
    total: int
    available: int


class InstanceDiskMessage(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """Agent to controller, first on each connection and whenever it changes: whether the disks have room.

    ``FULL`` asks for no further tasks. ``reason`` is the fullest disk in words, empty while all is well.
    """

    status: Literal["OK", "WARNING", "FULL"]
    reason: str = ""
    disks: tuple[DiskFill, ...] = ()
    """The fullest first."""


class HelloMessage(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """Controller to agent, the first message of each connection: who is speaking.

    The agent refuses manifests and payloads of another store than the one that it remembers, unless it holds
    no tasks, and of an older epoch.
    """

    store_uuid: str
    epoch: int
    heartbeat_interval_ms: int
    resolves_secrets: bool = False
    """Whether ``TaskSecretsRequest`` is answered."""


class TaskSecretsRequest(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """Agent to controller, whenever containers of a task are about to be made: their secrets, environment
    files and registry credentials, please.

    It is repeated when no answer comes, and after each connect.
    """

    request_id: str
    task_arn: str
    containers: tuple[str, ...]
    """Names of the containers that need some."""


class ContainerSecrets(
    msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", omit_defaults=True
):
    """What one container gets. Its representation shows no value."""

    name: str
    secrets: dict[str, str] = {}
    """Environment variables from ``secrets``; nothing else sets a variable of the same name."""
    environment_files: dict[str, str] = {}
    """Environment variables from files; those of the definition win over them."""
    log_options: dict[str, str] = {}
    """Options of the log driver, from ``secretOptions``."""
    registry_username: str = ""
    registry_password: str = ""
    """Whom to pull the image as; both empty: as nobody in particular."""
    registry_expires_at: float | None = None
    """When the registry takes these no longer, in epoch seconds; None if never."""

    def __repr__(self) -> str:
        return f"ContainerSecrets(name={self.name!r})"


class TaskSecretsAnswer(
    msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel", omit_defaults=True
):
    """Controller to agent: what the containers of a ``TaskSecretsRequest`` get, or why they get nothing."""

    request_id: str
    containers: tuple[ContainerSecrets, ...] = ()
    error: str = ""
    """The reason in ECS's words; empty if all is there."""
    again: bool = False
    """Whether another attempt may help."""


TO_AGENT: tuple[type[msgspec.Struct], ...] = (HelloMessage, TaskSecretsAnswer)
"""What a controller sends."""

TO_CONTROLLER: tuple[type[msgspec.Struct], ...] = (
    TaskInventoryMessage,
    InstanceDiskMessage,
    GoodbyeMessage,
    TaskSecretsRequest,
)
"""What an agent sends."""
