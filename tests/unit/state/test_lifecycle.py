"""The life of a task: reports never move it backwards, decisions stand, and every end has a code and a
reason."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from controller.state.entities import NetworkBinding, Task, TaskContainer
from controller.state.lifecycle import (
    DISPOSITION_EDGES,
    REPORT_RANK,
    ContainerReport,
    ImpossibleTransition,
    TaskReport,
    apply_report,
    decide_stop,
    health_status,
    holds_resources,
    is_ended,
    is_running,
    last_status,
    set_disposition,
)
from tests.unit.state.samples import task

NOW = 1_700_000_100.0


def reported(*statuses: str, of: Task | None = None) -> Task:
    """A task after reports of these statuses."""
    current = of or task()
    for status in statuses:
        current = apply_report(current, TaskReport(status=status), NOW)  # type: ignore[arg-type]
    return current


@pytest.mark.parametrize(
    ("story", "expected"),
    [
        (replace(task(), instance=None), "PROVISIONING"),
        (task(), "PENDING"),
        (reported("PENDING"), "PENDING"),
        (reported("RUNNING"), "RUNNING"),
        (decide_stop(reported("RUNNING"), "UserInitiated", "", NOW), "STOPPING"),
        (decide_stop(reported("PENDING"), "UserInitiated", "", NOW), "PENDING"),
        (reported("RUNNING", "STOPPED"), "STOPPED"),
        (set_disposition(reported("RUNNING"), "UNKNOWN", NOW), "RUNNING"),
        (set_disposition(reported("RUNNING"), "GIVEN_UP", NOW), "STOPPED"),
    ],
)
def test_last_status_follows_from_decisions_and_reports(story: Task, expected: str) -> None:
    assert last_status(story) == expected


def test_a_late_running_report_never_reopens_a_stopped_task() -> None:
    stopped = reported("RUNNING", "STOPPED")
    assert reported("RUNNING", "PENDING", of=stopped) is stopped


@given(st.lists(st.sampled_from(["PENDING", "RUNNING", "STOPPED"]), max_size=8))
def test_reports_in_any_order_only_move_a_task_forward(statuses: list[str]) -> None:
    current = task()
    for status in statuses:
        after = reported(status, of=current)
        assert REPORT_RANK[after.reported_status] >= REPORT_RANK[current.reported_status]
        assert after.version >= current.version
        assert (after is current) or (after.version == current.version + 1)
        current = after
    assert current.has_run == (
        "RUNNING" in statuses[: statuses.index("STOPPED") if "STOPPED" in statuses else None]
    )
    assert is_ended(current) == ("STOPPED" in statuses)


def test_the_same_report_twice_changes_nothing_the_second_time() -> None:
    report = TaskReport(
        status="RUNNING",
        containers=(ContainerReport(name="app", status="RUNNING", runtime_id="abc"),),
        pull_started_at=1.0,
    )
    once = apply_report(task(), report, NOW)
    assert apply_report(once, report, NOW + 5) is once
    assert once.started_at == NOW


def test_a_task_that_ends_by_itself_gets_its_stop_code_and_reason() -> None:
    never_ran = apply_report(
        task(),
        TaskReport(
            status="STOPPED",
            containers=(
                ContainerReport(name="app", status="STOPPED", reason="CannotPullContainerError: no"),
            ),
        ),
        NOW,
    )
    assert (never_ran.stop_code, never_ran.stopped_reason) == (
        "TaskFailedToStart",
        "CannotPullContainerError: no",
    )
    ran = reported("RUNNING", "STOPPED")
    assert (ran.stop_code, ran.stopped_reason) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    assert (ran.desired_status, ran.stopped_at, ran.execution_stopped_at) == ("STOPPED", NOW, NOW)


def test_a_decided_stop_keeps_its_code_and_reason_whatever_the_agent_says() -> None:
    decided = decide_stop(reported("RUNNING"), "UserInitiated", "maintenance", NOW)
    ended = apply_report(
        decided, TaskReport(status="STOPPED", reason="Essential container in task exited"), NOW + 3
    )
    assert (ended.stop_code, ended.stopped_reason, ended.stopped_at) == (
        "UserInitiated",
        "maintenance",
        NOW + 3,
    )
    assert decide_stop(ended, "ServiceSchedulerInitiated", "again", NOW + 9) is ended


def test_a_task_without_a_place_ends_at_once_and_was_never_sent() -> None:
    ended = decide_stop(replace(task(), instance=None), "UserInitiated", "not needed", NOW)
    assert (ended.disposition, last_status(ended), ended.stopped_at) == ("NEVER_SENT", "STOPPED", NOW)


def test_reservations_end_only_with_the_agents_word() -> None:
    running = reported("RUNNING")
    stopping = decide_stop(running, "UserInitiated", "", NOW)
    given_up = set_disposition(running, "GIVEN_UP", NOW)
    assert holds_resources(running)
    assert holds_resources(stopping)
    assert holds_resources(given_up)
    assert is_ended(given_up)
    assert not holds_resources(reported("STOPPED", of=given_up))
    assert not is_running(stopping)


@pytest.mark.parametrize(("before", "after"), list(itertools.permutations(DISPOSITION_EDGES, 2)))
def test_a_disposition_changes_only_along_the_table(before: str, after: str) -> None:
    at = replace(task(), disposition=before)
    if after in DISPOSITION_EDGES[before]:  # type: ignore[index]
        assert set_disposition(at, after, NOW).disposition == after
    else:
        with pytest.raises(ImpossibleTransition, match=at.key):
            set_disposition(at, after, NOW)  # type: ignore[arg-type]


def test_container_facts_once_known_are_kept() -> None:
    binding = NetworkBinding(bind_ip="0.0.0.0", container_port=80, host_port=32768)
    first = ContainerReport(
        name="app", status="RUNNING", runtime_id="abc", image_digest="sha256:1", network_bindings=(binding,)
    )
    second = ContainerReport(name="app", status="STOPPED", exit_code=0)
    current = apply_report(task(), TaskReport(status="RUNNING", containers=(first,)), NOW)
    current = apply_report(current, TaskReport(status="STOPPED", containers=(second,)), NOW)
    container = current.containers[0]
    assert (container.runtime_id, container.image_digest, container.network_bindings) == (
        "abc",
        "sha256:1",
        (binding,),
    )
    assert (container.last_status, container.exit_code) == ("STOPPED", 0)


def test_a_stopped_task_has_only_stopped_containers() -> None:
    assert {container.last_status for container in reported("RUNNING", "STOPPED").containers} == {"STOPPED"}


def test_why_a_task_waits_is_shown_until_it_runs() -> None:
    waiting = apply_report(task(), TaskReport(status="PENDING", reason="waits for 512 MiB"), NOW)
    assert waiting.pending_reason == "waits for 512 MiB"
    assert reported("RUNNING", of=waiting).pending_reason == ""


@pytest.mark.parametrize(
    ("states", "checked", "expected"),
    [
        (("HEALTHY", "UNHEALTHY"), ("a", "b"), "UNHEALTHY"),
        (("HEALTHY", "UNKNOWN"), ("a", "b"), "UNKNOWN"),
        (("HEALTHY", "UNKNOWN"), ("a",), "HEALTHY"),
        (("HEALTHY", "HEALTHY"), (), "UNKNOWN"),
    ],
)
def test_health_is_that_of_the_checked_essential_containers(
    states: tuple[str, str], checked: tuple[str, ...], expected: str
) -> None:
    containers = tuple(
        TaskContainer(name=name, id=name, health_status=state)  # type: ignore[arg-type]
        for name, state in zip("ab", states, strict=True)
    )
    assert health_status(replace(task(), containers=containers), checked) == expected
