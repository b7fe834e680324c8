"""Bytes that one task costs the controller: its record, its places in the indexes and in usage."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

from agent.protocol.clock import SystemClock
from controller.state.codec import decode, encode
from controller.state.opening import open_state
from controller.state.store.interface import StoredRecord
from controller.state.store.sqlite import SqliteStore
from tests.benchmarks.report import FULL, say
from tests.unit.state.samples import task

TASKS = 100_000 if FULL else 10_000
INSTANCES = 100

MAXIMUM_BYTES = 5_000
"""Bytes a task may cost: 100,000 of them must fit in half of a controller of 1 GiB."""


async def test_a_task_costs_few_bytes(tmp_path: Path) -> None:
    bodies = [
        StoredRecord("task", task(n).key, n, encode(task(n, instance=f"{n % INSTANCES:032x}")))
        for n in range(TASKS)
    ]
    state = await open_state(SqliteStore(tmp_path / "state.db", account="0", region="r"), SystemClock())
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        state.restore(decode(body) for body in bodies)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        await state.close()
    bytes_per_task = (after - before) / TASKS
    say("memory of a task in the state", [bytes_per_task], "bytes")
    assert bytes_per_task <= MAXIMUM_BYTES
