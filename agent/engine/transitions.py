"""The life of a task and its containers as one pure step: events in, commands out.

``container_transitions`` has the table that names, for every known status of a container and every kind of
event, what becomes of it. Statuses only grow, so duplicated, reordered and late events do no harm. A pair
that is missing cannot happen: meeting it is a fault of ours and raises ``IllegalTransitionError``.

After the event itself, the step goes on until nothing more follows from it (``progress``): an essential
container's end stops the task, a dependency that can never be fulfilled ends those who wait for it
(``dependencies``), a container whose turn has come gets its next command.
"""

import msgspec
from msgspec.structs import replace

from agent.engine.container_transitions import TRANSITIONS
from agent.engine.dependencies import give_up_on, watch, watches
from agent.engine.progress import settle
from agent.engine.states import (
    AdmissionDelayed,
    Admitted,
    Command,
    ContainerState,
    Event,
    Pulled,
    PullFailed,
    ResourcesFailed,
    ResourcesReady,
    ResourceStatus,
    Resumed,
    StartTimedOut,
    Status,
    StopRequested,
    TaskPlan,
    TaskState,
)


class IllegalTransitionError(Exception):
    """An event that cannot happen in a container's state."""

    def __init__(self, task_arn: str, state: ContainerState, event: Event) -> None:
        super().__init__(
            f"{type(event).__name__} for a container at {state.known.name} of {task_arn}: {state!r}"
        )


class Step(msgspec.Struct, frozen=True):
    """What follows from one event: the new state, what to do now, and why in a sentence."""

    state: TaskState
    commands: tuple[Command, ...]
    reason: str


def initial_state(plan: TaskPlan) -> TaskState:
    """The state of a task that was just accepted."""
    return TaskState(containers=tuple(ContainerState() for _ in plan.containers))


def step(plan: TaskPlan, state: TaskState, event: Event) -> Step:
    """Apply ``event`` to a task and all that follows from it.

    Raises ``IllegalTransitionError`` for an event that cannot happen in this state, ``KeyError`` for a
    container that the task does not have.
    """
    after, commands = _apply(plan, state, event)
    after, more = settle(plan, after, event.at)
    return Step(after, (*commands, *more), _sentence(plan, state, after, event))


def _apply(plan: TaskPlan, state: TaskState, event: Event) -> tuple[TaskState, tuple[Command, ...]]:
    match event:
        case StopRequested():
            reason = state.reason or event.reason
            return replace(state, desired=Status.STOPPED, reason=reason, waits_for=""), ()
        case AdmissionDelayed():
            waits = state.known < Status.RUNNING and state.desired is not Status.STOPPED
            return replace(state, waits_for=event.reason if waits else ""), ()
        case Admitted():
            return replace(state, admitted=True, waits_for=""), ()
        case Resumed():
            return state, watches(plan, state, event.at)
        case ResourcesReady():
            return replace(state, resources=ResourceStatus.READY), ()
        case ResourcesFailed():
            return replace(state, desired=Status.STOPPED, reason=state.reason or event.reason), ()
        case StartTimedOut():
            return give_up_on(plan, state, event), ()
    position = plan.index(event.container)
    before = state.containers[position]
    handler = TRANSITIONS.get((before.known, type(event)))
    if handler is None:
        raise IllegalTransitionError(plan.arn, before, event)
    container, commands = handler(plan.containers[position], before, event)
    after = state.with_container(position, container)
    if isinstance(event, Pulled | PullFailed) and state.pull_stopped_at is None:
        after = replace(after, pull_stopped_at=_when_all_pulled(after, event.at))
    if container.known is Status.RUNNING and before.known is not Status.RUNNING:
        commands = (*commands, *watch(plan, after, position, event.at))
    return after, commands


def _when_all_pulled(state: TaskState, at: float) -> float | None:
    return None if any(c.known is Status.NONE for c in state.containers) else at


def _sentence(plan: TaskPlan, before: TaskState, after: TaskState, event: Event) -> str:
    moved = [
        f"{p.name} {old.known.name} → {new.known.name}" + (f" ({new.reason})" if new.reason else "")
        for p, old, new in zip(plan.containers, before.containers, after.containers, strict=True)
        if old.known is not new.known
    ]
    if before.known is not after.known:
        moved.append(f"task {before.known.name} → {after.known.name}")
    what = type(event).__name__ + (f" {event.container}" if hasattr(event, "container") else "")
    return f"{what}: {', '.join(moved) or 'no change of status'}"
