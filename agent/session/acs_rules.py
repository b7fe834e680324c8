"""What the agent decides about messages of the ACS websocket: pure functions over plain data."""

from collections.abc import Iterable, Sequence

from agent.engine.changes import KnownTask
from agent.identity import Identity
from agent.protocol import acs
from agent.protocol.extensions import HelloMessage, TaskInventoryEntry, TaskInventoryMessage

ROLE_TYPES = ("TaskApplication", "TaskExecution")
HEARTBEATS_MISSED = 3
UNANNOUNCED_PATIENCE_S = 60.0
"""How long a controller that announces no interval may be silent; ECS's own speaks every 20 to 60 s."""


def patience_s(heartbeat_interval_ms: int) -> float:
    """How long a connection may be silent before it counts as dead: three of the announced intervals."""
    if heartbeat_interval_ms <= 0:
        return UNANNOUNCED_PATIENCE_S
    return HEARTBEATS_MISSED * heartbeat_interval_ms / 1000


def inventory(tasks: Iterable[KnownTask]) -> TaskInventoryMessage:
    """The list of every task that the agent knows."""
    return TaskInventoryMessage(
        tasks=tuple(
            TaskInventoryEntry(
                task_arn=task.task_arn,
                desired_status=task.desired_status,
                known_status=task.known_status,
                sent_status=task.sent_status,
                family=task.family,
                version=task.version,
                started_at=task.started_at,
            )
            for task in tasks
        )
    )


def is_superseded(identity: Identity, hello: HelloMessage) -> bool:
    """Whether the speaker has lost the lead of the followed store: it speaks with an older epoch."""
    return identity.store_uuid == hello.store_uuid and hello.epoch < identity.epoch


def why_not_followed(identity: Identity, hello: HelloMessage, tasks: Iterable[KnownTask]) -> str | None:
    """Why manifests of this controller are refused, or None if they are followed.

    A controller with another store knows nothing of what runs here; its view of the whole must not decide
    about it. Once nothing runs any more that was started for the old store, the new one is followed.
    """
    if identity.store_uuid in (None, hello.store_uuid):
        return None
    running = sum(1 for task in tasks if task.known_status != "STOPPED")
    if running == 0:
        return None
    return (
        f"this agent follows the store {identity.store_uuid} and holds {running} of its tasks; "
        f"the controller's store is {hello.store_uuid}"
    )


def stop_candidates(
    manifest: Sequence[acs.TaskIdentifier], tasks: Iterable[KnownTask]
) -> tuple[acs.TaskIdentifier, ...]:
    """The tasks that run here and that the manifest does not want running.

    They are only candidates: nothing stops before the controller has verified that it decided so.
    """
    wanted = {entry.task_arn for entry in manifest if entry.desired_status == "RUNNING"}
    clusters = {entry.task_arn: entry.task_cluster_arn for entry in manifest}
    return tuple(
        acs.TaskIdentifier(
            task_arn=task.task_arn,
            task_cluster_arn=clusters.get(task.task_arn),
            desired_status="STOPPED",
        )
        for task in tasks
        if task.desired_status == "RUNNING" and task.task_arn not in wanted
    )


def verified_stops(
    candidates: Iterable[acs.TaskIdentifier], answer: Iterable[acs.TaskIdentifier]
) -> tuple[str, ...]:
    """The ARNs of those candidates whose stop the controller has verified."""
    asked = {candidate.task_arn for candidate in candidates}
    return tuple(entry.task_arn for entry in answer if entry.task_arn and entry.task_arn in asked)


def credential_acks(message_id: str, tasks: Iterable[acs.Task]) -> list[acs.IAMRoleCredentialsAckRequest]:
    """One acknowledgement for each set of credentials that came with the tasks of a payload."""
    sets = (
        credentials
        for task in tasks
        for credentials in (task.role_credentials, task.execution_role_credentials)
        if credentials is not None and credentials.credentials_id
    )
    return [credentials_ack(message_id, credentials) for credentials in sets]


def credentials_ack(message_id: str, credentials: acs.IAMRoleCredentials) -> acs.IAMRoleCredentialsAckRequest:
    """The acknowledgement of one set of credentials; the expiration goes back to the letter."""
    return acs.IAMRoleCredentialsAckRequest(
        message_id=message_id,
        expiration=credentials.expiration,
        credentials_id=credentials.credentials_id,
    )
