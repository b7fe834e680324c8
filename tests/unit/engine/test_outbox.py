"""What the controller is told, and when."""

from hypothesis import given
from hypothesis import strategies as st

from agent.engine.outbox import acknowledged, unsent_change
from agent.engine.states import (
    AdmissionDelayed,
    Admitted,
    Dependency,
    Event,
    PullFailed,
    Resumed,
    Sent,
    Status,
    StopRequested,
)
from tests.unit.engine.builders import Machine, container, exited, plan


def acknowledge(machine: Machine) -> str:
    """Take the next report and acknowledge it; returns its status."""
    change = unsent_change(machine.plan, machine.state)
    assert change is not None
    machine.state = acknowledged(machine.plan, machine.state, change)
    return change.status


def test_nothing_is_told_of_a_task_that_is_only_being_prepared() -> None:
    machine = Machine(plan())
    machine.happen(Admitted(at=1.0))

    assert unsent_change(machine.plan, machine.state) is None


def test_a_running_task_is_told_once() -> None:
    machine = Machine(plan()).run_up()
    change = unsent_change(machine.plan, machine.state)
    assert change is not None
    assert (change.status, change.reason) == ("RUNNING", "")
    assert [(c.name, c.status, c.runtime_id) for c in change.containers] == [("web", "RUNNING", "id-web")]

    assert acknowledge(machine) == "RUNNING"
    assert unsent_change(machine.plan, machine.state) is None


def test_a_task_that_waits_for_the_host_is_told_as_pending_with_each_reason_once() -> None:
    machine = Machine(plan())
    machine.happen(AdmissionDelayed(at=1.0, reason="waits for 512 CPU units"))
    change = unsent_change(machine.plan, machine.state)
    assert change is not None
    assert (change.status, change.reason) == ("PENDING", "waits for 512 CPU units")

    acknowledge(machine)
    assert unsent_change(machine.plan, machine.state) is None
    machine.happen(AdmissionDelayed(at=2.0, reason="waits for 256 CPU units"))
    change = unsent_change(machine.plan, machine.state)
    assert change is not None
    assert (change.status, change.reason) == ("PENDING", "waits for 256 CPU units")


def test_a_task_that_waits_no_longer_is_told_so_before_it_runs() -> None:
    machine = Machine(plan())
    machine.happen(AdmissionDelayed(at=1.0, reason="waits for 512 CPU units"))
    acknowledge(machine)
    machine.happen(Admitted(at=2.0))

    change = unsent_change(machine.plan, machine.state)
    assert change is not None
    assert (change.status, change.reason) == ("PENDING", "")
    acknowledge(machine)
    assert unsent_change(machine.plan, machine.state) is None


def test_a_task_that_gives_up_waiting_is_told_as_stopped_alone() -> None:
    machine = Machine(plan())
    machine.happen(AdmissionDelayed(at=1.0, reason="waits for 512 CPU units"))
    acknowledge(machine)
    machine.happen(StopRequested(at=2.0))

    assert acknowledge(machine) == "STOPPED"
    assert unsent_change(machine.plan, machine.state) is None


def test_a_task_that_ran_and_ended_between_two_reports_is_told_as_running_first() -> None:
    machine = Machine(plan()).run_up()
    machine.happen(exited("web", 3))

    assert acknowledge(machine) == "RUNNING"
    stopped = unsent_change(machine.plan, machine.state)
    assert stopped is not None
    assert stopped.status == "STOPPED"
    assert stopped.containers[0].exit_code == 3
    assert stopped.execution_stopped_at == 3.0
    assert acknowledge(machine) == "STOPPED"
    assert unsent_change(machine.plan, machine.state) is None


def test_a_task_that_never_ran_is_told_as_stopped_alone() -> None:
    machine = Machine(plan())
    machine.happen(
        Admitted(at=1.0), PullFailed(at=2.0, container="web", reason="CannotPullContainerError: x")
    )
    change = unsent_change(machine.plan, machine.state)

    assert change is not None
    assert (change.status, change.reason) == ("STOPPED", "CannotPullContainerError: x")
    assert change.containers[0].reason == "CannotPullContainerError: x"
    assert change.execution_stopped_at is None


def test_the_end_of_a_container_of_a_running_task_is_told_by_itself() -> None:
    machine = Machine(plan(container("web"), container("init", essential=False))).run_up()
    acknowledge(machine)
    machine.happen(exited("init", 0))
    change = unsent_change(machine.plan, machine.state)

    assert change is not None
    assert change.status == "RUNNING"
    assert [(c.name, c.status, c.exit_code) for c in change.containers] == [("init", "STOPPED", 0)]


def test_a_container_that_others_wait_for_is_told_as_running_while_the_task_is_pending() -> None:
    waits = Dependency("db", "HEALTHY")
    machine = Machine(plan(container("web", waits), container("db", health_checked=True))).run_up()
    change = unsent_change(machine.plan, machine.state)

    assert change is not None
    assert change.status == "PENDING"
    assert [(c.name, c.status) for c in change.containers] == [("db", "RUNNING")]


def test_an_acknowledgement_that_comes_late_takes_nothing_back() -> None:
    machine = Machine(plan()).run_up()
    running = unsent_change(machine.plan, machine.state)
    assert running is not None
    machine.happen(StopRequested(at=5.0), exited("web", 0))
    acknowledge(machine)
    acknowledge(machine)
    machine.state = acknowledged(machine.plan, machine.state, running)

    assert machine.state.sent is Sent.STOPPED
    assert machine.state.containers[0].sent is Sent.STOPPED


REASONS = st.sampled_from(["", "waits for 1 CPU units", "waits for its turn"])
EVENTS = st.one_of(
    st.builds(AdmissionDelayed, at=st.just(1.0), reason=REASONS),
    st.builds(Admitted, at=st.just(1.0)),
    st.builds(StopRequested, at=st.just(1.0)),
)


@given(st.lists(st.tuples(EVENTS, st.booleans()), max_size=12))
def test_whatever_a_task_waits_for_the_controller_knows_it_in_the_end(
    happenings: list[tuple[Event, bool]],
) -> None:
    machine = Machine(plan())
    told = ""
    for event, heard in [*happenings, (Resumed(at=2.0), True)]:
        machine.happen(event)
        while heard and (change := unsent_change(machine.plan, machine.state)) is not None:
            told = change.reason
            before = machine.state
            machine.state = acknowledged(machine.plan, machine.state, change)
            assert machine.state != before, "an acknowledged report is not made again"

    stopped = machine.state.known is Status.STOPPED
    assert machine.state.sent is Sent.STOPPED if stopped else told == machine.state.waits_for
