"""The flush while the event loop is saturated, beside the row-by-row flush that it replaced.

Full mode: `HOMEPORT_BENCHMARKS=full pytest -s tests/benchmarks/test_flush.py`.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from controller.state.codec import encode
from controller.state.store.interface import FlushBatch, StoredRecord
from controller.state.store.sqlite import SqliteStore
from tests.benchmarks.report import FULL, say
from tests.unit.state.samples import task

RECORDS = 1_000
ROUNDS = 15 if FULL else 5
ROUNDS_BY_ROW = 7 if FULL else 1
"""Rounds of the slow way, each of which takes seconds."""


def _batch(round_number: int) -> FlushBatch:
    first = round_number * RECORDS
    records = [
        StoredRecord("task", task(first + number).key, first + number + 1, encode(task(first + number)))
        for number in range(RECORDS)
    ]
    return FlushBatch(first + RECORDS, records, [])


async def _saturate() -> None:
    """Handlers that run one after the other, a few milliseconds each, as under full load."""
    while True:
        sum(range(200_000))
        await asyncio.sleep(0)


async def _measure(flush: Callable[[FlushBatch], None], rounds: int) -> list[float]:
    saturating = asyncio.create_task(_saturate())
    seconds = []
    for round_number in range(rounds):
        batch = _batch(round_number)
        started = time.perf_counter()
        await asyncio.to_thread(flush, batch)
        seconds.append(time.perf_counter() - started)
    saturating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saturating
    return seconds


async def test_a_flush_is_one_statement_and_hardly_feels_a_busy_loop(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "one-statement.db", account="0", region="r")) as store:
        store.take_over()
        one_statement = await _measure(store.flush, ROUNDS)
        assert sum(1 for _ in store.load()) == RECORDS * ROUNDS

    connection = sqlite3.connect(tmp_path / "rows.db", check_same_thread=False)
    with closing(connection):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE record (kind, key, seq, body, deleted, PRIMARY KEY (kind, key))")

        def flush_rows(batch: FlushBatch) -> None:
            with connection:
                connection.executemany(
                    "INSERT INTO record VALUES (?, ?, ?, ?, 0)",
                    [(record.kind, record.key, record.seq, record.body) for record in batch.records],
                )

        by_rows = await _measure(flush_rows, ROUNDS_BY_ROW)
    say(f"flush of {RECORDS} records, one statement, busy loop", one_statement, "s")
    say(f"flush of {RECORDS} records, row by row, busy loop", by_rows, "s")
    say(
        "one statement against row by row", [a / b for a, b in zip(one_statement, by_rows, strict=False)], "x"
    )
