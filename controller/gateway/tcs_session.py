"""One TCS connection of one agent: container health, use of resources and the runtime's state come up
here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
import structlog

from agent.protocol import envelope, tcs
from agent.protocol.arn import last_segment
from agent.protocol.clock import Clock
from controller.api.authentication import SignatureOutOfTime
from controller.api.errors import ApiError
from controller.gateway.contacts import Contacts
from controller.gateway.health import with_health
from controller.gateway.socket import REFUSED, AgentSocket, Disconnected
from controller.state.changes import Cause
from controller.state.entities import ContainerInstance, Task, task_key
from controller.state.flusher import StoreUnavailable, TooManyPendingWrites
from controller.state.kernel import Reader, State
from controller.state.lifecycle import is_ended
from controller.telemetry.utilisation import Utilisation

log = structlog.get_logger(__name__)

HEARTBEAT_INTERVAL_S = 25.0
"""Seconds without a frame after which the agent is sent a heartbeat; agents end a silent connection after a
minute."""

CheckFrame = Callable[[Mapping[str, str], bytes], None]
"""Checks the signature of a frame: its headers and its body. Raises ApiError."""


@dataclass(frozen=True, slots=True)
class TcsParts:
    """What all TCS sessions share."""

    state: State
    clock: Clock
    contacts: Contacts
    utilisation: Utilisation


class TcsSession:
    """The conversation on one connection. Every publication is answered by an acknowledgement once it is
    booked."""

    def __init__(
        self, parts: TcsParts, instance: ContainerInstance, socket: AgentSocket, check_frame: CheckFrame
    ) -> None:
        self._parts = parts
        self._cluster = instance.cluster
        self._instance_id = instance.id
        self._key = instance.key
        self._socket = socket
        self._check_frame = check_frame

    async def close(self, code: int, reason: str) -> None:
        """End the conversation in order."""
        await self._socket.close(code, reason)

    async def run(self) -> None:
        """Listen until either end closes."""
        try:
            while True:
                try:
                    frame = await self._socket.receive(HEARTBEAT_INTERVAL_S)
                except TimeoutError:
                    await self._send(tcs.HeartbeatMessage(healthy=True))
                    continue
                if frame is None:
                    return
                self._parts.contacts.sign(self._cluster, self._instance_id)
                await self._receive(frame)
        except Disconnected as error:
            log.info("agent_not_reachable", instance=self._key, channel="tcs", error=str(error))
            self._socket.cut()

    async def _receive(self, frame: str) -> None:
        try:
            headers, body = envelope.split_signed_frame(frame)
            if headers is not None and not await self._is_signed_well(headers, body):
                return
            message = envelope.decode_tcs(body)
        except envelope.MalformedFrame as error:
            log.warning("tcs_frame_malformed", instance=self._key, error=str(error))
            return
        try:
            answer = await self._handle(message)
        except (StoreUnavailable, TooManyPendingWrites) as error:
            # Not acknowledged; health is told in full every twenty seconds.
            log.warning("telemetry_not_booked", instance=self._key, error=type(error).__name__)
            return
        if answer is not None:
            await self._send(answer)

    async def _is_signed_well(self, headers: Mapping[str, str], body: str) -> bool:
        try:
            self._check_frame(headers, body.encode())
        except SignatureOutOfTime as error:
            # Genuine, so the agent lives; what it said may be old.
            log.warning("tcs_frame_out_of_time", instance=self._key, skew_s=round(error.skew_s))
            self._parts.contacts.skewed(self._cluster, self._instance_id, error.skew_s)
            return False
        except ApiError as error:
            log.warning("tcs_frame_signature_wrong", instance=self._key, error=error.message)
            await self._socket.close(REFUSED, f"{error.code}: {error.message}")
            return False
        return True

    async def _handle(self, message: msgspec.Struct) -> msgspec.Struct | None:
        match message:
            case tcs.PublishMetricsRequest():
                self._note_metrics(message)
                return tcs.AckPublishMetric()
            case tcs.PublishHealthRequest():
                await self._book_health(message)
                return tcs.AckPublishHealth()
            case tcs.PublishInstanceStatusRequest():
                self._note_status(message)
                return tcs.AckPublishInstanceStatus()
            case tcs.StartTelemetrySessionRequest():
                return None
            case _:
                kind = (
                    message.type if isinstance(message, envelope.UnknownMessage) else type(message).__name__
                )
                log.warning("tcs_message_unexpected", instance=self._key, type=kind)
                return None

    def _note_metrics(self, message: tcs.PublishMetricsRequest) -> None:
        read = self._parts.state.read()
        for metric in message.task_metrics:
            task = self._task(read, metric.task_arn)
            if task is not None:
                self._parts.utilisation.note(task, metric, self._parts.clock.now())

    async def _book_health(self, message: tcs.PublishHealthRequest) -> None:
        state = self._parts.state
        read = state.read()
        changed = []
        for told in message.tasks:
            task = self._task(read, told.task_arn)
            if task is not None and (healthier := with_health(task, told)) is not task:
                changed.append(healthier)
        touched = read.touched
        if changed:
            caller = state.names.instance_id(self._cluster, self._instance_id)
            with state.transaction(Cause(kind="agent", id="PublishHealthRequest", caller=caller)) as tx:
                for task in changed:
                    health = ", ".join(f"{each.name} {each.health_status}" for each in task.containers)
                    tx.put(task, f"The agent reports container health: {health}.")
            touched = max(touched, tx.touched)
        await state.flushed(touched)

    def _note_status(self, message: tcs.PublishInstanceStatusRequest) -> None:
        for status in message.statuses:
            if status.type == "ContainerRuntime" and status.status:
                self._parts.contacts.runtime_status(self._cluster, self._instance_id, status.status)

    def _task(self, read: Reader, arn: str | None) -> Task | None:
        """A task that runs on this agent's instance, by the ARN that the agent gave."""
        task = read.get(Task, task_key(self._cluster, last_segment(arn or "")))
        if task is None or task.instance != self._instance_id or is_ended(task):
            return None
        return task

    async def _send(self, message: msgspec.Struct) -> None:
        await self._socket.send(envelope.encode(message))
