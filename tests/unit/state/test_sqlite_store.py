"""The SQLite store: identity, epochs, locks, and what it says of files that it must not touch."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from controller.state.store.interface import (
    EpochLost,
    FlushBatch,
    StoreCorrupt,
    StoredRecord,
    StoreError,
    StoreInUse,
    StoreTooNew,
)
from controller.state.store.lock import DataDirectoryLock
from controller.state.store.sqlite import SqliteStore


def open_store(path: Path) -> SqliteStore:
    """The store of a test."""
    return SqliteStore(path, account="000000000000", region="us-east-1")


def test_a_store_keeps_its_identity_and_raises_its_epoch(store_path: Path) -> None:
    with closing(open_store(store_path)) as store:
        first = store.take_over()
    with closing(SqliteStore(store_path, account="999999999999", region="elsewhere")) as store:
        second = store.take_over()
    assert (second.store_uuid, second.account, second.region) == (
        first.store_uuid,
        "000000000000",
        "us-east-1",
    )
    assert second.epoch == first.epoch + 1


def test_a_new_store_begins_with_the_epoch_it_is_given_and_an_old_one_keeps_its_own(store_path: Path) -> None:
    epochs = []
    for first_epoch in (95_000_000, 96_000_000):
        with closing(SqliteStore(store_path, account="0", region="r", first_epoch=first_epoch)) as store:
            epochs.append(store.take_over().epoch)
    assert epochs == [95_000_001, 95_000_002]


def test_a_flush_under_a_lost_epoch_writes_nothing(store_path: Path) -> None:
    batch = FlushBatch(5, [StoredRecord("cluster", "default", 5, "[1,{}]")], [])
    with closing(open_store(store_path)) as old, closing(open_store(store_path)) as new:
        old.take_over()
        new.take_over()
        with pytest.raises(EpochLost):
            old.flush(batch)
        assert list(new.load()) == []
        new.flush(batch)
        assert list(new.load()) == list(batch.records)


def test_an_older_version_of_a_record_never_replaces_a_newer_one(store_path: Path) -> None:
    with closing(open_store(store_path)) as store:
        store.take_over()
        newer = StoredRecord("cluster", "default", 9, '[1,{"name":"new"}]')
        store.flush(FlushBatch(9, [newer], []))
        store.flush(FlushBatch(9, [StoredRecord("cluster", "default", 8, '[1,{"name":"old"}]')], []))
        assert list(store.load()) == [newer]


def test_a_removed_record_is_not_loaded_and_is_forgotten_later(store_path: Path) -> None:
    with closing(open_store(store_path)) as store:
        store.take_over()
        store.flush(
            FlushBatch(
                1, [StoredRecord("cluster", "a", 1, "[1,{}]"), StoredRecord("cluster", "b", 2, None)], []
            )
        )
        assert [record.key for record in store.load()] == ["a"]
        assert store.prune_removed(1) == 0
        assert store.prune_removed(2) == 1


def test_bodies_with_any_characters_come_back_unchanged(store_path: Path) -> None:
    body = '[1,{"text":"\\u0000 é 😀 \\" \\\\ \\n","number":12345678901234567890,"float":0.1}]'
    with closing(open_store(store_path)) as store:
        store.take_over()
        store.flush(FlushBatch(1, [StoredRecord("cluster", "ü/'\"", 1, body)], []))
        assert [(record.key, record.body) for record in store.load()] == [("ü/'\"", body)]


def test_a_file_that_is_no_database_is_left_alone(store_path: Path) -> None:
    content = b"this is a shopping list, not a database at all; " * 30
    store_path.write_bytes(content)
    with pytest.raises(StoreCorrupt, match="not a database"):
        open_store(store_path)
    assert store_path.read_bytes() == content


def test_a_newer_schema_is_refused(store_path: Path) -> None:
    with closing(open_store(store_path)):
        pass
    with closing(sqlite3.connect(store_path)) as connection, connection:
        connection.execute("UPDATE meta SET schema_version = 2")
    with pytest.raises(StoreTooNew, match="schema version 2"):
        open_store(store_path)


def test_a_directory_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open"):
        open_store(tmp_path / "missing" / "state.db")


def test_two_controllers_never_share_a_data_directory(tmp_path: Path) -> None:
    lock = DataDirectoryLock(tmp_path)
    with pytest.raises(StoreInUse, match="--data-dir"):
        DataDirectoryLock(tmp_path)
    lock.release()
    DataDirectoryLock(tmp_path).release()
