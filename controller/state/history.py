"""What happened: causes, service events and ended tasks, by object and time. Appended with the flush that it
belongs to, never loaded."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from typing import TYPE_CHECKING

import msgspec
import structlog

from agent.protocol.clock import Clock
from controller.state.changes import Cause
from controller.state.codec import decode_deployment, decode_task, encode
from controller.state.entities import Deployment, Task, task_key
from controller.state.flusher import Flusher
from controller.state.store.interface import HistoryEntry, Store, StoreError

if TYPE_CHECKING:
    from controller.state.kernel import Transaction

log = structlog.get_logger(__name__)

KEEP_S = 7 * 24 * 3600.0
"""Seconds that history is kept: a week, so that Monday can explain the Tuesday before."""

KEEP_ROWS = 1_000_000
"""Lines of history kept at most, whatever their age."""

PRUNE_INTERVAL_S = 3600.0


class CauseLine(msgspec.Struct, frozen=True):
    """Body of an entry of kind `cause`: who brought a change about, and a sentence on it."""

    cause: str
    id: str
    caller: str
    sentence: str


def retire_deployment(transaction: Transaction, deployment: Deployment) -> None:
    """Move a deployment that has left its service to the history, where it stays describable for `KEEP_S`."""
    transaction.record_event(f"deployment:{deployment.key}", "deployment", encode(deployment))
    transaction.delete(Deployment, deployment.key)


class History:
    """Append-only lines, written by the flusher and read back from the store."""

    def __init__(self, store: Store, flusher: Flusher, executor: Executor, clock: Clock) -> None:
        self._store = store
        self._flusher = flusher
        self._executor = executor
        self._clock = clock

    def append(self, object_: str, kind: str, body: str) -> int:
        """Add a line to the next flush; returns its number."""
        return self._flusher.add_history(object_, self._clock.now(), kind, body)

    def cause_body(self, cause: Cause, sentence: str) -> str:
        """The body of a line that tells why a record changed."""
        return msgspec.json.encode(CauseLine(cause.kind, cause.id, cause.caller, sentence)).decode()

    async def recent(
        self, object_: str, kind: str | None, limit: int, before_id: int | None = None
    ) -> list[HistoryEntry]:
        """Lines about an object (`kind:key`), newest first; those of transactions committed before the call
        are among them.

        Raises:
            StoreError: the store cannot be read now.
        """
        await self._flusher.flushed(self._flusher.newest)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._executor, self._store.read_history, object_, kind, before_id, limit
        )

    async def find(
        self, kind: str, object_prefix: str, limit: int, before_id: int | None = None
    ) -> list[HistoryEntry]:
        """Lines of one kind about objects whose name starts with a prefix, newest first. Raises as `recent`
        does."""
        await self._flusher.flushed(self._flusher.newest)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._executor, self._store.find_history, kind, object_prefix, before_id, limit
        )

    def retire_task(self, transaction: Transaction, task: Task) -> None:
        """Move an ended task from the state to the history, where it stays describable for `KEEP_S`."""
        transaction.record_event(f"task:{task.key}", "task", encode(task))
        transaction.delete(Task, task.key)

    async def ended_task(self, cluster: str, task_id: str) -> Task | None:
        """A task that retired to the history, or None. Raises as `recent` does."""
        entries = await self.recent(f"task:{task_key(cluster, task_id)}", "task", 1)
        return decode_task(entries[0].body) if entries else None

    async def ended_tasks(self, cluster: str, after_id: str, limit: int) -> list[Task]:
        """Tasks of a cluster that retired to the history, by id, from the first after `after_id` on. Raises
        as `recent` does."""
        await self._flusher.flushed(self._flusher.newest)
        prefix = f"task:{task_key(cluster, '')}"
        loop = asyncio.get_running_loop()
        entries = await loop.run_in_executor(
            self._executor, self._store.walk_history, "task", prefix, prefix + after_id, limit
        )
        return [decode_task(entry.body) for entry in entries]

    async def ended_deployment(self, key: str) -> Deployment | None:
        """A deployment that left its service, by its key, or None. Raises as `recent` does."""
        entries = await self.recent(f"deployment:{key}", "deployment", 1)
        return decode_deployment(entries[0].body) if entries else None

    async def ended_deployments(self, service: str, limit: int) -> list[Deployment]:
        """The newest deployments that left a service, by the service's key. Raises as `recent` does."""
        entries = await self.find("deployment", f"deployment:{service}/", limit)
        return [decode_deployment(entry.body) for entry in entries]

    async def run(self) -> None:
        """Prune what is too old or too much, every hour, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(PRUNE_INTERVAL_S)
            try:
                removed = await loop.run_in_executor(
                    self._executor, self._store.prune_history, self._clock.now() - KEEP_S, KEEP_ROWS
                )
                await loop.run_in_executor(
                    self._executor, self._store.prune_removed, self._flusher.newest - KEEP_ROWS
                )
            except StoreError as error:
                log.warning("history_not_pruned", error=str(error), retry_in_s=PRUNE_INTERVAL_S)
            else:
                log.info("history_pruned", removed=removed)
