"""States on real SQLite files, and a store whose faults a test chooses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from agent.protocol.clock import Clock, SystemClock
from controller.state.kernel import State
from controller.state.opening import open_state
from controller.state.store.interface import FlushBatch, StoreError
from controller.state.store.sqlite import SqliteStore

OpenState = Callable[..., Awaitable[State]]


class FaultyStore(SqliteStore):
    """A real SQLite store that fails, hangs or dies when a test says so."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, account="000000000000", region="us-east-1")
        self.failures_left = 0
        self.fails_after_writing = False
        self.batches: list[FlushBatch] = []

    def flush(self, batch: FlushBatch) -> None:
        if self.fails_after_writing:
            super().flush(batch)
        if self.failures_left:
            self.failures_left -= 1
            self.fails_after_writing = False
            raise StoreError("database or disk is full")
        super().flush(batch)
        self.batches.append(batch)


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    """Where a test's store lives."""
    return tmp_path / "state.db"


@pytest.fixture
async def open_running_state(store_path: Path) -> AsyncIterator[OpenState]:
    """Open a state with its flusher running; closed, and its flusher ended, after the test."""
    opened: list[tuple[State, asyncio.Task[None]]] = []

    async def open_(store: SqliteStore | None = None, clock: Clock | None = None) -> State:
        store = store or SqliteStore(store_path, account="000000000000", region="us-east-1")
        state = await open_state(store, clock or SystemClock())
        opened.append((state, asyncio.create_task(state.run())))
        return state

    yield open_
    for state, flushing in opened:
        flushing.cancel()
        with suppress(asyncio.CancelledError):
            await flushing
        await state.close()
