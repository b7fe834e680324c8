"""What leaves the state in its time: ended tasks, for the history; client tokens, task definitions and
everything else that was deleted, for good."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

import structlog

from agent.protocol.clock import Clock
from controller.services.definitions import unused_definitions
from controller.state.changes import Cause, Change
from controller.state.entities import (
    CapacityProvider,
    Cluster,
    ContainerInstance,
    Deployment,
    RunTaskToken,
    Service,
    Task,
    TaskDefinition,
)
from controller.state.flusher import StoreUnavailable, TooManyPendingWrites
from controller.state.history import KEEP_S
from controller.state.indexes import DEPLOYMENTS_OF_SERVICE, ENDED_TASKS
from controller.state.kernel import State, Transaction
from controller.state.lifecycle import holds_resources, is_ended

log = structlog.get_logger(__name__)

KEEP_ENDED_S = 3600.0
"""Seconds that an ended task stays in the state, as long as ECS shows it at least."""
KEEP_TOKENS_S = 24 * 3600.0
"""Seconds for which a RunTask call with the same client token starts nothing again."""
KEEP_DELETED_S = KEEP_S
"""Seconds that what was deleted stays describable, as long as what happened to it is known."""
MOST_DELETED = 1000
"""Deleted records of one kind that are kept at most, whatever their age."""
TURN_INTERVAL_S = 10.0
DEPARTURES_PER_TURN = 500
"""Tasks, and tokens, that leave at once at most; fifty a second are more than a cluster ends for long."""


Deletable = CapacityProvider | Cluster | ContainerInstance | Service
"""Kinds whose deleted records are INACTIVE for a while; a name or id may come back meanwhile."""
DELETABLE: tuple[type[Deletable], ...] = (CapacityProvider, Cluster, ContainerInstance, Service)

T = TypeVar("T")


class _Departures(Generic[T]):
    """What is to leave, in order: keys or records. All stay equally long, so the first is due first.

    Of more than `most` the first leave before their time.
    """

    def __init__(self, clock: Clock, keep_s: float, most: int | None = None) -> None:
        self._clock = clock
        self._keep_s = keep_s
        self._most = most
        self._leaving: deque[tuple[float, T]] = deque()
        """Monotonic time at which something leaves, and what."""

    def load(self, begun: Iterable[tuple[float, T]]) -> None:
        """Add what had begun to wait before this process did, by wall time: it stays for what is left."""
        now, wall = self._clock.monotonic(), self._clock.now()
        for at, item in sorted(begun, key=lambda entry: entry[0]):
            age = min(max(0.0, wall - at), self._keep_s)
            self._leaving.append((now + self._keep_s - age, item))

    def add(self, item: T) -> None:
        """Add what begins to wait now."""
        self._leaving.append((self._clock.monotonic() + self._keep_s, item))

    def due(self) -> list[T]:
        """What comes next and whose time has come, some at a time."""
        now = self._clock.monotonic()
        too_many = len(self._leaving) - self._most if self._most is not None else 0
        items: list[T] = []
        for at, item in self._leaving:
            if (at > now and len(items) >= too_many) or len(items) == DEPARTURES_PER_TURN:
                break
            items.append(item)
        return items

    def gone(self, number: int) -> None:
        """Forget the first: they have left."""
        for _ in range(number):
            self._leaving.popleft()


class Retirement:
    """Lets ended tasks, old client tokens, deleted records and unused deleted definitions go when their time
    has come."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._tasks: _Departures[str] = _Departures(clock, KEEP_ENDED_S)
        self._tokens: _Departures[str] = _Departures(clock, KEEP_TOKENS_S)
        self._deleted: dict[type[Deletable], _Departures[Deletable]] = {
            kind: _Departures(clock, KEEP_DELETED_S, MOST_DELETED) for kind in DELETABLE
        }
        read, wall = state.read(), clock.now()
        ended = read.select(ENDED_TASKS, True).values()
        self._tasks.load((task.stopped_at or wall, task.key) for task in ended)
        self._tokens.load((token.created_at, token.key) for token in read.all(RunTaskToken).values())
        for kind, departures in self._deleted.items():
            deleted = (record for record in read.all(kind).values() if _is_deleted(record))
            departures.load((record.deleted_at or wall, record) for record in deleted)
        state.subscribe(self._on_changes)

    async def run(self) -> None:
        """Work for ever."""
        while True:
            try:
                self._turn()
            except (StoreUnavailable, TooManyPendingWrites) as error:
                log.warning("retirement_postponed", reason=str(error) or type(error).__name__)
            await asyncio.sleep(TURN_INTERVAL_S)

    def _on_changes(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change.new, Task) and _is_over(change.new) and not _is_over(change.old):
                self._tasks.add(change.key)
            elif isinstance(change.new, RunTaskToken) and change.old is None:
                self._tokens.add(change.key)
            elif (
                isinstance(change.new, DELETABLE) and _is_deleted(change.new) and not _is_deleted(change.old)
            ):
                self._deleted[type(change.new)].add(change.new)

    def _turn(self) -> None:
        tasks, tokens = self._tasks.due(), self._tokens.due()
        deleted = {kind: departures.due() for kind, departures in self._deleted.items()}
        definitions = unused_definitions(self._state.read())
        if not (tasks or tokens or any(deleted.values()) or definitions):
            return
        with self._state.transaction(Cause("timer", "retirement")) as transaction:
            for key in tasks:
                task = transaction.get(Task, key)
                if task is not None:
                    self._state.history.retire_task(transaction, task)
            for key in tokens:
                transaction.delete(RunTaskToken, key)
            for records in deleted.values():
                for record in records:
                    _remove(transaction, record)
            for definition in definitions:
                transaction.delete(TaskDefinition, definition.key, "nothing refers to it any more")
        self._tasks.gone(len(tasks))
        self._tokens.gone(len(tokens))
        for kind, records in deleted.items():
            self._deleted[kind].gone(len(records))
        log.debug(
            "retired",
            tasks=len(tasks),
            tokens=len(tokens),
            deleted=sum(map(len, deleted.values())),
            definitions=len(definitions),
        )


def _remove(transaction: Transaction, deleted: Deletable) -> None:
    """Remove a deleted record, a service with its deployments, unless its name or id was used again since."""
    present = transaction.get(type(deleted), deleted.key)
    if present is None or not _is_deleted(present) or present.deleted_at != deleted.deleted_at:
        return
    if isinstance(deleted, Service):
        for key in list(transaction.select(DEPLOYMENTS_OF_SERVICE, deleted.key)):
            transaction.delete(Deployment, key)
    transaction.delete(type(deleted), deleted.key, "deleted long ago")


def _is_deleted(record: object) -> bool:
    return isinstance(record, DELETABLE) and record.status == "INACTIVE"


def _is_over(task: object) -> bool:
    """Whether a task has ended and holds nothing on its instance any more."""
    return isinstance(task, Task) and is_ended(task) and not holds_resources(task)
