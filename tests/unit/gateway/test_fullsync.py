"""Comparing an agent's tasks with the store's: nothing is stopped that is not decided, nothing unknown is
touched."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol.extensions import TaskInventoryEntry
from controller.gateway.fullsync import (
    Reconciliation,
    RunningTask,
    believed_present,
    judge,
    manifest_tasks,
    quarantine_changes,
    reconcile,
    task_id_of,
)
from controller.state.entities import Task
from controller.state.lifecycle import holds_resources
from controller.state.store.interface import Meta
from tests.unit.gateway.samples import META, NAMES, RESTORED, arn, instance, task


def entry(number: int = 1, **changes: Any) -> TaskInventoryEntry:
    """A line of an inventory: `task(number)`, running and reported."""
    fields = {
        "task_arn": arn(number),
        "desired_status": "RUNNING",
        "known_status": "RUNNING",
        "sent_status": "RUNNING",
        "family": "web",
        "version": "3",
    }
    return TaskInventoryEntry(**{**fields, **changes})


def compare(
    entries: Iterable[TaskInventoryEntry],
    *tasks: Task,
    believed: Iterable[Task] | None = None,
    meta: Meta = META,
) -> Reconciliation:
    """Reconcile an inventory with a store that holds these tasks."""
    return reconcile(
        entries,
        instance(),
        {each.key: each for each in tasks if each.instance == instance().id and holds_resources(each)},
        believed_present(tasks, set()) if believed is None else {each.id for each in believed},
        {each.id: each for each in tasks}.get,
        NAMES,
        meta,
    )


RUNNING: dict[str, Any] = {"reported_status": "RUNNING", "has_run": True}


# --- inventory ---


def test_a_task_that_both_know_needs_nothing() -> None:
    running = task(**RUNNING)
    assert compare([entry()], running) == Reconciliation(present=(running,))


def test_an_unknown_task_is_unknown_and_not_stopped() -> None:
    found = compare([entry(9)])
    assert found == Reconciliation(unknown=(RunningTask(arn(9), "web", "3"),))


def test_on_an_empty_store_nothing_is_stopped() -> None:
    found = compare([entry(n) for n in range(5)])
    assert (found.stop, len(found.unknown)) == ((), 5)


@pytest.mark.parametrize(
    "foreign", ["arn:aws:ecs:us-east-1:111111111111:task/default/" + "1" * 32, "junk", ""]
)
def test_a_task_of_somebody_else_is_unknown(foreign: str) -> None:
    found = compare([entry(task_arn=foreign)], task(**RUNNING), believed=())
    assert [each.arn for each in found.unknown] == [foreign]


def test_a_task_of_another_instance_is_unknown_here() -> None:
    assert len(compare([entry()], task(instance="other", **RUNNING)).unknown) == 1


def test_a_stopped_task_that_the_store_does_not_know_is_no_matter() -> None:
    assert compare([entry(9, known_status="STOPPED")]) == Reconciliation()


def test_a_task_that_is_gone_from_the_agent_is_absent() -> None:
    gone = task(**RUNNING)
    assert compare([], gone).absent == (gone,)


def test_a_given_up_task_that_is_gone_is_absent() -> None:
    gone = task(disposition="GIVEN_UP", desired_status="STOPPED", reported_status="RUNNING")
    assert compare([], gone).absent == (gone,)


def test_a_task_that_was_never_delivered_is_not_absent_but_to_be_sent() -> None:
    assert compare([], task()) == Reconciliation()


def test_a_task_that_the_agent_acknowledged_and_lost_is_absent() -> None:
    lost = task()
    assert compare([], lost, believed=[lost]).absent == (lost,)


def test_a_report_that_crosses_the_inventory_does_not_end_the_task() -> None:
    # When the connection began nothing was reported; since then a late payload of the last connection was.
    assert compare([], task(**RUNNING), believed=()).absent == ()


def test_a_task_that_is_decided_and_still_runs_is_stopped() -> None:
    decided = task(desired_status="STOPPED", **RUNNING)
    assert compare([entry()], decided).stop == (decided,)


def test_a_task_that_ended_in_the_books_and_still_runs_is_stopped() -> None:
    ended = task(desired_status="STOPPED", disposition="FORCED", **RUNNING)
    assert compare([entry()], ended).stop == (ended,)


def test_a_status_that_was_lost_with_a_backup_is_taken_from_the_inventory() -> None:
    restored = task(created_epoch=5)
    assert compare([entry()], restored, meta=RESTORED).reports == ((restored, "RUNNING"),)


def test_an_inventory_confirms_a_restored_task_that_nobody_reported_yet() -> None:
    restored = task(created_epoch=5)
    found = compare([entry(known_status="CREATED", sent_status="NONE")], restored, meta=RESTORED)
    assert found.reports == ((restored, "PENDING"),)


def test_a_restored_task_that_nobody_confirms_ends() -> None:
    restored = task(created_epoch=5)
    assert compare([], restored, believed=(), meta=RESTORED).absent == (restored,)


def test_a_status_that_is_still_to_be_reported_is_not_taken_from_the_inventory() -> None:
    assert compare([entry(sent_status="PENDING")], task(reported_status="PENDING")).reports == ()


@given(
    st.lists(
        st.builds(task, st.integers(0, 5), reported_status=st.sampled_from(["NONE", "RUNNING"])), max_size=6
    )
)
def test_a_task_is_never_both_present_and_absent_and_never_stopped_undecided(tasks: list[Task]) -> None:
    found = compare([entry(n) for n in range(3)], *tasks)
    assert not {each.id for each in found.present} & {each.id for each in found.absent}
    assert found.stop == ()


# --- manifest ---


def test_the_manifest_names_what_shall_run_with_its_status() -> None:
    named = manifest_tasks(
        [task(1), task(2, desired_status="STOPPED"), task(3, disposition="GIVEN_UP")], NAMES
    )
    assert [(each.task_arn, each.desired_status) for each in named] == [(arn(1), "RUNNING")]


def test_a_lost_host_that_returns_keeps_its_task() -> None:
    assert len(manifest_tasks([task(disposition="UNKNOWN", **RUNNING)], NAMES)) == 1


def test_only_decided_stop_candidates_are_stopped() -> None:
    known = {each.id: each for each in (task(1), task(2, desired_status="STOPPED"))}
    verdict = judge([RunningTask(arn(n)) for n in (1, 2, 3)], instance(), NAMES, known.get)
    assert [each.id for each in verdict.stop] == [task(2).id]
    assert [each.arn for each in verdict.unknown] == [arn(3)]


def test_ids_are_taken_from_arns_of_this_cluster_only() -> None:
    assert task_id_of(arn(1), NAMES, "default") == task(1).id
    assert task_id_of(arn(1), NAMES, "other") is None
    assert task_id_of(arn(1) + "/x", NAMES, "default") is None


# --- quarantine ---


def test_unknown_tasks_are_added_once_and_go_when_the_agent_no_longer_runs_them() -> None:
    added, removed = quarantine_changes({}, [RunningTask(arn(1), "web", "3")], instance(), now=1)
    assert [(each.task_arn, each.family, each.first_seen_at) for each in added] == [(arn(1), "web", 1)]
    assert not removed
    existing = {each.key: each for each in added}
    assert quarantine_changes(existing, [RunningTask(arn(1))], instance(), now=2) == ([], [])
    assert quarantine_changes(existing, [], instance(), now=3) == ([], [added[0].key])
