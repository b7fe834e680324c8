"""The flusher under faults of its store: retried, refused, recovered, never half-done."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.protocol.clock import SystemClock
from controller.state import flusher as flusher_module
from controller.state.entities import Cluster
from controller.state.flusher import StoreUnavailable, TooManyPendingWrites
from controller.state.opening import open_state
from controller.state.store.interface import EpochLost
from controller.state.store.sqlite import SqliteStore
from tests.support.clock import FakeClock
from tests.unit.state.conftest import FaultyStore, OpenState
from tests.unit.state.samples import CAUSE, cluster, task


async def test_a_failing_flush_is_retried_until_it_works(
    open_running_state: OpenState, store_path: Path, fake_clock: FakeClock
) -> None:
    store = FaultyStore(store_path)
    state = await open_running_state(store, fake_clock)
    store.failures_left = 40
    with state.transaction(CAUSE) as transaction:
        transaction.put(cluster())
    await state.flushed(transaction.touched)
    assert len(store.batches) == 1
    assert fake_clock.monotonic() > 30


async def test_new_writes_are_refused_after_a_second_of_failures_and_reads_go_on(
    open_running_state: OpenState, store_path: Path, fake_clock: FakeClock
) -> None:
    store = FaultyStore(store_path)
    state = await open_running_state(store, fake_clock)
    store.failures_left = 10
    with state.transaction(CAUSE) as first:
        first.put(cluster("first"))
    await asyncio.sleep(0.5)
    with state.transaction(CAUSE) as early:
        early.put(cluster("early"))
    await asyncio.sleep(1.0)
    with pytest.raises(StoreUnavailable), state.transaction(CAUSE) as refused:
        refused.put(cluster("refused"))
    assert state.read().get(Cluster, "refused") is None
    assert state.read().get(Cluster, "early") is not None
    await state.flushed(early.touched)
    with state.transaction(CAUSE) as again:
        again.put(cluster("again"))
    await state.flushed(again.touched)
    assert [record.key for batch in store.batches for record in batch.records] == ["first", "early", "again"]


async def test_a_flush_that_was_written_but_reported_as_failed_is_written_once(
    open_running_state: OpenState, store_path: Path
) -> None:
    store = FaultyStore(store_path)
    state = await open_running_state(store)
    store.fails_after_writing, store.failures_left = True, 1
    with state.transaction(CAUSE) as transaction:
        transaction.put(cluster(), "why")
        transaction.record_event("cluster:default", "event", "{}")
    await state.flushed(transaction.touched)
    assert len(await state.history.recent("cluster:default", None, 10)) == 2


async def test_a_record_put_often_in_one_group_is_written_once_in_its_newest_version(
    open_running_state: OpenState, store_path: Path
) -> None:
    store = FaultyStore(store_path)
    state = await open_running_state(store)
    for version in range(1, 100):
        with state.transaction(CAUSE) as transaction:
            transaction.put(replace(task(1), version=version))
    await state.flushed(state.flusher.newest)
    assert [len(batch.records) for batch in store.batches] == [1]
    assert '"version":99' in (store.batches[0].records[0].body or "")


async def test_a_full_queue_refuses_before_anything_applies(
    open_running_state: OpenState, store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flusher_module, "MAX_PENDING", 2)
    state = await open_running_state()
    for name in ("one", "two"):
        with state.transaction(CAUSE) as transaction:
            transaction.put(cluster(name))
    with pytest.raises(TooManyPendingWrites), state.transaction(CAUSE) as refused:
        refused.put(cluster("three"))
    assert state.read().get(Cluster, "three") is None
    await state.flushed(state.flusher.newest)
    with state.transaction(CAUSE) as transaction:
        transaction.put(cluster("three"))
    await state.flushed(transaction.touched)


async def test_the_flusher_ends_when_another_controller_took_the_store_over(
    open_running_state: OpenState, store_path: Path
) -> None:
    first = await open_state(SqliteStore(store_path, account="0", region="r"), SystemClock())
    second = await open_running_state()
    assert second.meta.epoch == first.meta.epoch + 1
    with first.transaction(CAUSE) as transaction:
        transaction.put(cluster("usurped"))
    with pytest.raises(EpochLost):
        await first.run()
    assert second.read().get(Cluster, "usurped") is None
    with pytest.raises(EpochLost):
        await first.close()
