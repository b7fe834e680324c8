"""The flush while the event loop is saturated, beside the row-by-row flush that it replaced.

Full mode: `HOMEPORT_BENCHMARKS=full pytest -s tests/benchmarks/test_flush.py`.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from controller.state.codec import encode
from controller.state.opening import SWITCH_INTERVAL_S
from controller.state.store.interface import FlushBatch, StoredRecord
from controller.state.store.sqlite import SqliteStore
from tests.benchmarks.report import FULL, say
from tests.unit.state.samples import task

RECORDS = 1_000
ROUNDS = 15 if FULL else 5
RECORDS_BY_ROW = RECORDS if FULL else 100
"""Records of the slow way, which under a busy loop may take a tenth of a second for each."""
ROUNDS_BY_ROW = 7 if FULL else 3


def _batch(round_number: int, size: int) -> FlushBatch:
    first = round_number * size
    records = [
        StoredRecord("task", task(first + number).key, first + number + 1, encode(task(first + number)))
        for number in range(size)
    ]
    return FlushBatch(first + size, records, [])


@pytest.fixture
def controllers_switch_interval() -> Iterator[None]:
    """Threads take turns as they do in a controller."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    yield
    sys.setswitchinterval(before)


async def _saturate() -> None:
    """Handlers that run one after the other, a few milliseconds each, as under full load."""
    while True:
        sum(range(200_000))
        await asyncio.sleep(0)


async def _measure(flush: Callable[[FlushBatch], None], rounds: int, size: int) -> list[float]:
    """Seconds that a flush took, in every round, for each thousand records."""
    saturating = asyncio.create_task(_saturate())
    seconds = []
    for round_number in range(rounds):
        batch = _batch(round_number, size)
        started = time.perf_counter()
        await asyncio.to_thread(flush, batch)
        seconds.append((time.perf_counter() - started) * 1_000 / size)
    saturating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saturating
    return seconds


@pytest.mark.timeout(900 if FULL else 300)
async def test_a_flush_is_one_statement_and_hardly_feels_a_busy_loop(
    tmp_path: Path, controllers_switch_interval: None
) -> None:
    with closing(SqliteStore(tmp_path / "one-statement.db", account="0", region="r")) as store:
        store.take_over()
        one_statement = await _measure(store.flush, ROUNDS, RECORDS)
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

        by_rows = await _measure(flush_rows, ROUNDS_BY_ROW, RECORDS_BY_ROW)
    say("flush of 1,000 records, one statement, busy loop", one_statement, "s")
    say("flush of 1,000 records, row by row, busy loop", by_rows, "s")
    say(
        "one statement against row by row", [a / b for a, b in zip(one_statement, by_rows, strict=False)], "x"
    )
