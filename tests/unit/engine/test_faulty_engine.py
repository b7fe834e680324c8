"""Whole lives of tasks on an engine whose events are reordered, doubled and lost, whose answers come late,
under an agent that crashes: what must hold at every step, and at the end.
"""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.engine.observer import in_order_of_belief
from agent.engine.outbox import acknowledged, unsent_change
from agent.engine.states import (
    Admitted,
    Command,
    Condition,
    ContainerPlan,
    Dependency,
    Died,
    Event,
    ResourceStatus,
    RestartPlan,
    Resumed,
    StartTimedOut,
    Status,
    StopContainer,
    StopRequested,
    TaskPlan,
    WatchStartTimeout,
)
from tests.unit.engine.builders import Machine, container, plan
from tests.unit.engine.faulty_engine import FaultyEngine, Told
from tests.unit.engine.test_transition_properties import check_growth

_CONDITIONS: st.SearchStrategy[Condition] = st.sampled_from(["START", "COMPLETE", "SUCCESS", "CREATE"])
_RANKS = {"PENDING": 0, "RUNNING": 1, "STOPPED": 2}
_MOSTLY = st.sampled_from([True] * 9 + [False])
_ROUNDS = 60


@st.composite
def plans(draw: st.DrawFn) -> TaskPlan:
    """Tasks of one to three containers, some of them restarted in place, some waiting for others."""
    containers: list[ContainerPlan] = []
    for position in range(draw(st.integers(1, 3))):
        waits = [Dependency(c.name, draw(_CONDITIONS)) for c in containers if draw(st.booleans())]
        policy = RestartPlan(ignored_exit_codes=(0,), attempt_period=0.0)
        made = container(
            f"c{position}",
            *waits,
            essential=draw(st.booleans()),
            start_timeout=draw(st.sampled_from([None, 60.0])),
            restart=draw(st.sampled_from([None, None, policy])),
        )
        containers.append(made)
    return plan(*containers)


class Life:
    """A task, its engine, the agent's calls under way and the reports that were made."""

    def __init__(self, task_plan: TaskPlan, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.machine = Machine(task_plan)
        self.engine = FaultyEngine()
        self.draw = draw
        self.under_way: list[Command] = []
        self.given_up: list[Command] = []
        self.old_looks: list[Event] = []
        self.reports: list[str] = []
        self.stop_asked = False

    # --- what always holds ------------------------------------------------------------------------------

    def happen(self, event: Event) -> None:
        before = self.machine.state
        commands = self.machine.happen(event)
        after = self.machine.state
        check_growth(before, after)
        if self.stop_asked:
            assert all(isinstance(c, StopContainer | WatchStartTimeout) for c in commands), (
                "nothing starts after a stop"
            )
        self.stop_asked |= isinstance(event, StopRequested)
        self.under_way += commands
        if after.known is Status.STOPPED and before.known is not Status.STOPPED:
            asked = {n for n in self.engine.running() if not self.engine.containers[n].runs_unasked}
            assert not asked, f"{asked} run while the task is said to have stopped"
        for each in self.machine.plan.containers:
            made = self.engine.containers.get(each.name)
            if made is not None and each.restart is None:
                assert made.starts_asked_for <= 1, f"{each.name} was started twice"

    # --- what may happen --------------------------------------------------------------------------------

    def answer(self) -> None:
        """The engine carries a call out, well or not, and its answer arrives."""
        if command := self._take(self.under_way):
            self._tell(command, self.engine.carry_out(command, well=self.draw(_MOSTLY)))

    def begin(self, answers: int) -> None:
        """The task is let in, and all goes well for so many answers."""
        self.happen(Admitted(at=1.0))
        for _ in range(answers):
            if command := self._take(self.under_way):
                self._tell(command, self.engine.carry_out(command))

    def give_up(self) -> None:
        """The agent gets tired of waiting for a call; the engine may carry it out later, or did already."""
        if (command := self._take(self.under_way)) and not isinstance(command, WatchStartTimeout):
            self.old_looks.clear()  # an inspection may take seconds, a start minutes before it is given up
            when = self.draw(st.sampled_from(["before", "later", "never"]))
            if when == "before":
                self.engine.carry_out(command)
            elif when == "later":
                self.given_up.append(command)
            self._tell(command, self.engine.given_up(command))

    def carry_out_late(self) -> None:
        if command := self._take(self.given_up):
            self.engine.carry_out(command, unasked=True)

    def end_by_itself(self) -> None:
        if running := sorted(self.engine.running()):
            self.engine.end(self.draw(st.sampled_from(running)), self.draw(st.sampled_from([0, 1])))

    def meddle(self) -> None:
        """Somebody starts or removes a container by hand."""
        if there := sorted(self.engine.containers):
            name = self.draw(st.sampled_from(there))
            if self.draw(st.booleans()):
                self.engine.start(name, unasked=True)
            else:
                self.engine.remove(name)

    def hear(self) -> None:
        """One of the events is heard, out of turn perhaps, and perhaps not for the last time."""
        if self.engine.events:
            told = self.draw(st.sampled_from(self.engine.events))
            if self.draw(st.booleans()):
                self.engine.events.remove(told)
            self._react(told)

    def lose(self) -> None:
        self._take(self.engine.events)

    def look(self) -> None:
        """An inspection that is heard of at once, or later."""
        if there := sorted(self.engine.containers):
            seen = self.engine.look(self.draw(st.sampled_from(there)))
            self.old_looks.append(seen)
            if self.draw(st.booleans()):
                self.happen(seen)

    def hear_of_old_look(self) -> None:
        if seen := self._take(self.old_looks):
            self.happen(seen)

    def report(self) -> None:
        """The newest state is submitted and acknowledged."""
        change = unsent_change(self.machine.plan, self.machine.state)
        if change is not None:
            if self.reports:
                assert _RANKS[change.status] >= _RANKS[self.reports[-1]], "a report never goes back"
            self.reports.append(change.status)
            self.machine.state = acknowledged(self.machine.plan, self.machine.state, change)

    def stop(self) -> None:
        self.happen(StopRequested(at=self.engine.now))

    def crash(self) -> None:
        """The agent dies and is started again: calls under way were carried out or not, and what is not on
        disk is gone.
        """
        for command in self.under_way:
            if self.draw(st.booleans()) and not isinstance(command, WatchStartTimeout):
                self.engine.carry_out(command)
        self.under_way, self.old_looks, self.engine.events = [], [], []
        state = self.machine.state
        containers = tuple(replace(each, applied=None) for each in state.containers)
        self.machine.state = replace(
            state, containers=containers, admitted=False, resources=ResourceStatus.NONE
        )
        self._look_at_all()
        if self.machine.state.known is not Status.STOPPED:
            if self.machine.state.desired is not Status.STOPPED or self._has_begun():
                self.happen(Admitted(at=self.engine.now))
            self.happen(Resumed(at=self.engine.now))

    def compare(self) -> None:
        """What the agent does after every loss of the event stream."""
        for each in self.machine.plan.containers:
            state, made = self.machine.container(each.name), self.engine.containers.get(each.name)
            seen = None if made is None else made.state
            if state.known is Status.STOPPED and seen != "RUNNING":
                continue
            expected = "RUNNING" if state.known is Status.RUNNING else "CREATED"
            not_made_yet = seen is None and state.known < Status.CREATED
            if not not_made_yet and seen != expected:
                self.happen(self.engine.look(each.name))

    def _look_at_all(self) -> None:
        """What the agent does at its start."""
        made = [c.name for c in self.machine.plan.containers if c.name in self.engine.containers]
        known = [
            c.name
            for c in self.machine.plan.containers
            if self.machine.container(c.name).known >= Status.CREATED
        ]
        for event in in_order_of_belief([self.engine.look(name) for name in {*made, *known}]):
            self.happen(event)

    # --- the end ----------------------------------------------------------------------------------------

    def come_to_an_end(self) -> None:
        """No more faults: everything under way is done, the task is stopped, and the agent looks again."""
        for command in self.given_up:
            self.engine.carry_out(command, unasked=True)
        self.stop()
        for _ in range(_ROUNDS):
            self.engine.events.clear()
            self.compare()
            if not self.under_way and not self.engine.running():
                break
            for command in tuple(self.under_way):
                self.under_way.remove(command)
                self._tell(command, self.engine.carry_out(command))
        while unsent_change(self.machine.plan, self.machine.state) is not None:
            self.report()

    # --- odds and ends ----------------------------------------------------------------------------------

    def _tell(self, command: Command, answer: Event | None) -> None:
        if answer is not None:
            self.happen(answer)
        elif isinstance(command, WatchStartTimeout):
            self.happen(StartTimedOut(at=self.engine.now, container=command.container))

    def _react(self, told: Told) -> None:
        """As the agent's observer does."""
        state = self.machine.container(told.name)
        restartable = self.machine.plan.containers[self.machine.plan.index(told.name)].restart is not None
        if told.action == "die" and state.known is Status.RUNNING and not restartable:
            self.happen(Died(at=self.engine.now, container=told.name, exit_code=told.exit_code))
            return
        begun = told.action == "start" and Status.RUNNING not in (state.known, state.applied)
        ended = told.action != "start" and state.known is not Status.STOPPED
        if begun or ended:
            self.happen(self.engine.look(told.name))

    def _has_begun(self) -> bool:
        return any(each.known is not Status.NONE for each in self.machine.state.containers)

    def _take(self, items: list[Any]) -> Any:
        return items.pop(self.draw(st.integers(0, len(items) - 1))) if items else None


_HAPPENINGS = [
    *(Life.answer,) * 12,
    *(Life.hear, Life.hear, Life.hear, Life.report, Life.report),
    *(Life.give_up, Life.give_up, Life.carry_out_late, Life.lose, Life.look, Life.hear_of_old_look),
    *(Life.end_by_itself, Life.meddle, Life.compare, Life.stop, Life.crash),
]


@settings(max_examples=300, deadline=None)
@given(plans(), st.data())
def test_whatever_the_engine_does_and_tells_every_task_ends_reported_and_nothing_of_it_runs_on(
    task_plan: TaskPlan, data: st.DataObject
) -> None:
    life = Life(task_plan, data.draw)
    life.begin(data.draw(st.integers(0, 12)))
    for happening in data.draw(st.lists(st.sampled_from(_HAPPENINGS), min_size=5, max_size=40)):
        happening(life)
    life.come_to_an_end()

    assert life.machine.state.known is Status.STOPPED
    assert life.engine.running() == set()
    assert life.reports[-1] == "STOPPED"
    assert set(life.engine.containers) <= {each.name for each in task_plan.containers}
