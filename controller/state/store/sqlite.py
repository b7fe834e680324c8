"""The SQLite store: one file in the data directory, write-ahead log, synced at every flush.

A flush is one statement for all its records and one for its history: with a busy event loop, a statement for
each row takes a hundred times as long, since every row fights for the interpreter lock.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    create_engine,
    delete,
    event,
    func,
    insert,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.exc import DatabaseError, OperationalError

from controller.state.store.interface import (
    EpochLost,
    FlushBatch,
    HistoryEntry,
    Meta,
    StoreCorrupt,
    StoredRecord,
    StoreError,
    StoreTooNew,
)

SCHEMA_VERSION = 1

BUSY_TIMEOUT_MS = 5_000
"""Milliseconds that a statement waits for another process (a backup, a curious user) to let go of the
file."""

LOAD_CHUNK = 10_000

_METADATA = MetaData()

META = Table(
    "meta",
    _METADATA,
    Column("id", Integer, primary_key=True),
    Column("schema_version", Integer, nullable=False),
    Column("store_uuid", String, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("restore_epoch", Integer, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("account", String, nullable=False),
    Column("region", String, nullable=False),
)

RECORD = Table(
    "record",
    _METADATA,
    Column("kind", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("body", Text),
    Column("deleted", Integer, nullable=False),
    Index("record_seq", "seq"),
)

HISTORY = Table(
    "history",
    _METADATA,
    Column("id", Integer, primary_key=True),
    Column("object", String, nullable=False),
    Column("at", Float, nullable=False),
    Column("kind", String, nullable=False),
    Column("body", Text, nullable=False),
    Index("history_object", "object", "id"),
)

_WRITE_RECORDS = text(
    """
    INSERT INTO record (kind, key, seq, body, deleted)
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
           json_extract(value, '$[3]'), json_extract(value, '$[3]') IS NULL
    FROM json_each(:rows) WHERE true
    ON CONFLICT (kind, key) DO UPDATE SET seq = excluded.seq, body = excluded.body, deleted = excluded.deleted
    WHERE excluded.seq > record.seq
    """
)

_WRITE_HISTORY = text(
    """
    INSERT INTO history (id, object, at, kind, body)
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
           json_extract(value, '$[3]'), json_extract(value, '$[4]')
    FROM json_each(:rows) WHERE true
    ON CONFLICT (id) DO NOTHING
    """
)


class SqliteStore:
    """A store in one SQLite file. Implements `controller.state.store.interface.Store`."""

    def __init__(self, path: Path, *, account: str, region: str, first_epoch: int = 0) -> None:
        """Open or make the file.

        `account`, `region` and `first_epoch` are written into a new store; an existing one keeps its own.

        Raises:
            StoreError: the file cannot be opened or written.
            StoreCorrupt: it is no database of ours.
            StoreTooNew: a newer version made it.
        """
        self._path = path
        self._epoch = 0
        # A write transaction takes the file's lock at its start, or it could fail half-way; a read never
        # waits for a writer.
        self._writer = _engine(path, "BEGIN IMMEDIATE")
        self._reader = _engine(path, "BEGIN")
        with self._writing() as connection:
            _METADATA.create_all(connection)
            self._create_meta(connection, account, region, first_epoch)

    def take_over(self) -> Meta:
        """Raise the epoch; see `Store.take_over`."""
        with self._writing() as connection:
            connection.execute(update(META).values(epoch=META.c.epoch + 1))
            meta = _meta(connection)
        self._epoch = meta.epoch
        return meta

    def load(self) -> Iterator[StoredRecord]:
        """Every record; see `Store.load`."""
        query = select(RECORD.c.kind, RECORD.c.key, RECORD.c.seq, RECORD.c.body).where(RECORD.c.deleted == 0)
        with self._reading() as connection:
            for chunk in connection.execute(query).partitions(LOAD_CHUNK):
                for kind, key, seq, body in chunk:
                    yield StoredRecord(kind, key, seq, body)

    def flush(self, batch: FlushBatch) -> None:
        """Write a batch; see `Store.flush`."""
        with self._writing() as connection:
            ours = connection.execute(update(META).where(META.c.epoch == self._epoch).values(seq=batch.seq))
            if ours.rowcount != 1:
                raise EpochLost(f"epoch {self._epoch} is over: another controller took {self._path} over")
            if batch.records:
                connection.execute(_WRITE_RECORDS, {"rows": _rows(batch.records)})
            if batch.history:
                connection.execute(_WRITE_HISTORY, {"rows": _rows(batch.history)})

    def read_history(
        self, object_: str, kind: str | None, before_id: int | None, limit: int
    ) -> list[HistoryEntry]:
        """Entries about an object; see `Store.read_history`."""
        query = select(HISTORY).where(HISTORY.c.object == object_)
        if kind is not None:
            query = query.where(HISTORY.c.kind == kind)
        return self._history(query, before_id, limit)

    def find_history(
        self, kind: str, object_prefix: str, before_id: int | None, limit: int
    ) -> list[HistoryEntry]:
        """Entries of a kind; see `Store.find_history`."""
        upper = object_prefix + "\U0010ffff"
        query = select(HISTORY).where(
            HISTORY.c.object >= object_prefix, HISTORY.c.object < upper, HISTORY.c.kind == kind
        )
        return self._history(query, before_id, limit)

    def walk_history(self, kind: str, object_prefix: str, after: str, limit: int) -> list[HistoryEntry]:
        """Entries of a kind by object; see `Store.walk_history`."""
        upper = object_prefix + "\U0010ffff"
        query = select(HISTORY).where(
            HISTORY.c.object > max(after, object_prefix), HISTORY.c.object < upper, HISTORY.c.kind == kind
        )
        with self._reading() as connection:
            rows = connection.execute(query.order_by(HISTORY.c.object, HISTORY.c.id).limit(limit)).all()
        return [_entry(row) for row in rows]

    def prune_history(self, older_than: float, keep_rows: int) -> int:
        """Remove old entries; see `Store.prune_history`."""
        with self._writing() as connection:
            old = connection.execute(delete(HISTORY).where(HISTORY.c.at < older_than)).rowcount
            beyond = (
                select(HISTORY.c.id)
                .order_by(HISTORY.c.id.desc())
                .limit(1)
                .offset(keep_rows)
                .scalar_subquery()
            )
            many = connection.execute(delete(HISTORY).where(HISTORY.c.id <= beyond)).rowcount
        return old + many

    def prune_removed(self, up_to_seq: int) -> int:
        """Forget removed records; see `Store.prune_removed`."""
        with self._writing() as connection:
            return connection.execute(
                delete(RECORD).where(RECORD.c.deleted == 1, RECORD.c.seq <= up_to_seq)
            ).rowcount

    def check(self) -> None:
        """Ask the file something; see `Store.check`."""
        with self._reading() as connection:
            connection.execute(select(func.count()).select_from(META))

    def close(self) -> None:
        """Close the file."""
        self._writer.dispose()
        self._reader.dispose()

    def _create_meta(self, connection: Connection, account: str, region: str, first_epoch: int) -> None:
        if connection.execute(select(func.count()).select_from(META)).scalar_one():
            version = _meta(connection).schema_version
            if version > SCHEMA_VERSION:
                raise StoreTooNew(
                    f"{self._path} has schema version {version}, this version knows {SCHEMA_VERSION}: "
                    "run the newer version"
                )
            return
        connection.execute(
            insert(META).values(
                id=1,
                schema_version=SCHEMA_VERSION,
                store_uuid=str(uuid.uuid4()),
                epoch=first_epoch,
                restore_epoch=0,
                seq=0,
                account=account,
                region=region,
            )
        )

    def _history(self, query: Any, before_id: int | None, limit: int) -> list[HistoryEntry]:
        if before_id is not None:
            query = query.where(HISTORY.c.id < before_id)
        with self._reading() as connection:
            rows = connection.execute(query.order_by(HISTORY.c.id.desc()).limit(limit)).all()
        return [_entry(row) for row in rows]

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with _translated(self._path), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with _translated(self._path), self._reader.connect() as connection:
            yield connection


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise StoreError(f"{path}: {error.orig}") from error
    except DatabaseError as error:
        raise StoreCorrupt(f"{path}: {error.orig}") from error


def _entry(row: Row[Any]) -> HistoryEntry:
    return HistoryEntry(row.id, row.object, row.at, row.kind, row.body)


def _rows(items: Any) -> str:
    return msgspec.json.encode([msgspec.structs.astuple(item) for item in items]).decode()


def _meta(connection: Connection) -> Meta:
    row: Row[Any] = connection.execute(select(META).where(literal_column("id") == 1)).one()
    return Meta(
        row.schema_version, row.store_uuid, row.epoch, row.restore_epoch, row.seq, row.account, row.region
    )


def _engine(path: Path, begin: str) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}", connect_args={"check_same_thread": False}, pool_size=1, max_overflow=0
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        # The driver's own transaction control would begin too late; SQLAlchemy's `begin` below does it
        # instead.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
