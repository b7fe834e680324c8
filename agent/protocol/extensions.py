"""Messages of the ACS websocket beyond ECS's own.

They are sent only on connections whose URL carries ``homeportProtocol=1``; an unmodified amazon-ecs-agent
never sees or sends one. Each has an ECS-only fall-back: without the inventory the manifest alone is compared,
without a goodbye the end of a connection means that the agent is gone, without a hello heartbeats are awaited
at ECS's interval.
"""

from typing import Literal

import msgspec

PROTOCOL_PARAMETER = "homeportProtocol"
PROTOCOL_VERSION = 1


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


class HelloMessage(msgspec.Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """Controller to agent, the first message of each connection: who is speaking.

    The agent refuses manifests and payloads of another store than the one that it remembers, unless it holds
    no tasks, and of an older epoch.
    """

    store_uuid: str
    epoch: int
    heartbeat_interval_ms: int


TO_AGENT: tuple[type[msgspec.Struct], ...] = (HelloMessage,)
"""What a controller sends."""

TO_CONTROLLER: tuple[type[msgspec.Struct], ...] = (TaskInventoryMessage, GoodbyeMessage)
"""What an agent sends."""
