"""The state: every record in memory, one writer, and nothing visible outside before it is durable.

A transaction contains no await. Its puts apply in memory at once and join the next group flush. Whoever
answers somebody outside waits for `State.flushed` with the newest number that it touched, reads and
idempotent replays included, so that what a reader saw before a crash exists after it. Subscribers (loops, the
gateway, event streams) see changes only after their flush.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from agent.protocol.clock import Clock
from controller.state.changes import Cause, Change, Subscriber
from controller.state.entities import KINDS, Entity, Task
from controller.state.flusher import Flusher
from controller.state.history import History
from controller.state.indexes import INDEXES, Buckets, Index
from controller.state.names import Names
from controller.state.store.interface import Meta
from controller.state.usage import InstanceUsage, UsageByInstance

E = TypeVar("E", bound=Entity)


class Table:
    """The records of one kind, and the numbers of those whose flush is still to come."""

    __slots__ = ("indexes", "newest", "pending", "records")

    def __init__(self) -> None:
        self.records: dict[str, Any] = {}
        self.pending: dict[str, int] = {}
        self.newest = 0
        self.indexes: list[Buckets[Any]] = []


class Reader:
    """Reads of one request or decision. `touched` is the newest record number that it saw: wait for it before
    answering."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.touched = 0

    def get(self, kind: type[E], key: str) -> E | None:
        """The record of a kind with a key, or None. A missing record counts as seen too: its removal may be
        unflushed."""
        table = self._state.tables[kind]
        seq = table.pending.get(key)
        if seq is not None and seq > self.touched:
            self.touched = seq
        record: E | None = table.records.get(key)
        return record

    def select(self, index: Index[E], value: Hashable) -> Mapping[str, E]:
        """Records of an index under a value, by key. A live view: copy it before changing what it shows."""
        table = self._state.tables[index.kind]
        if table.pending and table.newest > self.touched:
            self.touched = table.newest
        return self._state.buckets[index].bucket(value)

    def all(self, kind: type[E]) -> Mapping[str, E]:
        """Every record of a kind, by key. A live view."""
        table = self._state.tables[kind]
        if table.pending and table.newest > self.touched:
            self.touched = table.newest
        return table.records

    def usage(self, instance: str) -> InstanceUsage:
        """What the tasks placed on an instance (by its key) reserve."""
        self.all(Task)  # what is counted follows from tasks, whose flush may be to come
        return self._state.usage.of(instance)

    @property
    def names(self) -> Names:
        """How this controller names things: its account and region."""
        return self._state.names

    @property
    def meta(self) -> Meta:
        """What the store is: its UUID, the running epoch, account and region."""
        return self._state.meta


class Transaction(Reader):
    """Changes that stand or fall together. Use it in a `with` block that holds no await: an exception undoes
    every put."""

    def __init__(self, state: State, cause: Cause) -> None:
        super().__init__(state)
        self.cause = cause
        self._undo: list[tuple[type[Entity], str, Entity | None]] = []
        self._changes: list[Change] = []
        self._history: list[tuple[str, str, str]] = []

    @property
    def now(self) -> float:
        """Wall time, epoch seconds."""
        return self._state.clock.now()

    def put(self, entity: Entity, sentence: str = "") -> None:
        """Store a record in place of the one with its key. `sentence` says why, for the object's timeline.

        Raises:
            StoreUnavailable: the store has failed for a second; nothing may be promised now.
            TooManyPendingWrites: more is waiting for the store than it should.
        """
        self._replace(type(entity), entity.key, entity, sentence)

    def delete(self, kind: type[Entity], key: str, sentence: str = "") -> None:
        """Remove a record; removing a missing one changes nothing. Raises as `put` does."""
        if key in self._state.tables[kind].records:
            self._replace(kind, key, None, sentence)

    def record_event(self, object_: str, kind: str, body: str) -> None:
        """Add a line to the history of an object, in the same flush as this transaction's puts."""
        self._history.append((object_, kind, body))

    def _replace(self, kind: type[Entity], key: str, new: Entity | None, sentence: str) -> None:
        if kind.durable:
            self._state.flusher.admit()
        old = self._state.apply(kind, key, new)
        self._undo.append((kind, key, old))
        self._changes.append(Change(kind, key, old, new, self.cause))
        if sentence:
            self._history.append(
                (f"{kind.kind}:{key}", "cause", self._state.history.cause_body(self.cause, sentence))
            )

    def __enter__(self) -> Self:
        self._state.begin(self)
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._state.end()
        if error is None:
            self.touched = max(self.touched, self._state.commit(self._changes, self._history))
            return
        for kind, key, old in reversed(self._undo):
            self._state.apply(kind, key, old)


class NestedTransaction(Exception):
    """A transaction was begun inside another one: the two could not stand or fall together."""


class State:
    """All records, their indexes, the flusher and the subscribers."""

    def __init__(self, meta: Meta, flusher: Flusher, history: History, clock: Clock) -> None:
        self.meta = meta
        self.names = Names(account=meta.account, region=meta.region)
        self.clock = clock
        self.flusher = flusher
        self.history = history
        self.usage = UsageByInstance()
        self.tables: dict[type[Entity], Table] = {kind: Table() for kind in KINDS}
        self.buckets: dict[Index[Any], Buckets[Any]] = {index: Buckets(index) for index in INDEXES}
        for index, buckets in self.buckets.items():
            self.tables[index.kind].indexes.append(buckets)
        self._open: Transaction | None = None
        self._closers: tuple[Callable[[], None], ...] = ()
        flusher.on_flushed(self._forget_pending)

    def read(self) -> Reader:
        """A reader that notes what it touches."""
        return Reader(self)

    def transaction(self, cause: Cause) -> Transaction:
        """A transaction, to be used in a `with` block without an await."""
        return Transaction(self, cause)

    async def flushed(self, seq: int) -> None:
        """Wait until every record up to a number is durable. Normally it is, and this does not wait at
        all."""
        await self.flusher.flushed(seq)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Have a callback see every change after its flush, in order."""
        self.flusher.subscribe(subscriber)

    async def run(self) -> None:
        """Flush what transactions put, for ever. Raises EpochLost or StoreCorrupt when the process must
        end."""
        await self.flusher.run()

    async def close(self) -> None:
        """Write what has gathered and let go of the store, which happens even if the writing raises."""
        try:
            await self.flusher.drain()
        finally:
            for closer in self._closers:
                closer()

    def on_close(self, *closers: Callable[[], None]) -> None:
        """Have callbacks let go of what the state was opened with."""
        self._closers = closers

    def begin(self, transaction: Transaction) -> None:
        """Note the open transaction; there is one at a time."""
        if self._open is not None:
            raise NestedTransaction
        self._open = transaction

    def end(self) -> None:
        """Note that the open transaction ended, well or not."""
        self._open = None

    def apply(self, kind: type[Entity], key: str, new: Entity | None) -> Entity | None:
        """Put or remove a record in memory and in its indexes; returns the record that was there."""
        table = self.tables[kind]
        old: Entity | None = table.records.get(key)
        if new is None:
            table.records.pop(key, None)
        else:
            table.records[key] = new
        for buckets in table.indexes:
            buckets.replace(key, old, new)
        self.usage.replace(old, new)
        return old

    def restore(self, entities: Iterable[Entity]) -> None:
        """Fill the tables with what was loaded, before anybody reads."""
        for entity in entities:
            self.apply(type(entity), entity.key, entity)

    def commit(self, changes: list[Change], history: list[tuple[str, str, str]]) -> int:
        """Hand a transaction's changes to the next flush; returns the newest number given."""
        newest = 0
        for change in changes:
            seq = self.flusher.add_change(change)
            if seq:
                table = self.tables[change.kind]
                table.pending[change.key] = table.newest = newest = seq
        for object_, kind, body in history:
            newest = self.history.append(object_, kind, body)
        return newest

    def _forget_pending(self, changes: Iterable[tuple[type[Entity], str, int]]) -> None:
        for kind, key, seq in changes:
            pending = self.tables[kind].pending
            if pending.get(key) == seq:
                del pending[key]
