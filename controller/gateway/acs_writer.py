"""What one agent is sent over its ACS connection: hello, heartbeats, payloads, the manifest, and short
answers.

Nothing is queued for an agent but those answers. What to deliver is computed from the state at the moment of
sending, so an agent that reads slowly costs no memory. Nothing is sent before it is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import structlog

from agent.protocol import acs, envelope
from agent.protocol.clock import Clock
from agent.protocol.extensions import HelloMessage, TaskSecretsAnswer
from controller.config import ControllerConfig
from controller.gateway.contacts import Contacts
from controller.gateway.delivery import (
    TASKS_PER_PAYLOAD,
    Deliveries,
    Delivery,
    is_stop_decided,
    wanted_status,
)
from controller.gateway.fullsync import manifest_tasks
from controller.gateway.liveness import Contact, next_interval
from controller.gateway.payload import Payloads, with_pinned_images
from controller.gateway.reconciler import Reconciler
from controller.gateway.role_credentials import CredentialsOfInstances
from controller.gateway.socket import AgentSocket
from controller.secrets.resolver import SecretsResolver
from controller.state.entities import (
    ContainerInstance,
    DesiredStatus,
    Document,
    Task,
    TaskDefinition,
    task_definition_key,
    task_key,
)
from controller.state.image_pins import owner_of
from controller.state.indexes import TASKS_ON_INSTANCE
from controller.state.kernel import State

log = structlog.get_logger(__name__)

MAX_ANSWERS = 16
"""Answers that may wait for an agent to read; one that asks more without reading is cut off."""

MAX_SECRETS_ANSWERS = 4
"""Answers with secrets that may wait for an agent to read; the next ones are made only then."""

CREDENTIALS_PAUSE_S = 1.0
"""Seconds at least between two looks at which credentials are due."""


class MessageNumbers:
    """Numbers of payloads and manifests: `epoch << 32 | n`, increasing over all instances and restarts."""

    def __init__(self, epoch: int) -> None:
        self._last = epoch << 32

    def next(self) -> int:
        """A number greater than every one before."""
        self._last += 1
        return self._last


@dataclass(frozen=True, slots=True)
class AcsParts:
    """What all ACS sessions share."""

    state: State
    clock: Clock
    config: ControllerConfig
    contacts: Contacts
    payloads: Payloads
    numbers: MessageNumbers
    reconciler: Reconciler
    credentials: CredentialsOfInstances
    secrets: SecretsResolver


class AcsWriter:
    """The sending half of an ACS session."""

    def __init__(
        self,
        parts: AcsParts,
        instance: ContainerInstance,
        contact: Contact,
        socket: AgentSocket,
        *,
        extended: bool,
        lost_credentials: bool,
    ) -> None:
        """`extended`: the agent speaks our additional messages, and starts wait until it has told its
        tasks. `lost_credentials`: it asks for the credentials of all its tasks."""
        self._parts = parts
        self._cluster = instance.cluster
        self._instance_id = instance.id
        self._key = instance.key
        self._contact = contact
        self._socket = socket
        self._extended = extended
        self._starts_released = not extended
        self._answers: list[msgspec.Struct] = []
        self._secrets: asyncio.Queue[TaskSecretsAnswer] = asyncio.Queue(MAX_SECRETS_ANSWERS)
        self._wake = asyncio.Event()
        self._dirty = True
        self._next_heartbeat = parts.clock.monotonic() + contact.interval_s
        self._announced_interval_s = 0.0
        self._heartbeats = 0
        self.credentials = parts.credentials.of(instance.key)
        self.credentials.reconnected(lost=lost_credentials)
        self.credentials.wake = self._look_at_credentials
        self._credentials_due = True
        self.deliveries = Deliveries(parts.config.resend_after_s)
        self.manifest_id: str | None = None
        """Message id of the manifest, once it is sent; one a connection."""

    def wake(self) -> None:
        """Have another look at what the agent must be told."""
        self._dirty = True
        self._wake.set()

    def release_starts(self) -> None:
        """Begin to send tasks to run, and the manifest after them."""
        self._starts_released = True
        self.wake()

    def _look_at_credentials(self) -> None:
        self._credentials_due = True
        self.wake()

    def answer(self, message: msgspec.Struct) -> None:
        """Send a short message as soon as the agent reads."""
        if len(self._answers) >= MAX_ANSWERS:
            log.warning("agent_does_not_read", instance=self._key, answers=len(self._answers))
            self._socket.cut()
            return
        self._answers.append(message)
        self._wake.set()

    async def answer_secrets(self, answer: TaskSecretsAnswer) -> None:
        """Send what containers get; returns once few enough such answers wait for the agent to read."""
        await self._secrets.put(answer)
        self._wake.set()

    async def run(self) -> None:
        """Send what is due, for ever.

        Raises:
            Disconnected: the agent is gone, or does not read.
        """
        while True:
            self._wake.clear()
            await self._announce()
            while self._answers:
                await self._send(self._answers.pop(0))
            while not self._secrets.empty():
                await self._send(self._secrets.get_nowait())
            await self._send_credentials()
            if self._dirty:
                self._dirty = False
                await self._deliver()
            await self._resend()
            if self._starts_released and self.manifest_id is None:
                await self._send_manifest()
            await self._wait_until(self._next_deadline())

    async def _announce(self) -> None:
        """Hello to our agent, first and whenever the interval changed; then the heartbeat, if it is due."""
        now = self._parts.clock.monotonic()
        if now >= self._next_heartbeat:
            self._contact.interval_s = next_interval(
                self._contact.interval_s, self._parts.contacts.target_interval_s
            )
        if self._extended and self._announced_interval_s != self._contact.interval_s:
            self._announced_interval_s = self._contact.interval_s
            meta = self._parts.state.meta
            await self._send(
                HelloMessage(
                    store_uuid=meta.store_uuid,
                    epoch=meta.epoch,
                    heartbeat_interval_ms=round(self._contact.interval_s * 1000),
                    resolves_secrets=True,
                )
            )
        if now >= self._next_heartbeat:
            self._next_heartbeat = now + self._contact.interval_s
            self._heartbeats += 1
            await self._send(acs.HeartbeatMessage(message_id=f"heartbeat-{self._heartbeats}", healthy=True))

    async def _deliver(self) -> None:
        tasks = self._tasks()
        if len(self._contact.acknowledged) > 2 * len(tasks) + TASKS_PER_PAYLOAD:
            self._contact.acknowledged.intersection_update([task.id for task in tasks])
        plan = self.deliveries.plan(tasks, self._parts.state.meta, starts=self._starts_released)
        plan = Delivery(plan.stop, tuple(task for task in plan.start if self._has_credentials(task)))
        for batch in plan.batches():
            await self._send_payload(f"payload-{self._parts.numbers.next()}", batch)

    async def _send_credentials(self) -> None:
        """Send what the agent lacks of its tasks' credentials, or should renew. It must have told its tasks:
        credentials of a task that it does not know are lost on it."""
        due = self.credentials.next_due()
        if due is not None and self._parts.clock.monotonic() >= due:
            self._look_at_credentials()
        if not (self._credentials_due and self._starts_released):
            return
        self._credentials_due = False
        tasks = [task for task in self._tasks() if not is_stop_decided(task)]
        self.credentials.forget_all_but({task.id for task in tasks})
        held = [task for task in tasks if self._has_credentials(task) and self._is_with_agent(task)]
        for message in list(self.credentials.messages(held, self._document)):
            await self._send(message)

    def _has_credentials(self, task: Task) -> bool:
        document = self._document(task)
        return document is None or self.credentials.ready(task, document)

    def _is_with_agent(self, task: Task) -> bool:
        return (
            task.reported_status != "NONE"
            or task.id in self._contact.acknowledged
            or self.deliveries.was_told_to_run(task.id)
        )

    def _document(self, task: Task) -> Document | None:
        """What the task's definition says."""
        key = task_definition_key(task.family, task.revision)
        definition = self._parts.state.read().get(TaskDefinition, key)
        return None if definition is None else definition.document

    async def _resend(self) -> None:
        for message_id, batch in list(self.deliveries.due(self._parts.clock.monotonic(), self._still_needed)):
            log.info("payload_sent_again", instance=self._key, message_id=message_id, tasks=len(batch))
            await self._send_payload(message_id, batch, again=True)

    async def _send_payload(
        self, message_id: str, batch: Sequence[tuple[Task, DesiredStatus]], *, again: bool = False
    ) -> None:
        current = await self._durable(batch)
        payloads = [self._payload(task, status) for task, status in current]
        tasks = tuple(payload for payload in payloads if payload is not None)
        if not tasks:
            return
        state = self._parts.state
        message = acs.PayloadMessage(
            cluster_arn=state.names.cluster(self._cluster),
            container_instance_arn=state.names.instance_id(self._cluster, self._instance_id),
            tasks=tasks,
            generated_at=self._now_ms(),
            message_id=message_id,
            seq_num=self._parts.numbers.next(),
        )
        if not again:
            self.deliveries.sent(message_id, current, self._parts.clock.monotonic())
        await self._send(message)

    async def _durable(self, batch: Iterable[tuple[Task, DesiredStatus]]) -> list[tuple[Task, DesiredStatus]]:
        """The part of a batch that is durable and still what the state wants.

        Tasks are looked at one by one: waiting for the newest of all tasks would always be waiting.
        """
        read = self._parts.state.read()
        for task, _ in batch:
            read.get(Task, task.key)
        await self._parts.state.flushed(read.touched)
        return [(task, status) for task, status in batch if self._still_needed(task.id, status) is not None]

    def _still_needed(self, task_id: str, status: DesiredStatus) -> Task | None:
        forced = self.deliveries.forced_stop(task_id)
        if forced is not None and status == "STOPPED":
            return forced
        task = self._parts.state.read().get(Task, task_key(self._cluster, task_id))
        if task is None or wanted_status(task, self._parts.state.meta) != status:
            return None
        return task

    def _payload(self, task: Task, status: DesiredStatus) -> acs.Task | None:
        key = task_definition_key(task.family, task.revision)
        definition = self._parts.state.read().get(TaskDefinition, key)
        if definition is not None:
            payload = self._parts.payloads.task(task, definition, status)
            if status == "RUNNING":
                payload = self.credentials.with_credentials(payload, task, definition.document)
                payload = with_pinned_images(payload, self._digests(task))
            return payload
        log.error("task_definition_missing", task=task.key, task_definition=key, desired_status=status)
        if status == "RUNNING":
            return None
        # Agents report a task without containers as STOPPED, which is what is wanted of it.
        names = self._parts.state.names
        return acs.Task(
            arn=names.task(task), family=task.family, version=str(task.revision), desired_status=status
        )

    def _digests(self, task: Task) -> dict[str, str]:
        """The digests of the images of the task's deployment or task set, by container, as far as they are
        known."""
        owner = owner_of(self._parts.state.read(), task)
        return {} if owner is None else dict(owner.image_digests)

    async def _send_manifest(self) -> None:
        state = self._parts.state
        read = state.read()
        tasks = manifest_tasks(read.select(TASKS_ON_INSTANCE, self._key).values(), state.names)
        await state.flushed(read.touched)
        number = self._parts.numbers.next()
        self.manifest_id = f"manifest-{number}"
        await self._send(
            acs.TaskManifestMessage(
                cluster_arn=state.names.cluster(self._cluster),
                container_instance_arn=state.names.instance_id(self._cluster, self._instance_id),
                tasks=tasks,
                generated_at=self._now_ms(),
                message_id=self.manifest_id,
                timeline=number,
            )
        )

    async def _send(self, message: msgspec.Struct) -> None:
        await self._socket.send(envelope.encode(message))

    def _tasks(self) -> tuple[Task, ...]:
        # This reader's own note of what it touched is dropped: each task is awaited when it is sent.
        return tuple(self._parts.state.read().select(TASKS_ON_INSTANCE, self._key).values())

    def _now_ms(self) -> int:
        return round(self._parts.clock.now() * 1000)

    def _next_deadline(self) -> float:
        resend, renewal = self.deliveries.next_due(), self.credentials.next_due()
        if renewal is not None:
            renewal = max(renewal, self._parts.clock.monotonic() + CREDENTIALS_PAUSE_S)
        return min(due for due in (resend, renewal, self._next_heartbeat) if due is not None)

    async def _wait_until(self, deadline: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, deadline - self._parts.clock.monotonic())):
                await self._wake.wait()
        except TimeoutError:
            return
