"""One ACS connection of one agent: the reader of its frames, beside the writer that alone sends.

A connection begins with finding out what the agent runs: our agent tells, of an ECS agent it is inferred from
the manifest that it acknowledges. Until then nothing new is placed on its instance.
"""

from __future__ import annotations

import asyncio

import msgspec
import structlog

from agent.protocol import acs, envelope
from agent.protocol.extensions import (
    GoodbyeMessage,
    InstanceDiskMessage,
    TaskInventoryMessage,
    TaskSecretsRequest,
)
from controller.gateway.acs_writer import AcsParts, AcsWriter
from controller.gateway.delivery import is_stop_decided
from controller.gateway.fullsync import Reconciliation, RunningTask, believed_present
from controller.gateway.liveness import SILENT_INTERVALS
from controller.gateway.secrets_desk import SecretsDesk
from controller.gateway.socket import TRY_AGAIN_LATER, AgentSocket, Disconnected
from controller.state.entities import ContainerInstance, Task
from controller.state.flusher import StoreUnavailable, TooManyPendingWrites
from controller.state.indexes import TASKS_ON_INSTANCE

log = structlog.get_logger(__name__)

INVENTORY_PATIENCE_S = 5.0
"""Seconds that our agent may take to tell its tasks before it is treated as an ECS agent."""

MANIFEST_PATIENCE_S = 30.0
"""Seconds after which an agent that does not acknowledge manifests counts as synchronised all the same."""

VERIFICATION_PATIENCE_S = 3.0
"""Seconds after the acknowledged manifest in which an ECS agent's stop candidates would have come."""


class AcsSession:
    """The conversation on one connection."""

    def __init__(
        self,
        parts: AcsParts,
        instance: ContainerInstance,
        socket: AgentSocket,
        *,
        extended: bool,
        lost_credentials: bool = True,
    ) -> None:
        """`extended`: the agent speaks our additional messages. `lost_credentials`: it asks for the
        credentials of all its tasks, as one does that started anew."""
        self._parts = parts
        self._cluster = instance.cluster
        self._instance_id = instance.id
        self._key = instance.key
        self._socket = socket
        self._ended = False
        self._last_frame_at = parts.clock.monotonic()
        self._writing: asyncio.Task[None] | None = None
        self._told_inventory = False
        self._told_candidates = False
        self._contact = parts.contacts.opened(instance)
        self._believed = believed_present(
            parts.state.read().select(TASKS_ON_INSTANCE, self._key).values(), self._contact.acknowledged
        )
        self._writer = AcsWriter(
            parts, instance, self._contact, socket, extended=extended, lost_credentials=lost_credentials
        )
        self._desk = SecretsDesk(parts.state, parts.secrets, instance, self._writer.answer_secrets)
        self._synchronising = True
        loop = asyncio.get_running_loop()
        self._no_manifest = loop.call_later(MANIFEST_PATIENCE_S, self._give_up_synchronising)
        self._timers = [self._no_manifest]
        if extended:
            self._timers.append(loop.call_later(INVENTORY_PATIENCE_S, self._writer.release_starts))

    @property
    def heard(self) -> bool:
        """Whether the agent on this very connection is not silent; calls of the API do not count."""
        silence = self._parts.clock.monotonic() - self._last_frame_at
        return silence < SILENT_INTERVALS * self._contact.interval_s

    def wake(self) -> None:
        """Have another look at what the agent must be told."""
        self._writer.wake()

    async def close(self, code: int, reason: str) -> None:
        """End the conversation in order. From now on the agent is sent nothing and not listened to: a newer
        connection may speak for its instance already."""
        self._ended = True
        self._stop_timers()
        if self._writing is not None:
            self._writing.cancel()
        await self._socket.close(code, reason)

    def cut(self) -> None:
        """End the connection at once."""
        self._socket.cut()

    async def run(self) -> None:
        """Talk until either end closes."""
        self._writing = asyncio.create_task(self._writer.run(), name=f"acs writer {self._key}")
        self._writing.add_done_callback(self._writer_ended)
        try:
            async for frame in self._socket.frames():
                if not self._ended:
                    self._last_frame_at = self._contact.last_sign = self._parts.clock.monotonic()
                    await self._receive(frame)
        finally:
            self._stop_timers()
            self._desk.close()
            self._writing.cancel()
            await asyncio.wait([self._writing])

    def _stop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _writer_ended(self, writer: asyncio.Task[None]) -> None:
        """Without its writer the conversation is over; the reader learns it from the connection's end."""
        if writer.cancelled():
            return
        error = writer.exception()
        if isinstance(error, Disconnected):
            log.info("agent_not_reachable", instance=self._key, error=str(error))
        else:
            log.error("acs_writer_failed", instance=self._key, exc_info=error)
        self._socket.cut()

    async def _receive(self, frame: str) -> None:
        try:
            message = envelope.decode_acs(frame)
        except envelope.MalformedFrame as error:
            log.warning("acs_frame_malformed", instance=self._key, error=str(error))
            return
        try:
            await self._handle(message)
        except (StoreUnavailable, TooManyPendingWrites) as error:
            # What the agent said cannot be booked now; it says it again on its next connection.
            log.warning("acs_message_not_booked", instance=self._key, error=type(error).__name__)
            await self.close(TRY_AGAIN_LATER, "the store is not available")

    async def _handle(self, message: msgspec.Struct) -> None:
        match message:
            case acs.HeartbeatAckRequest():
                pass  # the sign of life is noted for every frame
            case acs.AckRequest(message_id=str(message_id)):
                self._acknowledged(message_id)
            case TaskInventoryMessage():
                await self._inventory(message)
            case InstanceDiskMessage():
                self._parts.contacts.disks(self._cluster, self._instance_id, message)
            case acs.IAMRoleCredentialsAckRequest():
                self._writer.credentials.acknowledged(message)
            case TaskSecretsRequest():
                self._desk.ask(message)
            case acs.TaskStopVerificationMessage():
                await self._verify_stops(message)
            case GoodbyeMessage():
                log.info("agent_says_goodbye", instance=self._key, expect=message.expect)
                if message.expect == "HOST_DOWN":
                    self._parts.contacts.host_down(self._cluster, self._instance_id)
            case acs.NackRequest():
                log.warning("acs_message_refused", instance=self._key, reason=message.reason)
                self._writer.deliveries.refused(message.message_id or "")
            case _:
                kind = (
                    message.type if isinstance(message, envelope.UnknownMessage) else type(message).__name__
                )
                log.warning("acs_message_unexpected", instance=self._key, type=kind)

    def _acknowledged(self, message_id: str) -> None:
        if message_id != self._writer.manifest_id:
            acknowledged = self._writer.deliveries.acknowledged(message_id)
            self._contact.acknowledged.update(
                id_ for id_, status in acknowledged.items() if status == "RUNNING"
            )
        elif self._synchronising:
            self._synchronised()
            loop = asyncio.get_running_loop()
            self._timers.append(loop.call_later(VERIFICATION_PATIENCE_S, self._no_candidates_came))

    async def _inventory(self, message: TaskInventoryMessage) -> None:
        """The agent tells all tasks that it knows."""
        instance = self._instance()
        if instance is None:
            return
        found = await self._parts.reconciler.inventory(instance, message.tasks, self._believed)
        # What is sent from now on may cross another inventory on its way.
        self._believed = frozenset()
        self._told_inventory = True
        self._note_present(message, found)
        for task in found.stop:
            self._stop(task)
        self._synchronised()
        self._writer.release_starts()

    def _note_present(self, message: TaskInventoryMessage, found: Reconciliation) -> None:
        ended = {entry.task_arn for entry in message.tasks if entry.known_status == "STOPPED"}
        for task in found.present:
            if not is_stop_decided(task):
                self._writer.deliveries.confirm(task.id, "RUNNING")
            elif self._parts.state.names.task(task) in ended:
                self._writer.deliveries.confirm(task.id, "STOPPED")

    async def _verify_stops(self, message: acs.TaskStopVerificationMessage) -> None:
        """The agent asks which of the tasks that the manifest does not name shall really stop."""
        instance = self._instance()
        if instance is None or message.message_id is None or message.message_id != self._writer.manifest_id:
            log.warning(
                "stop_verification_of_another_manifest", instance=self._key, message_id=message.message_id
            )
            return
        candidates = tuple(
            RunningTask(task.task_arn) for task in message.stop_candidates if task.task_arn is not None
        )
        # An inventory told more than the candidates do.
        verdict = await self._parts.reconciler.verify(instance, candidates, complete=not self._told_inventory)
        self._told_candidates = True
        names = self._parts.state.names
        self._writer.answer(
            acs.TaskStopVerificationAck(
                generated_at=round(self._parts.clock.now() * 1000),
                message_id=message.message_id,
                stop_tasks=tuple(
                    acs.TaskIdentifier(
                        task_arn=names.task(task),
                        task_cluster_arn=names.cluster(task.cluster),
                        desired_status="STOPPED",
                    )
                    for task in verdict.stop
                ),
            )
        )

    def _stop(self, task: Task) -> None:
        """Have a task stopped that the books no longer hold as running here."""
        if task.key not in self._parts.state.read().select(TASKS_ON_INSTANCE, self._key):
            self._writer.deliveries.stop_ended(task)

    def _synchronised(self) -> None:
        if self._synchronising:
            self._synchronising = False
            self._no_manifest.cancel()
            self._parts.contacts.synchronised(self._cluster, self._instance_id)

    def _give_up_synchronising(self) -> None:
        log.warning("manifest_not_acknowledged", instance=self._key, patience_s=MANIFEST_PATIENCE_S)
        self._synchronised()

    def _no_candidates_came(self) -> None:
        """An ECS agent that says nothing after its acknowledgement runs nothing that is unknown here."""
        instance = self._instance()
        if instance is not None and not self._told_candidates:
            self._parts.reconciler.nothing_unknown(instance)

    def _instance(self) -> ContainerInstance | None:
        return self._parts.state.read().get(ContainerInstance, self._key)
