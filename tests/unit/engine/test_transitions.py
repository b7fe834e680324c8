"""The task state machine, event by event."""

import pytest

from agent.engine.container_transitions import STOP_RETRY_S, VANISHED
from agent.engine.states import (
    AdmissionDelayed,
    Admitted,
    CreateContainer,
    Created,
    Dependency,
    Died,
    Event,
    HealthChanged,
    Observed,
    PrepareResources,
    Pulled,
    PullFailed,
    PullImage,
    ResourcesFailed,
    ResourcesReady,
    Resumed,
    StartContainer,
    Started,
    StartFailed,
    StartTimedOut,
    Status,
    StopContainer,
    StopFailed,
    StopRequested,
    TaskPlan,
    Vanished,
    WatchStartTimeout,
)
from agent.engine.transitions import IllegalTransitionError
from tests.unit.engine.builders import ADMITTED, ARN, Machine, container, exited, inspection, plan

PULLED_AND_CREATED: tuple[Event, ...] = (
    Pulled(at=2.0, container="web"),
    Created(at=2.0, container="web", docker_id="id-web"),
)


def test_a_task_is_pulled_created_and_started_one_after_the_other() -> None:
    machine = Machine(plan()).run_up()

    did = [type(command) for command in machine.commands]
    assert did == [PrepareResources, PullImage, CreateContainer, StartContainer]
    assert machine.known() is Status.RUNNING
    assert machine.container("web").known is Status.RUNNING
    assert machine.container("web").docker_id == "id-web"


def test_nothing_is_done_for_a_task_that_is_not_admitted() -> None:
    machine = Machine(plan())

    assert machine.happen(AdmissionDelayed(at=1.0, reason="waits for 512 CPU units")) == []
    assert machine.state.waits_for == "waits for 512 CPU units"
    assert machine.happen(Admitted(at=2.0)) == [PrepareResources()]
    assert machine.state.waits_for == ""


def test_nothing_is_pulled_before_the_task_has_what_it_needs_beside_its_containers() -> None:
    machine = Machine(plan(container("web"), container("log")))

    assert machine.happen(Admitted(at=1.0)) == [PrepareResources()]
    pulls = [PullImage(container="web"), PullImage(container="log")]
    assert machine.happen(ResourcesReady(at=2.0)) == pulls


def test_a_task_that_cannot_have_its_resources_stops_for_that_reason() -> None:
    machine = Machine(plan())
    machine.happen(Admitted(at=1.0))

    assert machine.happen(ResourcesFailed(at=2.0, reason="CgroupError: no")) == []
    assert machine.known() is Status.STOPPED
    assert machine.state.reason == "CgroupError: no"


def test_resources_that_are_ready_after_a_stop_start_nothing() -> None:
    machine = Machine(plan())
    machine.happen(Admitted(at=1.0), StopRequested(at=2.0))

    assert machine.happen(ResourcesReady(at=3.0)) == []
    assert machine.known() is Status.STOPPED


def test_a_stop_while_waiting_ends_the_task_without_a_call_of_the_engine() -> None:
    machine = Machine(plan())

    assert machine.happen(StopRequested(at=1.0)) == []
    assert machine.known() is Status.STOPPED
    assert machine.state.reason == ""


def test_the_end_of_the_essential_container_ends_the_task_with_its_exit_code() -> None:
    machine = Machine(plan()).run_up()

    assert machine.happen(exited("web", 3)) == []
    assert machine.known() is Status.STOPPED
    assert machine.state.reason == "Essential container in task exited"
    assert machine.container("web").exit_code == 3
    assert machine.container("web").finished_at == 3.0


def test_the_end_of_an_essential_container_stops_the_others() -> None:
    machine = Machine(plan(container("web"), container("log"))).run_up()

    assert machine.happen(exited("web", 1)) == [StopContainer(container="log", timeout=30.0)]
    assert machine.known() is Status.RUNNING
    machine.happen(exited("log", 143))
    assert machine.known() is Status.STOPPED


def test_the_end_of_another_container_leaves_the_task_running() -> None:
    machine = Machine(plan(container("web"), container("init", essential=False))).run_up()

    assert machine.happen(exited("init")) == []
    assert machine.known() is Status.RUNNING
    assert machine.state.desired is Status.RUNNING


def test_a_task_without_essential_containers_ends_with_the_last_of_them() -> None:
    machine = Machine(plan(container("a", essential=False), container("b", essential=False))).run_up()
    machine.happen(exited("a"))
    assert machine.known() is Status.RUNNING
    machine.happen(exited("b"))
    assert machine.known() is Status.STOPPED


def test_memory_running_out_is_told_by_its_name() -> None:
    machine = Machine(plan()).run_up()
    seen = inspection("web", "STOPPED", exit_code=137, oom_killed=True)
    machine.happen(Observed(at=9.0, container="web", inspection=seen))

    assert machine.container("web").reason == "OutOfMemoryError: Container killed due to memory usage"


@pytest.mark.parametrize(("exit_code", "asked_to_stop"), [(0, False), (137, True), (143, True)])
def test_a_container_that_lived_through_its_tasks_lack_of_memory_did_not_end_of_it(
    exit_code: int, asked_to_stop: bool
) -> None:
    seen = inspection("web", "STOPPED", exit_code=exit_code, oom_killed=True)
    for end in (
        Died(at=8.0, container="web", exit_code=exit_code, out_of_memory=True),
        Observed(at=8.0, container="web", inspection=seen),
    ):
        machine = Machine(plan()).run_up()
        if asked_to_stop:
            machine.happen(StopRequested(at=7.0))
        machine.happen(end)
        assert (machine.container("web").reason, machine.container("web").exit_code) == ("", exit_code)


def test_the_event_of_a_death_is_believed_and_a_later_look_changes_nothing() -> None:
    machine = Machine(plan()).run_up()
    machine.happen(Died(at=8.0, container="web", exit_code=137, out_of_memory=True))
    before = machine.state
    machine.happen(exited("web", 137))

    assert machine.state == before
    assert machine.known() is Status.STOPPED
    assert (machine.container("web").exit_code, machine.container("web").finished_at) == (137, 8.0)
    assert machine.container("web").reason == "OutOfMemoryError: Container killed due to memory usage"


def test_a_failed_pull_stops_the_task_with_the_reason_of_the_pull() -> None:
    machine = Machine(plan())
    machine.happen(*ADMITTED)
    reason = "CannotPullContainerError: no such host"

    assert machine.happen(PullFailed(at=2.0, container="web", reason=reason)) == []
    assert machine.known() is Status.STOPPED
    assert machine.state.reason == reason
    assert machine.container("web").exit_code is None


def test_a_container_that_the_engine_could_not_start_says_why_even_after_a_crash_of_the_agent() -> None:
    machine = Machine(plan())
    seen = inspection("web", "STOPPED", ever_started=False, error="exec: /nope: no such file")
    machine.happen(Observed(at=2.0, container="web", inspection=seen))

    assert machine.container("web").reason == "CannotStartContainerError: exec: /nope: no such file"
    assert machine.known() is Status.STOPPED


def test_an_unclear_start_is_taken_for_running_and_stopped() -> None:
    machine = Machine(plan())
    machine.happen(*ADMITTED, *PULLED_AND_CREATED)
    unclear = StartFailed(at=3.0, container="web", reason="DockerTimeoutError: x", may_run=True)

    assert machine.happen(unclear) == [StopContainer(container="web", timeout=30.0)]
    assert machine.known() is Status.CREATED, "what is about to end is not announced as running"
    machine.happen(exited("web", 137))
    assert machine.known() is Status.STOPPED
    assert machine.state.reason.startswith("DockerTimeoutError")


def test_a_stop_during_a_pull_does_not_wait_for_it() -> None:
    machine = Machine(plan())
    machine.happen(*ADMITTED)
    machine.happen(StopRequested(at=2.0))

    assert machine.known() is Status.STOPPED


def test_a_stop_during_a_create_waits_for_it_and_never_starts_the_container() -> None:
    machine = Machine(plan())
    machine.happen(*ADMITTED)
    machine.happen(PULLED_AND_CREATED[0])
    machine.happen(StopRequested(at=2.0))
    assert machine.known() is not Status.STOPPED

    assert machine.happen(Created(at=3.0, container="web", docker_id="id-web")) == []
    assert machine.known() is Status.STOPPED


def test_a_stop_during_a_start_waits_for_the_start_and_then_stops() -> None:
    machine = Machine(plan())
    machine.happen(*ADMITTED, *PULLED_AND_CREATED)
    assert machine.happen(StopRequested(at=2.0)) == []
    started = Started(at=3.0, container="web", docker_id="id-web")

    assert machine.happen(started) == [StopContainer(container="web", timeout=30.0)]


def test_a_stop_that_failed_is_tried_again_and_the_container_still_counts_as_running() -> None:
    machine = Machine(plan()).run_up()
    machine.happen(StopRequested(at=3.0))
    again = machine.happen(StopFailed(at=4.0, container="web", reason="CannotStopContainerError: x"))

    assert again == [StopContainer(container="web", timeout=30.0, delay=STOP_RETRY_S)]
    assert machine.known() is Status.RUNNING


def test_a_vanished_container_is_told_by_its_name() -> None:
    machine = Machine(plan()).run_up()
    machine.happen(Vanished(at=5.0, container="web"))

    assert machine.container("web").reason == VANISHED
    assert machine.known() is Status.STOPPED


def test_a_stopped_container_that_somebody_starts_again_is_stopped_again_and_stays_reported_stopped() -> None:
    machine = Machine(plan()).run_up()
    machine.happen(exited("web", 0))
    running = Observed(at=10.0, container="web", inspection=inspection("web", "RUNNING"))

    assert machine.happen(running) == [StopContainer(container="web", timeout=30.0)]
    assert machine.happen(running) == [], "one stop at a time"
    assert machine.known() is Status.STOPPED
    assert machine.container("web").exit_code == 0


def test_a_late_answer_of_the_start_does_not_revive_a_container_that_has_died() -> None:
    machine = Machine(plan())
    machine.happen(*ADMITTED, *PULLED_AND_CREATED)
    machine.happen(exited("web", 1))
    assert machine.happen(Started(at=9.0, container="web", docker_id="id-web")) == []

    assert machine.known() is Status.STOPPED
    assert machine.state.started_at is not None, "it ran, however shortly"


def test_an_event_that_cannot_happen_is_an_error() -> None:
    machine = Machine(plan())
    with pytest.raises(IllegalTransitionError, match="Started for a container at NONE"):
        machine.happen(Started(at=1.0, container="web", docker_id="x"))


def test_a_dependency_on_start_is_created_only_after_it_runs() -> None:
    machine = Machine(plan(container("app", Dependency("db", "START")), container("db")))
    machine.run_up()
    order = [c.container for c in machine.commands if isinstance(c, CreateContainer | StartContainer)]

    assert order == ["db", "db", "app", "app"]


def test_a_dependency_on_success_waits_for_the_exit_code() -> None:
    machine = Machine(
        plan(container("app", Dependency("init", "SUCCESS")), container("init", essential=False))
    )
    machine.run_up()
    assert machine.container("app").known is Status.PULLED

    assert machine.happen(exited("init", 0)) == [CreateContainer(container="app")]


def test_a_dependency_that_can_never_be_fulfilled_ends_the_container_with_143() -> None:
    machine = Machine(
        plan(container("app", Dependency("init", "SUCCESS")), container("init", essential=False))
    )
    machine.run_up()
    machine.happen(exited("init", 2))

    assert machine.container("app").exit_code == 143
    assert machine.container("app").reason == (
        "CannotStartContainerError: dependency graph: container init exited with 2 instead of 0"
    )
    assert machine.known() is Status.STOPPED


def test_a_dependency_on_health_waits_for_healthy() -> None:
    database = container("db", health_checked=True)
    machine = Machine(plan(container("app", Dependency("db", "HEALTHY")), database)).run_up()
    assert machine.happen(HealthChanged(at=5.0, container="db", health="UNHEALTHY")) == []

    assert machine.happen(HealthChanged(at=6.0, container="db", health="HEALTHY")) == [
        CreateContainer(container="app")
    ]


def test_a_start_timeout_ends_those_who_still_wait() -> None:
    database = container("db", health_checked=True, start_timeout=60.0)
    machine = Machine(plan(container("app", Dependency("db", "HEALTHY")), database)).run_up()
    assert WatchStartTimeout(container="db", seconds=60.0) in machine.commands
    stops = machine.happen(StartTimedOut(at=62.0, container="db"))

    assert machine.container("app").exit_code == 143
    assert "startTimeout of 60 s" in machine.container("app").reason
    assert stops == [StopContainer(container="db", timeout=30.0)]


def test_a_start_timeout_that_comes_too_late_changes_nothing() -> None:
    database = container("db", health_checked=True, start_timeout=60.0)
    machine = Machine(plan(container("app", Dependency("db", "HEALTHY")), database)).run_up()
    machine.happen(HealthChanged(at=5.0, container="db", health="HEALTHY"))
    before = machine.state

    assert machine.happen(StartTimedOut(at=62.0, container="db")) == []
    assert machine.state == before


def test_after_a_restart_only_what_is_left_of_a_start_timeout_is_waited_for() -> None:
    database = container("db", health_checked=True, start_timeout=60.0)
    machine = Machine(plan(container("app", Dependency("db", "HEALTHY")), database)).run_up()

    assert machine.happen(Resumed(at=42.0)) == [WatchStartTimeout(container="db", seconds=20.0)]


def test_containers_are_stopped_in_the_reverse_order_of_their_dependencies() -> None:
    chain = plan(
        container("db"),
        container("app", Dependency("db", "START")),
        container("web", Dependency("app", "START")),
    )
    machine = Machine(chain).run_up()

    assert machine.happen(StopRequested(at=5.0)) == [StopContainer(container="web", timeout=30.0)]
    assert machine.happen(exited("web", 143)) == [StopContainer(container="app", timeout=30.0)]
    assert machine.happen(exited("app", 143)) == [StopContainer(container="db", timeout=30.0)]
    machine.happen(exited("db", 143))
    assert machine.known() is Status.STOPPED
    assert machine.state.reason == "", "the controller wanted it"


def test_a_resumed_task_goes_on_from_where_the_engine_says_it_is() -> None:
    machine = Machine(plan())
    seen = Observed(at=1.0, container="web", inspection=inspection("web", "CREATED", ever_started=False))
    machine.happen(seen)
    machine.happen(*ADMITTED)

    assert machine.commands == [StartContainer(container="web")]


def test_a_task_without_containers_is_stopped_as_ecs_says_it() -> None:
    machine = Machine(TaskPlan(arn=ARN, containers=()))
    machine.happen(StopRequested(at=1.0))

    assert machine.known() is Status.STOPPED
    assert machine.state.reason == "TaskStateError: Agent could not progress task's state to stopped"
