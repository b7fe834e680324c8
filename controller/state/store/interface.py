"""What the state needs of a store: a dozen verbs, each one statement or one transaction of the database
behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec


class StoreError(Exception):
    """The store did not do what was asked, for now: a full disk, a locked or unreachable database. Trying
    again may help."""


class EpochLost(Exception):
    """Another controller took this store over. This one must end at once: nothing it does may be believed any
    more."""


class StoreCorrupt(Exception):
    """The store holds what no version of this program can have written."""


class StoreTooNew(Exception):
    """The store was written by a newer version; this one must not touch it."""


class StoreInUse(Exception):
    """Another controller has the store open."""


class Meta(msgspec.Struct, frozen=True):
    """What a store is: one row."""

    schema_version: int
    store_uuid: str
    epoch: int
    """Grows, durably, at every start, failover and restore."""
    restore_epoch: int
    """The epoch in which the store was last restored from a backup; 0 for never."""
    seq: int
    """Number of the newest record at the time of the last flush."""
    account: str
    region: str


class StoredRecord(msgspec.Struct, frozen=True, gc=False):
    """The newest version of one record. `body` is None for a removed record."""

    kind: str
    key: str
    seq: int
    body: str | None


class HistoryEntry(msgspec.Struct, frozen=True, gc=False):
    """One line of history: append-only, by object and time."""

    id: int
    """From the same counter as record numbers, so that a repeated flush adds nothing twice."""
    object: str
    """What the entry is about, as `kind:key`."""
    at: float
    """Wall time, epoch seconds."""
    kind: str
    body: str


class FlushBatch(msgspec.Struct, frozen=True):
    """What one flush writes. `seq` is the newest number in it."""

    seq: int
    records: Sequence[StoredRecord]
    history: Sequence[HistoryEntry]


class Store(Protocol):
    """A durable home for records. All verbs block and are called from threads, never from the event loop.

    Every verb raises `StoreError` for a passing fault, `EpochLost` where it writes, and `StoreCorrupt` for
    damage.
    """

    def take_over(self) -> Meta:
        """Make this process the store's only writer: raise the epoch, durably, and return what the store
        is."""

    def load(self) -> Iterator[StoredRecord]:
        """Every record that is not removed, in no order."""

    def flush(self, batch: FlushBatch) -> None:
        """Write a batch in one transaction, if the epoch is still ours. Writing the same batch again changes
        nothing."""

    def read_history(
        self, object_: str, kind: str | None, before_id: int | None, limit: int
    ) -> list[HistoryEntry]:
        """Entries about an object, newest first."""

    def find_history(
        self, kind: str, object_prefix: str, before_id: int | None, limit: int
    ) -> list[HistoryEntry]:
        """Entries of one kind about objects whose name starts with a prefix, newest first."""

    def walk_history(self, kind: str, object_prefix: str, after: str, limit: int) -> list[HistoryEntry]:
        """Entries of one kind about objects whose name starts with a prefix and comes after `after`, by
        name."""

    def prune_history(self, older_than: float, keep_rows: int) -> int:
        """Remove entries older than a wall time, and the oldest beyond a number of rows. Returns how many
        went."""

    def prune_removed(self, up_to_seq: int) -> int:
        """Forget removed records up to a number. Returns how many went."""

    def check(self) -> None:
        """Raise unless the store answers; for health and diagnosis."""

    def close(self) -> None:
        """Let go of the store and its lock."""
