"""The restart policy, event by event."""

from msgspec.structs import replace

from agent.engine.states import (
    Admitted,
    Died,
    Observed,
    RestartPlan,
    Resumed,
    StartContainer,
    Started,
    StartFailed,
    Status,
    StopContainer,
    StopRequested,
    Vanished,
)
from tests.unit.engine.builders import Machine, container, inspection, plan

POLICY = RestartPlan(ignored_exit_codes=(0,), attempt_period=60.0)
START = [StartContainer(container="web")]
STARTED = Started(at=200.0, container="web", docker_id="id-web")


def life(began: float, lasted: float, code: int = 1) -> Observed:
    """The engine's word that a life of the container has ended."""
    seen = inspection("web", "STOPPED", exit_code=code, started_at=began, finished_at=began + lasted)
    return Observed(at=began + lasted, container="web", inspection=seen)


def runs(began: float) -> Observed:
    """The engine's word that the container runs."""
    seen = inspection("web", "RUNNING", started_at=began)
    return Observed(at=began + 1.0, container="web", inspection=seen)


def running() -> Machine:
    """A task of one container with a restart policy, which runs since second 2."""
    return Machine(plan(container("web", restart=POLICY))).run_up()


def loaded(machine: Machine) -> Machine:
    """The same task as a new life of the agent finds it in its checkpoint."""
    found = Machine(machine.plan)
    container = replace(machine.container("web"), applied=None)
    found.state = replace(machine.state, containers=(container,), admitted=False)
    return found


def test_a_container_that_ends_by_itself_is_started_again_and_stays_running_to_everybody() -> None:
    machine = running()

    assert machine.happen(life(2.0, 100.0)) == START
    assert machine.known() is Status.RUNNING
    assert machine.container("web").restarts == 1
    assert machine.happen(STARTED) == []
    assert not machine.container("web").restarting
    assert machine.happen(life(110.0, 70.0)) == START
    assert machine.container("web").restarts == 2


def test_the_event_of_a_death_alone_decides_nothing_since_it_does_not_say_of_which_life() -> None:
    machine = running()

    assert machine.happen(Died(at=102.0, container="web", exit_code=1)) == []
    assert machine.container("web").known is Status.RUNNING


def test_an_ignored_exit_code_ends_the_container() -> None:
    machine = running()

    assert machine.happen(life(2.0, 100.0, code=0)) == []
    assert machine.known() is Status.STOPPED


def test_a_life_shorter_than_the_attempt_period_ends_the_container() -> None:
    machine = running()
    machine.happen(life(2.0, 100.0), STARTED)

    assert machine.happen(life(110.0, 59.0)) == []
    assert machine.known() is Status.STOPPED
    assert machine.container("web").exit_code == 1


def test_old_news_of_the_life_before_change_nothing() -> None:
    machine = running()
    machine.happen(life(2.0, 100.0))
    assert machine.happen(life(2.0, 100.0)) == [], "the start is under way"
    machine.happen(STARTED)
    before = machine.state

    assert machine.happen(life(2.0, 100.0)) == []
    assert machine.state == before


def test_a_new_life_that_ends_before_its_start_is_answered_is_over() -> None:
    machine = running()
    machine.happen(life(2.0, 100.0))

    assert machine.happen(life(110.0, 1.0)) == []
    assert machine.known() is Status.STOPPED
    assert machine.happen(STARTED) == []


def test_a_container_that_is_to_stop_is_not_started_again() -> None:
    machine = running()
    stop = StopContainer(container="web", timeout=30.0)

    assert machine.happen(StopRequested(at=50.0)) == [stop]
    assert machine.happen(life(2.0, 100.0)) == []
    assert machine.known() is Status.STOPPED


def test_a_stop_waits_for_the_restart_under_way_and_then_stops_it() -> None:
    machine = running()
    machine.happen(life(2.0, 100.0))

    assert machine.happen(StopRequested(at=103.0)) == []
    assert machine.happen(life(2.0, 100.0)) == [], "an old account while the start is under way"
    assert machine.happen(STARTED) == [StopContainer(container="web", timeout=30.0)]


def test_a_restart_that_fails_ends_the_container_with_the_reason() -> None:
    machine = running()
    machine.happen(life(2.0, 100.0))

    assert machine.happen(StartFailed(at=103.0, container="web", reason="CannotStartContainerError: x")) == []
    assert machine.known() is Status.STOPPED
    assert machine.container("web").reason == "CannotStartContainerError: x"


def test_a_container_that_vanishes_while_it_is_started_again_is_told_by_that_start() -> None:
    machine = running()
    machine.happen(life(2.0, 100.0))

    assert machine.happen(Vanished(at=102.5, container="web")) == []
    machine.happen(StartFailed(at=103.0, container="web", reason="CannotStartContainerError: gone"))
    assert machine.known() is Status.STOPPED


def test_a_restart_that_a_crash_of_the_agent_cut_off_is_made_after_it() -> None:
    machine = running()
    machine.happen(life(2.0, 100.0))
    after_crash = loaded(machine)

    assert after_crash.happen(Admitted(at=120.0)) == START, "as soon as it is admitted"
    assert after_crash.container("web").restarts == 1


def test_a_restart_that_worked_just_before_a_crash_is_not_repeated() -> None:
    machine = running()
    machine.happen(life(2.0, 100.0))
    after_crash = loaded(machine)

    assert after_crash.happen(runs(110.0)) == []
    assert after_crash.happen(Admitted(at=112.0), Resumed(at=112.0)) == []
    assert after_crash.known() is Status.RUNNING


def test_a_death_while_the_agent_was_away_is_followed_by_a_restart() -> None:
    machine = loaded(running())

    assert machine.happen(life(2.0, 500.0)) == []
    assert machine.happen(Admitted(at=600.0)) == START


def test_health_is_unknown_again_in_a_new_life() -> None:
    machine = running()
    healthy = inspection("web", "RUNNING", health="HEALTHY")
    machine.happen(Observed(at=10.0, container="web", inspection=healthy))
    machine.happen(life(2.0, 100.0))

    assert machine.container("web").health == "UNKNOWN"
