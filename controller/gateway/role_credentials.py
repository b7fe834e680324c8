"""Which credentials of its tasks' roles an agent holds, and which it is to be sent.

A task comes with its first credentials. Later ones follow by a message of their own, in time; and all once
more when the agent says that it has lost them, since agents keep credentials in memory only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator

import msgspec
import structlog

from agent.protocol import acs
from agent.protocol.clock import Clock
from controller.roles.issuing import (
    CannotAssumeRole,
    IssuedCredentials,
    RoleCredentialsIssuer,
    RoleType,
    roles_of,
)
from controller.state.changes import Cause
from controller.state.entities import Document, Task
from controller.state.flusher import StoreUnavailable, TooManyPendingWrites
from controller.state.kernel import State
from controller.state.lifecycle import decide_stop

log = structlog.get_logger(__name__)

RETRY_S = 15.0
"""Seconds until AWS is asked again for credentials that it did not give."""

UNABLE_TO_ASSUME = (
    "ECS was unable to assume the role '{arn}' that was provided for this task. Please verify that the role "
    "being passed has the proper trust relationship and permissions: {reason}"
)

Definition = Callable[[Task], Document | None]
"""The document of a task's definition; None if it is gone."""


class _Held(msgspec.Struct):
    """One set of credentials of one task."""

    type_: RoleType
    arn: str
    issued: IssuedCredentials | None = None
    sent: bool = False
    acknowledged: bool = False
    retry_at: float = 0.0
    """Monotonic time before which AWS is not asked again."""
    asking: bool = False


class InstanceCredentials:
    """The credentials of the tasks of one instance, over all connections of its agent."""

    def __init__(self, state: State, issuer: RoleCredentialsIssuer, clock: Clock) -> None:
        self._state = state
        self._issuer = issuer
        self._clock = clock
        self._held: dict[str, dict[RoleType, _Held]] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self.wake: Callable[[], None] = lambda: None
        """Called when credentials have come that somebody waits for; each connection puts its own here."""

    def reconnected(self, *, lost: bool) -> None:
        """The agent has a new connection. What it did not acknowledge on the one before may not have arrived;
        if it started anew, it has lost everything."""
        for held in self._each():
            if lost or not held.acknowledged:
                held.sent = False

    def acknowledged(self, message: acs.IAMRoleCredentialsAckRequest) -> None:
        """The agent holds a set of credentials."""
        for held in self._each():
            given = held.issued.credentials if held.issued else None
            if given and (given.credentials_id, given.expiration) == (
                message.credentials_id,
                message.expiration,
            ):
                held.acknowledged = True

    def ready(self, task: Task, document: Document) -> bool:
        """Whether all credentials of a task are there; those that are not are asked for."""
        current = [self._current(task, held) for held in self._of(task, document).values()]
        return None not in current

    def with_credentials(self, payload: acs.Task, task: Task, document: Document) -> acs.Task:
        """The payload of a task that is `ready`, with its credentials in it, which count as sent."""
        held = self._of(task, document)
        if not held:
            return payload
        for each in held.values():
            each.sent = True
        return msgspec.structs.replace(
            payload,
            role_credentials=_given(held.get("TaskApplication")),
            execution_role_credentials=_given(held.get("TaskExecution")),
        )

    def messages(
        self, tasks: Iterable[Task], definition: Definition
    ) -> Iterator[acs.IAMRoleCredentialsMessage]:
        """What to send now of the tasks that the agent has: credentials that it lacks or should renew."""
        names = self._state.names
        for task in tasks:
            document = definition(task)
            if document is None:
                continue
            for type_, held in self._of(task, document).items():
                issued = self._current(task, held)
                if issued is None or held.sent:
                    continue
                held.sent = True
                yield acs.IAMRoleCredentialsMessage(
                    message_id=f"credentials-{issued.credentials.credentials_id}",
                    task_arn=names.task(task),
                    task_cluster_arn=names.cluster(task.cluster),
                    role_type=type_,
                    role_credentials=issued.credentials,
                )

    def next_due(self) -> float | None:
        """Monotonic time at which the next set is to be renewed, or asked for again; None if none is."""
        return min((self._due(held) for held in self._each() if not held.asking), default=None)

    def forget_all_but(self, task_ids: set[str]) -> None:
        """Drop the credentials of tasks that are gone."""
        self._held = {task_id: held for task_id, held in self._held.items() if task_id in task_ids}

    async def close(self) -> None:
        """Ask AWS no more."""
        for asking in tuple(self._asking):
            asking.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)

    def _of(self, task: Task, document: Document) -> dict[RoleType, _Held]:
        roles = roles_of(task, document)
        if not roles:
            return {}
        held = self._held.setdefault(task.id, {})
        for type_, arn in roles.items():
            held.setdefault(type_, _Held(type_, arn))
        return held

    def _current(self, task: Task, held: _Held) -> IssuedCredentials | None:
        """Credentials that need not be renewed yet, or still hold while new ones are being asked for."""
        if held.asking or self._clock.monotonic() < self._due(held):
            return held.issued
        issued = self._issuer.issue(task, held.type_, held.arn)
        if issued is None:
            held.asking = True
            asking = asyncio.create_task(self._ask(task, held), name=f"credentials of {task.key}")
            self._asking.add(asking)
            asking.add_done_callback(self._asked)
        else:
            _renew(held, issued)
        return held.issued

    @staticmethod
    def _due(held: _Held) -> float:
        return max(held.retry_at, held.issued.refresh_at if held.issued else 0.0)

    async def _ask(self, task: Task, held: _Held) -> None:
        try:
            _renew(held, await self._issuer.assume(task, held.type_, held.arn))
        except CannotAssumeRole as error:
            held.retry_at = self._clock.monotonic() + RETRY_S
            log.warning("role_not_assumed", task=task.key, role=held.arn, reason=str(error))
            self._note_failure(task, held, error)
        finally:
            held.asking = False
        self.wake()

    def _asked(self, asking: asyncio.Task[None]) -> None:
        self._asking.discard(asking)
        if not asking.cancelled() and (error := asking.exception()) is not None:
            log.error("asking_for_credentials_failed", exc_info=error)

    def _note_failure(self, task: Task, held: _Held, error: CannotAssumeRole) -> None:
        """Tell people why a task does not start; a task whose role AWS refuses ends, as in ECS."""
        reason = UNABLE_TO_ASSUME.format(arn=held.arn, reason=error)
        try:
            with self._state.transaction(Cause(kind="decision", id="role")) as tx:
                current = tx.get(Task, task.key)
                if current is None or held.issued is not None or current.desired_status == "STOPPED":
                    return
                if error.final:
                    tx.put(decide_stop(current, "TaskFailedToStart", reason, tx.now), reason)
                elif current.pending_reason != reason:
                    tx.put(msgspec.structs.replace(current, pending_reason=reason), reason)
        except (StoreUnavailable, TooManyPendingWrites) as failure:
            # The next attempt says it again.
            log.warning("role_failure_not_booked", task=task.key, error=type(failure).__name__)

    def _each(self) -> Iterator[_Held]:
        for held in self._held.values():
            yield from held.values()


class CredentialsOfInstances:
    """The credentials of every instance's tasks, from its first connection until it is deregistered."""

    def __init__(self, state: State, issuer: RoleCredentialsIssuer, clock: Clock) -> None:
        self._state = state
        self._issuer = issuer
        self._clock = clock
        self._instances: dict[str, InstanceCredentials] = {}

    def of(self, instance_key: str) -> InstanceCredentials:
        """Those of one instance."""
        found = self._instances.get(instance_key)
        if found is None:
            found = InstanceCredentials(self._state, self._issuer, self._clock)
            self._instances[instance_key] = found
        return found

    async def forget(self, instance_key: str) -> None:
        """Drop those of an instance that is no more."""
        found = self._instances.pop(instance_key, None)
        if found is not None:
            await found.close()

    async def close(self) -> None:
        """Ask AWS no more."""
        for instance in self._instances.values():
            await instance.close()


def _renew(held: _Held, issued: IssuedCredentials) -> None:
    held.issued, held.sent, held.acknowledged = issued, False, False


def _given(held: _Held | None) -> acs.IAMRoleCredentials | None:
    return held.issued.credentials if held is not None and held.issued is not None else None
