"""What the agent answers to each message of one ACS connection."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import msgspec
import structlog

from agent.crash_points import CrashPoint, reach
from agent.identity import IdentityFile
from agent.protocol import acs
from agent.protocol.envelope import UnknownMessage
from agent.protocol.extensions import HelloMessage
from agent.session import acs_rules
from agent.session.engine_port import Orders
from agent.session.websocket import ConnectionEnded

log = structlog.get_logger(__name__)

Replies: TypeAlias = Sequence[msgspec.Struct]
NOTHING: Replies = ()


class ManifestMark:
    """The highest ``seqNum`` or ``timeline`` seen, over all connections. What is not above it is stale."""

    def __init__(self, highest: int) -> None:
        self.highest = highest

    def note(self, number: int | None) -> None:
        self.highest = max(self.highest, number or 0)


class Conversation:
    """One connection's memory, and a handler for each type of message. They must come one by one."""

    def __init__(self, identity: IdentityFile, mark: ManifestMark, engine: Orders) -> None:
        self._identity = identity
        self._mark = mark
        self._engine = engine
        self._hello: HelloMessage | None = None
        self._manifest_id: str | None = None
        self._candidates: tuple[acs.TaskIdentifier, ...] = ()
        self._handlers: dict[type, Callable[[Any], Awaitable[Replies]]] = {
            HelloMessage: self._on_hello,
            acs.PayloadMessage: self._on_payload,
            acs.TaskManifestMessage: self._on_manifest,
            acs.TaskStopVerificationAck: self._on_stop_verification,
            acs.IAMRoleCredentialsMessage: self._on_credentials,
            acs.StageUpdateMessage: self._refuse_update,
            acs.PerformUpdateMessage: self._refuse_update,
            acs.AttachTaskNetworkInterfacesMessage: self._refuse_attachment,
            acs.AttachInstanceNetworkInterfacesMessage: self._refuse_attachment,
            acs.ConfirmAttachmentMessage: self._refuse_attachment,
        }

    async def answer(self, message: msgspec.Struct) -> Replies:
        """Handle a message and return what to send back, in order.

        Raises ``ConnectionEnded`` if the controller turns out to be one that must not be listened to.
        """
        handler = self._handlers.get(type(message))
        if handler is None:
            name = message.type if isinstance(message, UnknownMessage) else type(message).__name__
            log.info("message_without_handler", type=name, text=getattr(message, "message", None))
            return NOTHING
        return await handler(message)

    async def _on_hello(self, hello: HelloMessage) -> Replies:
        if acs_rules.is_superseded(self._identity.current, hello):
            raise ConnectionEnded(
                f"superseded: the controller is at epoch {hello.epoch}, "
                f"and epoch {self._identity.current.epoch} has been heard"
            )
        self._hello = hello
        refusal = await self._refusal()
        if refusal:
            log.error("manifests_will_be_refused", reason=refusal)
        return NOTHING

    async def _refusal(self) -> str | None:
        """Why manifests are refused at present; if they are not, remember whom they come from."""
        hello, identity = self._hello, self._identity.current
        if hello is None:
            return None
        refusal = acs_rules.why_not_followed(identity, hello, self._engine.known_tasks())
        if refusal is None and identity.store_uuid != hello.store_uuid:
            await self._identity.update(store_uuid=hello.store_uuid, epoch=hello.epoch, manifest_mark=-1)
            self._mark.highest = -1
        elif refusal is None and hello.epoch > identity.epoch:
            await self._identity.update(epoch=hello.epoch)
        return refusal

    async def _on_payload(self, payload: acs.PayloadMessage) -> Replies:
        if not (payload.message_id and payload.cluster_arn and payload.container_instance_arn):
            log.warning("payload_incomplete", message_id=payload.message_id)
            return NOTHING
        # A controller with another store may give new work; only its view of what already runs is refused.
        # Its numbers count for nothing then: they could make manifests of the followed store look stale.
        if await self._refusal() is None:
            self._mark.note(payload.seq_num)
        # Acknowledged only when it is durable here. Tasks that cannot be run are reported STOPPED with the
        # reason, which is an answer too: sending them again would change nothing.
        stops = any(task.desired_status == "STOPPED" for task in payload.tasks)
        reach(CrashPoint.STOP_RECEIVED if stops else CrashPoint.PAYLOAD_RECEIVED)
        rejected = await self._engine.accept(payload.tasks)
        reach(CrashPoint.STOP_WRITTEN if stops else CrashPoint.PAYLOAD_WRITTEN)
        for task in rejected:
            log.warning(
                "task_rejected", task=task.task_arn, reason=task.reason, message_id=payload.message_id
            )
        log.info("payload_accepted", message_id=payload.message_id, tasks=len(payload.tasks))
        return (self._ack(payload), *acs_rules.credential_acks(payload.message_id, payload.tasks))

    async def _on_manifest(self, manifest: acs.TaskManifestMessage) -> Replies:
        if refusal := await self._refusal():
            log.warning("manifest_refused", message_id=manifest.message_id, reason=refusal)
            return NOTHING
        timeline = manifest.timeline or 0
        if timeline <= self._mark.highest:
            log.info("manifest_stale", message_id=manifest.message_id, timeline=timeline)
            return NOTHING
        self._mark.note(timeline)
        await self._identity.update(manifest_mark=timeline)
        self._manifest_id = manifest.message_id
        self._candidates = acs_rules.stop_candidates(manifest.tasks, self._engine.known_tasks())
        if not self._candidates:
            return (self._ack(manifest),)
        log.info("stop_candidates", tasks=[candidate.task_arn for candidate in self._candidates])
        return (
            self._ack(manifest),
            acs.TaskStopVerificationMessage(message_id=manifest.message_id, stop_candidates=self._candidates),
        )

    async def _on_stop_verification(self, verification: acs.TaskStopVerificationAck) -> Replies:
        if verification.message_id is None or verification.message_id != self._manifest_id:
            log.info("stop_verification_stale", message_id=verification.message_id)
            return NOTHING
        stops = acs_rules.verified_stops(self._candidates, verification.stop_tasks)
        self._manifest_id, self._candidates = None, ()
        if stops:
            log.info("stops_verified", tasks=stops)
            await self._engine.stop_tasks(stops)
        return NOTHING

    async def _on_credentials(self, message: acs.IAMRoleCredentialsMessage) -> Replies:
        credentials = message.role_credentials
        if (
            not message.message_id
            or not message.task_arn
            or message.role_type not in acs_rules.ROLE_TYPES
            or credentials is None
            or not credentials.credentials_id
        ):
            log.warning("credentials_incomplete", message_id=message.message_id, task=message.task_arn)
            return NOTHING
        if not self._engine.set_credentials(message):
            log.warning("credentials_of_unknown_task", task=message.task_arn)
            return NOTHING
        return (acs_rules.credentials_ack(message.message_id, credentials),)

    async def _refuse_update(self, message: acs.StageUpdateMessage | acs.PerformUpdateMessage) -> Replies:
        return (self._nack(message, "Updates are disabled"),)

    async def _refuse_attachment(self, message: Any) -> Replies:
        reason = "this agent attaches no network interfaces and volumes on behalf of the controller"
        log.warning("attachment_refused", message_id=message.message_id, type=type(message).__name__)
        return (self._nack(message, reason),)

    @staticmethod
    def _ack(message: Any) -> acs.AckRequest:
        return acs.AckRequest(
            cluster=message.cluster_arn,
            container_instance=message.container_instance_arn,
            message_id=message.message_id,
        )

    @staticmethod
    def _nack(message: Any, reason: str) -> acs.NackRequest:
        return acs.NackRequest(
            cluster=message.cluster_arn,
            container_instance=message.container_instance_arn,
            message_id=message.message_id,
            reason=reason,
        )
