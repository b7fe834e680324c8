"""Group flush: what transactions put is written together, in one store transaction at a time, while the next
group gathers.

A flush that fails is kept and tried again; it is idempotent by its numbers. While the store has failed for a
second, new writes are refused before they apply and reads go on. The process ends only when the store was
taken over or is found corrupt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

import structlog

from agent.protocol.clock import Clock
from controller.state.changes import Change, Subscriber
from controller.state.codec import encode
from controller.state.entities import Entity
from controller.state.store.interface import FlushBatch, HistoryEntry, StoredRecord, StoreError

log = structlog.get_logger(__name__)

REFUSE_AFTER_S = 1.0
"""Seconds of failing flushes after which new writes are refused: longer would promise more than memory may
keep."""

RETRY_DELAYS_S = (0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Seconds between tries of a failing flush; the last repeats."""

MAX_PENDING = 200_000
"""Records and history lines that may wait for a flush; beyond it the store cannot keep up and callers must
slow down."""

Flushed = Callable[[Sequence[tuple[type[Entity], str, int]]], None]
Observer = Callable[[float, int], None]


class StoreUnavailable(Exception):
    """The store has failed for a second: nothing can be promised, so nothing is accepted. Trying again later
    may help."""


class TooManyPendingWrites(Exception):
    """More waits for the store than it can take: callers must slow down."""


class _Group:
    """What gathers for one flush."""

    def __init__(self, done: asyncio.Future[None]) -> None:
        self.records: dict[tuple[type[Entity], str], tuple[int, Entity | None]] = {}
        self.history: list[HistoryEntry] = []
        self.changes: list[Change] = []
        self.seq = 0
        self.done = done

    def batch(self) -> FlushBatch:
        """The group as the store takes it. A record put several times is written once, in its newest
        version."""
        records = [
            StoredRecord(kind.kind, key, seq, None if entity is None else encode(entity))
            for (kind, key), (seq, entity) in self.records.items()
        ]
        return FlushBatch(self.seq, records, self.history)


class Flusher:
    """Gathers changes and writes them, one group after the other."""

    def __init__(
        self, write: Callable[[FlushBatch], None], executor: Executor, clock: Clock, last_seq: int
    ) -> None:
        self._write = write
        self._executor = executor
        self._clock = clock
        self._seq = last_seq
        self._flushed_seq = last_seq
        self._gathering = self._new_group()
        self._writing: _Group | None = None
        self._wake = asyncio.Event()
        self._subscribers: list[Subscriber] = []
        self._on_flushed: list[Flushed] = []
        self._observers: list[Observer] = []
        self._failing_since: float | None = None

    @property
    def newest(self) -> int:
        """The newest number given."""
        return self._seq

    @property
    def failing_for_s(self) -> float:
        """Seconds since flushes began to fail; 0 when they do not."""
        return 0.0 if self._failing_since is None else self._clock.monotonic() - self._failing_since

    def subscribe(self, subscriber: Subscriber) -> None:
        """Have a callback see the changes of every flush."""
        self._subscribers.append(subscriber)

    def on_flushed(self, callback: Flushed) -> None:
        """Have a callback learn which record numbers became durable, before the subscribers see the
        changes."""
        self._on_flushed.append(callback)

    def observe(self, observer: Observer) -> None:
        """Have a callback see the duration in seconds and the number of records of every flush."""
        self._observers.append(observer)

    def admit(self) -> None:
        """Raise unless a durable write may be accepted now.

        Raises:
            StoreUnavailable: flushes have failed for `REFUSE_AFTER_S`.
            TooManyPendingWrites: `MAX_PENDING` records wait already.
        """
        if self.failing_for_s > REFUSE_AFTER_S:
            raise StoreUnavailable
        if len(self._gathering.changes) + len(self._gathering.history) >= MAX_PENDING:
            raise TooManyPendingWrites

    def add_change(self, change: Change) -> int:
        """Take a change into the next flush; returns its number, 0 for a volatile record."""
        group = self._gathering
        group.changes.append(change)
        self._wake.set()
        if not change.kind.durable:
            return 0
        self._seq += 1
        group.seq = self._seq
        group.records[change.kind, change.key] = (self._seq, change.new)
        return self._seq

    def add_history(self, object_: str, at: float, kind: str, body: str) -> int:
        """Take a line of history into the next flush; returns its number."""
        self._seq += 1
        self._gathering.seq = self._seq
        self._gathering.history.append(HistoryEntry(self._seq, object_, at, kind, body))
        self._wake.set()
        return self._seq

    async def flushed(self, seq: int) -> None:
        """Wait until everything up to a number is durable."""
        while seq > self._flushed_seq:
            writing = self._writing
            group = writing if writing is not None and seq <= writing.seq else self._gathering
            await asyncio.shield(group.done)

    async def run(self) -> None:
        """Write group after group, for ever.

        Raises:
            EpochLost: another controller took the store over.
            StoreCorrupt: the store is damaged.
        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.flush_once()

    async def drain(self) -> None:
        """Write all that is left after `run` was cancelled, which may have been in the middle of a group."""
        if self._writing is not None:
            await self._flush(self._writing)
        await self.flush_once()

    async def flush_once(self) -> None:
        """Write what has gathered. Raises as `run` does."""
        if self._gathering.changes or self._gathering.history:
            group, self._gathering = self._gathering, self._new_group()
            await self._flush(group)

    async def _flush(self, group: _Group) -> None:
        self._writing = group
        if group.seq:
            await self._write_until_done(group.batch())
            self._flushed_seq = group.seq
        self._writing = None
        for callback in self._on_flushed:
            callback([(kind, key, seq) for (kind, key), (seq, _) in group.records.items()])
        group.done.set_result(None)
        for subscriber in self._subscribers:
            subscriber(group.changes)

    async def _write_until_done(self, batch: FlushBatch) -> None:
        loop = asyncio.get_running_loop()
        started = self._clock.monotonic()
        tries = 0
        while True:
            try:
                await loop.run_in_executor(self._executor, self._write, batch)
            except StoreError as error:
                if self._failing_since is None:
                    self._failing_since = self._clock.monotonic()
                log.warning("flush_failed", error=str(error), records=len(batch.records), tries=tries + 1)
                await asyncio.sleep(RETRY_DELAYS_S[min(tries, len(RETRY_DELAYS_S) - 1)])
                tries += 1
                continue
            if self._failing_since is not None:
                log.warning("flush_works_again", failing_for_s=round(self.failing_for_s, 3))
                self._failing_since = None
            break
        for observer in self._observers:
            observer(self._clock.monotonic() - started, len(batch.records) + len(batch.history))

    def _new_group(self) -> _Group:
        return _Group(asyncio.get_running_loop().create_future())
