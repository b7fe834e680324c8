"""What holds for the task state machine whatever the engine does and in whatever order it tells."""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.engine.records import ContainerInspection
from agent.engine.states import (
    Admitted,
    Command,
    Condition,
    ContainerPlan,
    CreateContainer,
    CreateFailed,
    Dependency,
    Died,
    Event,
    HealthChanged,
    Observed,
    PrepareResources,
    PullFailed,
    PullImage,
    ResourcesFailed,
    RestartPlan,
    Resumed,
    StartContainer,
    StartFailed,
    StartTimedOut,
    Status,
    StopContainer,
    StopFailed,
    StopRequested,
    TaskPlan,
    TaskState,
    Vanished,
    WatchStartTimeout,
)
from tests.unit.engine.builders import Machine, container, exited, inspection, plan, success

_CONDITIONS: st.SearchStrategy[Condition] = st.sampled_from(
    ["START", "COMPLETE", "SUCCESS", "HEALTHY", "CREATE"]
)


RESTART = RestartPlan(ignored_exit_codes=(0,), attempt_period=0.5)


@st.composite
def plans(draw: st.DrawFn) -> TaskPlan:
    """Tasks of one to four containers, each waiting for some of those before it."""
    containers: list[ContainerPlan] = []
    for position in range(draw(st.integers(1, 4))):
        waits = [Dependency(c.name, draw(_CONDITIONS)) for c in containers if draw(st.booleans())]
        made = container(
            f"c{position}",
            *waits,
            essential=draw(st.booleans()),
            start_timeout=draw(st.sampled_from([None, 60.0])),
            health_checked=draw(st.booleans()),
            restart=draw(st.sampled_from([None, None, RESTART])),
        )
        containers.append(made)
    return plan(*containers)


class World:
    """An engine that answers every command sooner or later, well or badly, and is watched at every step."""

    def __init__(self, task_plan: TaskPlan, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.machine = Machine(task_plan)
        self.draw = draw
        self.pending: list[Command] = []
        self.created: list[str] = []
        self.started: list[str] = []
        self.stop_wanted = False

    def happen(self, event: Event) -> None:
        """Let an event happen and check everything that must always hold."""
        before = self.machine.state
        given_now = self.machine.happen(event)
        check_growth(before, self.machine.state)
        for command in given_now:
            if isinstance(command, CreateContainer):
                self.created.append(command.container)
            if isinstance(command, StartContainer):
                self.started.append(command.container)
            if self.stop_wanted:
                assert isinstance(command, StopContainer | WatchStartTimeout), "nothing starts after a stop"
        self.pending += given_now
        assert len(set(self.created)) == len(self.created), "no container is created twice"
        for name in set(self.started):
            lives = 1 + self.machine.container(name).restarts
            assert self.started.count(name) <= lives, "nothing is started again but by its restart policy"
        starts = [c.container for c in self.pending if isinstance(c, StartContainer)]
        assert len(set(starts)) == len(starts), "no container has two starts under way"
        if isinstance(event, StopRequested):
            self.stop_wanted = True

    def answer_one(self, *, well: bool) -> None:
        """Answer one of the commands under way."""
        position = self.draw(st.integers(0, len(self.pending) - 1))
        command = self.pending.pop(position)
        for event in success(command, 5.0) if well else self.failure(command):
            self.happen(event)

    def failure(self, command: Command) -> tuple[Event, ...]:
        """How a command might be answered badly."""
        if isinstance(command, PrepareResources):
            return (ResourcesFailed(at=5.0, reason="no"),)
        name = command.container
        match command:
            case PullImage():
                return (PullFailed(at=5.0, container=name, reason="no"),)
            case CreateContainer():
                return (CreateFailed(at=5.0, container=name, reason="no"),)
            case StartContainer():
                may_run = self.draw(st.booleans())
                return (StartFailed(at=5.0, container=name, reason="no", may_run=may_run),)
            case StopContainer():
                failed = StopFailed(at=5.0, container=name, reason="no")
                return (self.draw(st.sampled_from([failed, Vanished(at=5.0, container=name)])),)
            case WatchStartTimeout():
                return (StartTimedOut(at=65.0, container=name),)

    def make_noise(self) -> None:
        """Something that the engine tells by itself of a started container: true, late or twice."""
        if self.started:
            name = self.draw(st.sampled_from(self.started))
            events = noise(name)
            if self.machine.container(name).known >= Status.RUNNING:
                events = (*events, Died(at=6.0, container=name, exit_code=1))
            self.happen(self.draw(st.sampled_from(events)))


def noise(name: str) -> tuple[Event, ...]:
    """What may be heard of a started container at any time."""
    return (
        exited(name, 0),
        exited(name, 1),
        Observed(at=9.0, container=name, inspection=_second_life(name)),
        Observed(at=6.0, container=name, inspection=inspection(name, "RUNNING")),
        Observed(at=6.0, container=name, inspection=inspection(name, "RUNNING", health="HEALTHY")),
        Observed(at=6.0, container=name, inspection=inspection(name, "CREATED", ever_started=False)),
        Vanished(at=6.0, container=name),
        HealthChanged(at=6.0, container=name, health="HEALTHY"),
        HealthChanged(at=6.0, container=name, health="UNHEALTHY"),
    )


def _second_life(name: str) -> ContainerInspection:
    return inspection(name, "STOPPED", exit_code=1, started_at=7.0, finished_at=8.0)


def check_growth(before: TaskState, after: TaskState) -> None:
    """No status ever goes back, and a task is never further than its containers."""
    assert after.known >= before.known
    assert after.desired >= before.desired
    for old, new in zip(before.containers, after.containers, strict=True):
        assert new.known >= old.known
        assert new.desired >= old.desired
    if after.known is Status.STOPPED:
        assert all(c.known is Status.STOPPED for c in after.containers)
        assert after.stopped_at is not None
    if after.known is Status.RUNNING:
        assert all(c.known >= Status.RUNNING for c in after.containers)


@settings(max_examples=300, deadline=None)
@given(plans(), st.data())
def test_whatever_happens_statuses_only_grow_and_nothing_is_done_twice(
    task_plan: TaskPlan, data: st.DataObject
) -> None:
    world = World(task_plan, data.draw)
    world.happen(Admitted(at=1.0))
    for _ in range(data.draw(st.integers(0, 25))):
        choice = data.draw(st.sampled_from(["well", "well", "badly", "noise", "stop", "resumed"]))
        if choice in ("well", "badly") and world.pending:
            world.answer_one(well=choice == "well")
        elif choice == "noise":
            world.make_noise()
        elif choice == "stop":
            world.happen(StopRequested(at=7.0))
        elif choice == "resumed":
            world.happen(Resumed(at=8.0))


@settings(max_examples=300, deadline=None)
@given(plans(), st.data())
def test_every_task_that_is_told_to_stop_ends_once_its_commands_are_answered(
    task_plan: TaskPlan, data: st.DataObject
) -> None:
    world = World(task_plan, data.draw)
    world.happen(Admitted(at=1.0))
    for _ in range(data.draw(st.integers(0, 12))):
        if world.pending:
            world.answer_one(well=data.draw(st.booleans()))
        world.make_noise()
    world.happen(StopRequested(at=7.0))
    answers = 0
    while world.pending:
        world.answer_one(well=True)
        answers += 1
        assert answers < 100, "commands must come to an end"

    assert world.machine.state.known is Status.STOPPED


@settings(max_examples=200, deadline=None)
@given(plans(), st.data())
def test_repeating_an_engine_event_changes_nothing(task_plan: TaskPlan, data: st.DataObject) -> None:
    machine = Machine(task_plan).run_up()
    for _ in range(data.draw(st.integers(1, 8))):
        started = [c for c, s in zip(task_plan.containers, machine.state.containers, strict=True) if s.ran]
        if not started:
            return
        event = data.draw(st.sampled_from(noise(data.draw(st.sampled_from(started)).name)))
        machine.happen(event)
        after_once = machine.state
        machine.happen(event)
        assert machine.state == after_once
