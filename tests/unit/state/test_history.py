"""History: causes, events and ended tasks, bounded and read back newest first."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from controller.state.entities import Task
from controller.state.store.sqlite import SqliteStore
from tests.unit.state.conftest import OpenState
from tests.unit.state.samples import CAUSE, task


async def test_a_change_with_a_sentence_tells_who_and_why(open_running_state: OpenState) -> None:
    state = await open_running_state()
    with state.transaction(CAUSE) as transaction:
        transaction.put(task(1), "placed on the instance with the fewest tasks")
    (entry,) = await state.history.recent(f"task:{task(1).key}", "cause", 10)
    assert msgspec.json.decode(entry.body) == {
        "cause": "request",
        "id": CAUSE.id,
        "caller": CAUSE.caller,
        "sentence": "placed on the instance with the fewest tasks",
    }


async def test_entries_come_newest_first_and_page_by_page(open_running_state: OpenState) -> None:
    state = await open_running_state()
    for number in range(5):
        with state.transaction(CAUSE) as transaction:
            transaction.record_event("service:default/web", "event", str(number))
    newest = await state.history.recent("service:default/web", "event", 2)
    older = await state.history.recent("service:default/web", "event", 10, before_id=newest[-1].id)
    assert [entry.body for entry in newest + older] == ["4", "3", "2", "1", "0"]


async def test_a_retired_task_leaves_memory_and_stays_describable(open_running_state: OpenState) -> None:
    state = await open_running_state()
    ended = replace(task(1), desired_status="STOPPED", reported_status="STOPPED", stopped_reason="done")
    with state.transaction(CAUSE) as transaction:
        transaction.put(ended)
    with state.transaction(CAUSE) as transaction:
        state.history.retire_task(transaction, ended)
    assert state.read().get(Task, ended.key) is None
    assert await state.history.ended_task("default", ended.id) == ended
    assert await state.history.ended_task("default", "unknown") is None
    found = await state.history.find("task", "task:default/", 10)
    assert [entry.object for entry in found] == [f"task:{ended.key}"]


async def test_history_is_pruned_by_age_and_by_number(
    open_running_state: OpenState, store_path: object
) -> None:
    state = await open_running_state()
    for number in range(10):
        with state.transaction(CAUSE) as transaction:
            transaction.record_event("service:default/web", "event", str(number))
    await state.flushed(state.flusher.newest)
    store = SqliteStore(store_path, account="0", region="r")  # type: ignore[arg-type]
    try:
        assert store.prune_history(older_than=0.0, keep_rows=4) == 6
        assert [entry.body for entry in await state.history.recent("service:default/web", None, 99)] == list(
            "9876"
        )
        assert store.prune_history(older_than=state.clock.now() + 1, keep_rows=4) == 4
    finally:
        store.close()
