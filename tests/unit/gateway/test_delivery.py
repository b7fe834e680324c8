"""What agents are sent, and when it is sent again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.gateway.delivery import (
    MAX_RESENDS,
    Deliveries,
    may_send_running,
    must_send_stop,
    plan_delivery,
    wanted_status,
)
from controller.state.entities import DesiredStatus, Task
from controller.state.lifecycle import is_ended
from tests.unit.gateway.samples import INSTANCE_ID, META, RESTORED, task


def always(_: str, __: DesiredStatus) -> Task | None:
    """A state in which every task is still needed."""
    return task()


# --- what may be sent ---


def test_a_placed_task_is_sent() -> None:
    assert may_send_running(task(), META)


@pytest.mark.parametrize(
    "changes",
    [
        {"desired_status": "STOPPED"},
        {"reported_status": "RUNNING"},
        {"reported_status": "STOPPED"},
        {"disposition": "UNKNOWN"},
        {"disposition": "GIVEN_UP"},
        {"disposition": "FORCED"},
        {"disposition": "NEVER_SENT"},
        {"instance": None},
    ],
)
def test_running_is_never_sent_for_a_task_that_must_not_start(changes: dict[str, Any]) -> None:
    assert not may_send_running(task(**changes), META)


def test_a_plain_restart_of_the_controller_sends_tasks_of_earlier_epochs() -> None:
    assert may_send_running(task(created_epoch=2), META)


def test_a_task_from_a_backup_is_not_sent_until_somebody_confirms_it() -> None:
    assert not may_send_running(task(created_epoch=5), RESTORED)
    assert may_send_running(task(created_epoch=5, reported_status="PENDING"), RESTORED)


def test_a_task_created_after_the_restore_is_sent() -> None:
    assert may_send_running(task(created_epoch=6), RESTORED)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"desired_status": "STOPPED"}, True),
        ({"desired_status": "STOPPED", "reported_status": "RUNNING"}, True),
        ({"disposition": "GIVEN_UP"}, True),
        ({"desired_status": "STOPPED", "reported_status": "STOPPED"}, False),
        ({"desired_status": "STOPPED", "disposition": "FORCED"}, False),
        ({"desired_status": "STOPPED", "disposition": "NEVER_SENT"}, False),
        ({"reported_status": "RUNNING"}, False),
    ],
)
def test_a_stop_is_sent_while_the_agent_may_run_what_must_not_run(
    changes: dict[str, Any], *, expected: bool
) -> None:
    assert must_send_stop(task(**changes)) is expected


TASKS = st.builds(
    task,
    desired_status=st.sampled_from(["RUNNING", "STOPPED"]),
    reported_status=st.sampled_from(["NONE", "PENDING", "RUNNING", "STOPPED"]),
    disposition=st.sampled_from(["NONE", "NEVER_SENT", "UNKNOWN", "GIVEN_UP", "FORCED"]),
    instance=st.sampled_from([None, INSTANCE_ID]),
    created_epoch=st.integers(1, 7),
)


@given(TASKS, st.sampled_from([META, RESTORED]))
def test_running_is_only_ever_wanted_of_tasks_whose_stop_nobody_decided(of: Task, meta: Any) -> None:
    if wanted_status(of, meta) == "RUNNING":
        assert of.desired_status == "RUNNING"
        assert not is_ended(of)
        assert of.reported_status not in ("RUNNING", "STOPPED")


# --- planning ---


def test_stops_go_first_and_payloads_hold_ten_tasks() -> None:
    tasks = [task(n) for n in range(12)] + [task(n, desired_status="STOPPED") for n in range(20, 23)]
    batches = list(plan_delivery(tasks, {}, META).batches())
    assert [len(batch) for batch in batches] == [10, 5]
    assert [status for _, status in batches[0]] == ["STOPPED"] * 3 + ["RUNNING"] * 7


def test_what_was_delivered_is_not_sent_again() -> None:
    plan = plan_delivery([task(1), task(2)], {task(1).id: "RUNNING"}, META)
    assert [each.id for each in plan.start] == [task(2).id]


def test_a_delivered_task_is_sent_again_to_stop_it() -> None:
    plan = plan_delivery([task(desired_status="STOPPED")], {task().id: "RUNNING"}, META)
    assert [each.id for each in plan.stop] == [task().id]


def test_without_starts_only_stops_are_planned() -> None:
    plan = Deliveries(5).plan([task(1), task(2, desired_status="STOPPED")], META, starts=False)
    assert (len(plan.stop), plan.start) == (1, ())


def test_older_tasks_start_first() -> None:
    plan = plan_delivery([task(3), task(1), task(2)], {}, META)
    assert [each.id for each in plan.start] == [task(n).id for n in (1, 2, 3)]


# --- acknowledgements and resends ---


def test_an_unacknowledged_payload_is_sent_again_after_five_seconds_then_doubling_five_times() -> None:
    deliveries = Deliveries(5)
    deliveries.sent("p", [(task(), "RUNNING")], now=0)
    times = []
    while (due := deliveries.next_due()) is not None:
        assert list(deliveries.due(due - 0.1, always)) == []
        assert [message_id for message_id, _ in deliveries.due(due, always)] == ["p"]
        times.append(due)
    assert times == [5, 15, 35, 75, 155]
    assert len(times) == MAX_RESENDS


def test_an_acknowledged_payload_is_not_sent_again() -> None:
    deliveries = Deliveries(5)
    deliveries.sent("p", [(task(), "RUNNING")], now=0)
    assert deliveries.acknowledged("p") == {task().id: "RUNNING"}
    assert deliveries.next_due() is None


def test_duplicate_and_foreign_acknowledgements_change_nothing() -> None:
    deliveries = Deliveries(5)
    deliveries.sent("p", [(task(), "RUNNING")], now=0)
    assert deliveries.acknowledged("other") == {}
    deliveries.acknowledged("p")
    assert deliveries.acknowledged("p") == {}


def test_a_resend_leaves_out_what_is_not_needed_any_more() -> None:
    deliveries = Deliveries(5)
    deliveries.sent("p", [(task(1), "RUNNING"), (task(2), "RUNNING")], now=0)
    (_, batch), *rest = deliveries.due(5, lambda task_id, _: task(2) if task_id == task(2).id else None)
    assert [each.id for each, _ in batch] == [task(2).id]
    assert not rest


def test_a_payload_that_reports_have_answered_is_forgotten() -> None:
    deliveries = Deliveries(5)
    deliveries.sent("p", [(task(), "RUNNING")], now=0)
    assert list(deliveries.due(5, lambda *_: None)) == []
    assert deliveries.next_due() is None


def test_a_refused_payload_waits_for_the_next_connection() -> None:
    deliveries = Deliveries(5)
    deliveries.sent("p", [(task(), "RUNNING")], now=0)
    deliveries.refused("p")
    assert deliveries.next_due() is None


def test_a_task_that_ended_in_the_books_is_stopped_until_the_agent_acknowledges() -> None:
    deliveries = Deliveries(5)
    ended = task(reported_status="STOPPED", desired_status="STOPPED")
    deliveries.stop_ended(ended)
    plan = deliveries.plan([], META, starts=True)
    assert plan.stop == (ended,)
    deliveries.sent("p", [(ended, "STOPPED")], now=0)
    assert deliveries.plan([], META, starts=True).stop == ()
    deliveries.acknowledged("p")
    assert deliveries.forced_stop(ended.id) is None


def test_a_confirmed_task_is_not_sent() -> None:
    deliveries = Deliveries(5)
    deliveries.confirm(task().id, "RUNNING")
    assert deliveries.plan([task()], META, starts=True).start == ()


def test_the_books_of_a_connection_stay_as_small_as_its_instance() -> None:
    deliveries = Deliveries(5)
    for number in range(1000):
        (batch,) = deliveries.plan([task(number)], META, starts=True).batches()
        deliveries.sent(f"p{number}", batch, now=0)
    assert len(list(deliveries.due(5, always))) < 30
