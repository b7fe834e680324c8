"""Transactions: they apply at once, stand or fall together, and nobody outside sees them before they are
durable."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.protocol.clock import SystemClock
from controller.state.changes import Change
from controller.state.entities import Cluster, InstanceConnection, Task, task_key
from controller.state.indexes import LIVE_TASKS_OF_SERVICE, TASKS_BY_CLUSTER, TASKS_ON_INSTANCE
from controller.state.kernel import NestedTransaction
from controller.state.opening import open_state
from controller.state.store.sqlite import SqliteStore
from tests.unit.state.conftest import FaultyStore, OpenState
from tests.unit.state.samples import CAUSE, cluster, task


async def test_a_put_is_read_at_once_and_survives_a_reopening(
    open_running_state: OpenState, store_path: Path
) -> None:
    state = await open_running_state()
    with state.transaction(CAUSE) as transaction:
        transaction.put(cluster(), "created")
        assert transaction.get(Cluster, "default") == cluster()
    assert state.read().get(Cluster, "default") == cluster()
    await state.flushed(transaction.touched)
    reopened = await open_running_state()
    assert reopened.read().get(Cluster, "default") == cluster()
    assert reopened.meta.epoch == state.meta.epoch + 1
    assert reopened.meta.store_uuid == state.meta.store_uuid


async def test_an_exception_undoes_every_put_and_delete_of_a_transaction(
    open_running_state: OpenState,
) -> None:
    state = await open_running_state()
    with state.transaction(CAUSE) as transaction:
        transaction.put(cluster())
        transaction.put(task(1))
    before = dict(state.read().all(Task))

    def fail_in_the_middle() -> None:
        with state.transaction(CAUSE) as transaction:
            transaction.put(replace(task(1), service="other"))
            transaction.put(task(2))
            transaction.delete(Cluster, "default")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_in_the_middle()
    read = state.read()
    assert read.get(Cluster, "default") == cluster()
    assert dict(read.all(Task)) == before
    assert list(read.select(LIVE_TASKS_OF_SERVICE, "default/web")) == [task_key("default", task(1).id)]
    assert not read.select(LIVE_TASKS_OF_SERVICE, "default/other")
    usage = read.usage(f"default/{1:032x}")
    assert (usage.cpu, usage.memory, usage.tasks, dict(usage.ports_tcp)) == (128, 64, 1, {8080: 1})


async def test_a_transaction_inside_another_is_refused(open_running_state: OpenState) -> None:
    state = await open_running_state()
    with pytest.raises(NestedTransaction), state.transaction(CAUSE), state.transaction(CAUSE):
        pass
    with state.transaction(CAUSE) as transaction:
        transaction.put(cluster())


async def test_readers_of_an_unflushed_record_wait_for_it_and_readers_of_others_do_not(
    open_running_state: OpenState, store_path: Path
) -> None:
    store = FaultyStore(store_path)
    state = await open_running_state(store)
    with state.transaction(CAUSE) as transaction:
        transaction.put(cluster("old"))
    await state.flushed(transaction.touched)
    store.failures_left = 3
    with state.transaction(CAUSE) as transaction:
        transaction.put(cluster("new"))
    of_new, of_missing, of_old, of_all = state.read(), state.read(), state.read(), state.read()
    of_new.get(Cluster, "new")
    of_missing.get(Cluster, "missing")
    of_old.get(Cluster, "old")
    of_all.all(Cluster)
    assert of_new.touched == of_all.touched == transaction.touched
    assert of_old.touched == of_missing.touched == 0
    await asyncio.wait_for(state.flushed(of_old.touched), timeout=0.01)
    assert not store.batches[1:]
    await state.flushed(of_new.touched)
    assert [record.key for record in store.batches[-1].records] == ["new"]


async def test_a_removed_record_counts_as_touched_until_its_removal_is_durable(
    open_running_state: OpenState,
) -> None:
    state = await open_running_state()
    with state.transaction(CAUSE) as transaction:
        transaction.put(cluster())
    await state.flushed(transaction.touched)
    with state.transaction(CAUSE) as transaction:
        transaction.delete(Cluster, "default")
    reader = state.read()
    assert reader.get(Cluster, "default") is None
    assert reader.touched == transaction.touched
    await state.flushed(reader.touched)
    assert (await open_running_state()).read().get(Cluster, "default") is None


async def test_subscribers_see_changes_in_order_and_only_after_the_flush(
    open_running_state: OpenState, store_path: Path
) -> None:
    store = FaultyStore(store_path)
    state = await open_running_state(store)
    seen: list[Change] = []
    state.subscribe(seen.extend)
    store.failures_left = 1
    with state.transaction(CAUSE) as transaction:
        transaction.put(task(1))
        transaction.put(replace(task(1), reported_status="PENDING"))
        transaction.delete(Task, task(1).key)
    await asyncio.sleep(0)
    assert not seen
    await state.flushed(transaction.touched)
    await asyncio.sleep(0)
    pending = replace(task(1), reported_status="PENDING")
    assert [(change.old, change.new) for change in seen] == [
        (None, task(1)),
        (task(1), pending),
        (pending, None),
    ]
    assert {change.cause for change in seen} == {CAUSE}


async def test_a_volatile_record_is_announced_and_never_stored(
    open_running_state: OpenState, store_path: Path
) -> None:
    store = FaultyStore(store_path)
    state = await open_running_state(store)
    seen: list[Change] = []
    state.subscribe(seen.extend)
    connection = InstanceConnection(cluster="default", id="i", connected=True, changed_at=1.0)
    with state.transaction(CAUSE) as transaction:
        transaction.put(connection)
    assert transaction.touched == 0
    await asyncio.sleep(0.01)
    assert [change.new for change in seen] == [connection]
    assert not store.batches
    assert (await open_running_state()).read().get(InstanceConnection, connection.key) is None


async def test_indexes_and_usage_follow_every_put(open_running_state: OpenState) -> None:
    state = await open_running_state()
    with state.transaction(CAUSE) as transaction:
        transaction.put(task(1))
        transaction.put(task(2))
        transaction.put(replace(task(2), desired_status="STOPPED", reported_status="STOPPED"))
    read = state.read()
    assert set(read.select(TASKS_BY_CLUSTER, ("default", "RUNNING"))) == {task(1).key}
    assert set(read.select(TASKS_BY_CLUSTER, ("default", "STOPPED"))) == {task(2).key}
    assert set(read.select(TASKS_ON_INSTANCE, f"default/{1:032x}")) == {task(1).key}
    assert read.usage(f"default/{1:032x}").cpu == 128


async def test_what_was_put_just_before_the_end_is_written_by_close(
    open_running_state: OpenState, store_path: Path
) -> None:
    state = await open_state(
        SqliteStore(store_path, account="000000000000", region="us-east-1"), SystemClock()
    )
    with state.transaction(CAUSE) as transaction:
        transaction.put(cluster("late"))
    await state.close()
    assert (await open_running_state()).read().get(Cluster, "late") == cluster("late")
