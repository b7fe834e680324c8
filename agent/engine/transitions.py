"""The life of a task and its containers as one pure step: events in, commands out.

``TRANSITIONS`` names, for every known status of a container and every kind of event, what becomes of it.
Statuses only grow, so duplicated, reordered and late events do no harm; the pairs that are harmless repeats
say so. A pair that is missing cannot happen: meeting it is a fault of ours and raises
``IllegalTransitionError``.

After the event itself, the step goes on until nothing more follows from it: an essential container's end
stops the task, a dependency that can never be fulfilled ends those who wait for it, a container whose turn
has come gets its next command.
"""

from collections.abc import Callable, Mapping

import msgspec
from msgspec.structs import replace

from agent.engine.ordering import may_stop, readiness, timed_dependents
from agent.engine.states import (
    AdmissionDelayed,
    Admitted,
    Command,
    ContainerEvent,
    ContainerPlan,
    ContainerState,
    CreateContainer,
    Created,
    CreateFailed,
    Died,
    Event,
    HealthChanged,
    Observed,
    Pulled,
    PullFailed,
    PullImage,
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
    TaskState,
    Vanished,
    WatchStartTimeout,
)

ESSENTIAL_EXITED = "Essential container in task exited"
NOT_PROGRESSING = "TaskStateError: Agent could not progress task's state to stopped"
VANISHED = "ContainerVanishedError: No container matching saved ID found"
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
DEPENDENCY_EXIT_CODE = 143
STOP_RETRY_S = 10.0


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
    after, more = _settle(plan, after, event.at)
    return Step(after, (*commands, *more), _sentence(plan, state, after, event))


def _apply(plan: TaskPlan, state: TaskState, event: Event) -> tuple[TaskState, tuple[Command, ...]]:
    match event:
        case StopRequested():
            reason = state.reason or event.reason
            return replace(state, desired=Status.STOPPED, reason=reason, waits_for=""), ()
        case AdmissionDelayed():
            waits = not state.admitted and state.desired is not Status.STOPPED
            return replace(state, waits_for=event.reason if waits else ""), ()
        case Admitted():
            return replace(state, admitted=True, waits_for=""), ()
        case Resumed():
            return state, _watches(plan, state, event.at)
        case StartTimedOut():
            return _give_up_on(plan, state, event), ()
    position = plan.index(event.container)
    before = state.containers[position]
    handler = TRANSITIONS.get((before.known, type(event)))
    if handler is None:
        raise IllegalTransitionError(plan.arn, before, event)
    container, commands = handler(plan.containers[position], before, event)
    after = _with(state, position, container)
    if isinstance(event, Pulled | PullFailed) and state.pull_stopped_at is None:
        after = replace(after, pull_stopped_at=_when_all_pulled(after, event.at))
    if container.known is Status.RUNNING and before.known is not Status.RUNNING:
        commands = (*commands, *_watch(plan, after, position, event.at))
    return after, commands


def _with(state: TaskState, position: int, container: ContainerState) -> TaskState:
    containers = (*state.containers[:position], container, *state.containers[position + 1 :])
    return replace(state, containers=containers)


def _when_all_pulled(state: TaskState, at: float) -> float | None:
    return None if any(c.known is Status.NONE for c in state.containers) else at


# --- one container, one event -------------------------------------------------------------------------------

_Outcome = tuple[ContainerState, tuple[Command, ...]]


def _failed(state: ContainerState, reason: str, at: float, exit_code: int | None = None) -> ContainerState:
    """It never came to run, or is gone: stopped without a call of the engine."""
    code = state.exit_code if exit_code is None else exit_code
    return replace(
        state,
        desired=Status.STOPPED,
        known=Status.STOPPED,
        applied=None,
        reason=state.reason or reason,
        exit_code=code,
        finished_at=at,
    )


def _pulled(_: ContainerPlan, state: ContainerState, event: Pulled) -> _Outcome:
    pulled = replace(
        state,
        known=Status.PULLED,
        applied=None,
        image_digest=event.digest or None,
        image_id=event.image_id or None,
    )
    return pulled, ()


def _could_not(_: ContainerPlan, state: ContainerState, event: PullFailed | CreateFailed) -> _Outcome:
    return _failed(state, event.reason, event.at), ()


def _created(_: ContainerPlan, state: ContainerState, event: Created) -> _Outcome:
    known = replace(state, known=Status.CREATED, applied=None, docker_id=event.docker_id, created_at=event.at)
    return known, ()


def _started(_: ContainerPlan, state: ContainerState, event: Started) -> _Outcome:
    running = replace(
        state,
        known=Status.RUNNING,
        applied=None,
        ran=True,
        docker_id=event.docker_id,
        network_bindings=event.network_bindings,
        started_at=state.started_at or event.at,
    )
    return running, ()


def _start_failed(_: ContainerPlan, state: ContainerState, event: StartFailed) -> _Outcome:
    if not event.may_run:
        return _failed(state, event.reason, event.at), ()
    doubtful = replace(state, known=Status.RUNNING, applied=None, desired=Status.STOPPED, reason=event.reason)
    return doubtful, ()


def _start_answered(_: ContainerPlan, state: ContainerState, event: Started | StartFailed) -> _Outcome:
    """The engine's events had told already that it runs."""
    answered = replace(state, applied=None if state.applied is Status.RUNNING else state.applied)
    if isinstance(event, Started):
        answered = replace(answered, network_bindings=event.network_bindings or state.network_bindings)
    return answered, ()


def _stop_failed(plan: ContainerPlan, state: ContainerState, event: StopFailed) -> _Outcome:
    again = StopContainer(container=plan.name, timeout=plan.stop_timeout, delay=STOP_RETRY_S)
    return replace(state, applied=Status.STOPPED, reason=state.reason or event.reason), (again,)


def _observed(_: ContainerPlan, state: ContainerState, event: Observed) -> _Outcome:
    """What the engine says of a container that is not known to have stopped."""
    seen = event.inspection
    if state.applied in (Status.CREATED, Status.RUNNING) and not seen.ever_started:
        return state, ()  # the call in flight will tell
    facts = replace(
        state,
        docker_id=seen.docker_id,
        image_id=state.image_id or seen.image_id,
        network_bindings=event.network_bindings or state.network_bindings,
        ran=state.ran or seen.ever_started,
        created_at=state.created_at or seen.created_at,
        started_at=state.started_at or seen.started_at,
    )
    if seen.health != facts.health:
        facts = replace(facts, health=seen.health, health_since=event.at)
    if seen.state == "RUNNING":
        running = replace(facts, known=Status.RUNNING, started_at=facts.started_at or event.at)
        # Of a stop in flight only its own answer says that it is over.
        return running, ()
    never_started = seen.state == "CREATED"
    if never_started and state.known < Status.RUNNING:
        return replace(facts, known=Status.CREATED), ()
    if never_started and state.ran and state.applied is not Status.STOPPED:
        return state, ()  # an account from before it started
    return _ended(facts, event), ()


def _ended(state: ContainerState, event: Observed) -> ContainerState:
    seen = event.inspection
    reason = state.reason
    if seen.oom_killed and _unasked(state, seen.exit_code):
        reason = OUT_OF_MEMORY
    elif seen.error and not seen.ever_started:
        reason = reason or f"CannotStartContainerError: {seen.error}"
    return replace(
        state,
        known=Status.STOPPED,
        desired=Status.STOPPED,
        applied=None,
        reason=reason,
        exit_code=seen.exit_code,
        finished_at=seen.finished_at or event.at,
    )


def _unasked(state: ContainerState, exit_code: int | None) -> bool:
    """Whether a container failed by itself. Where a task's memory runs out, cgroup v1 tells all of its
    containers, of which the kernel may have killed one only.
    """
    return state.desired is not Status.STOPPED and exit_code != 0


def _died(_: ContainerPlan, state: ContainerState, event: Died) -> _Outcome:
    ended = replace(
        state,
        known=Status.STOPPED,
        desired=Status.STOPPED,
        applied=None,
        reason=OUT_OF_MEMORY if event.out_of_memory and _unasked(state, event.exit_code) else state.reason,
        exit_code=event.exit_code,
        finished_at=event.at,
    )
    return ended, ()


def _observed_after_end(plan: ContainerPlan, state: ContainerState, event: Observed) -> _Outcome:
    """Somebody has started a stopped container again: it is stopped again, and stays reported as stopped."""
    if event.inspection.state != "RUNNING":
        return replace(state, applied=None), ()
    if state.applied is Status.STOPPED:
        return state, ()
    again = StopContainer(container=plan.name, timeout=plan.stop_timeout)
    return replace(state, applied=Status.STOPPED), (again,)


def _vanished(_: ContainerPlan, state: ContainerState, event: Vanished) -> _Outcome:
    if state.applied is Status.RUNNING:
        return state, ()  # the start in flight will say so itself
    return _failed(state, VANISHED, event.at), ()


def _gone(_: ContainerPlan, state: ContainerState, event: ContainerEvent) -> _Outcome:  # noqa: ARG001
    return replace(state, applied=None), ()


def _health_changed(_: ContainerPlan, state: ContainerState, event: HealthChanged) -> _Outcome:
    if event.health == state.health:
        return state, ()
    return replace(state, health=event.health, health_since=event.at), ()


def _late(_: ContainerPlan, state: ContainerState, event: ContainerEvent) -> _Outcome:  # noqa: ARG001
    """The answer to a command that the engine's own account has overtaken."""
    return replace(state, applied=state.applied if state.applied is Status.STOPPED else None), ()


def _ignored(_: ContainerPlan, state: ContainerState, event: ContainerEvent) -> _Outcome:  # noqa: ARG001
    return state, ()


TRANSITIONS: Mapping[tuple[Status, type[ContainerEvent]], Callable[..., _Outcome]] = {
    (Status.NONE, Pulled): _pulled,
    (Status.NONE, PullFailed): _could_not,
    (Status.NONE, Observed): _observed,
    (Status.NONE, Vanished): _ignored,
    (Status.NONE, HealthChanged): _ignored,
    (Status.PULLED, Pulled): _ignored,
    (Status.PULLED, PullFailed): _ignored,
    (Status.PULLED, Created): _created,
    (Status.PULLED, CreateFailed): _could_not,
    (Status.PULLED, Observed): _observed,
    (Status.PULLED, Vanished): _ignored,
    (Status.PULLED, HealthChanged): _ignored,
    (Status.CREATED, Pulled): _late,
    (Status.CREATED, PullFailed): _late,
    (Status.CREATED, Created): _late,
    (Status.CREATED, CreateFailed): _late,
    (Status.CREATED, Started): _started,
    (Status.CREATED, StartFailed): _start_failed,
    (Status.CREATED, Observed): _observed,
    (Status.CREATED, Vanished): _vanished,
    (Status.CREATED, HealthChanged): _health_changed,
    (Status.RUNNING, Pulled): _late,
    (Status.RUNNING, PullFailed): _late,
    (Status.RUNNING, Created): _late,
    (Status.RUNNING, CreateFailed): _late,
    (Status.RUNNING, Started): _start_answered,
    (Status.RUNNING, StartFailed): _start_answered,
    (Status.RUNNING, StopFailed): _stop_failed,
    (Status.RUNNING, Observed): _observed,
    (Status.RUNNING, Died): _died,
    (Status.RUNNING, Vanished): _vanished,
    (Status.RUNNING, HealthChanged): _health_changed,
    (Status.STOPPED, Pulled): _ignored,
    (Status.STOPPED, PullFailed): _ignored,
    (Status.STOPPED, Created): _ignored,
    (Status.STOPPED, CreateFailed): _ignored,
    (Status.STOPPED, Started): _ignored,
    (Status.STOPPED, StartFailed): _ignored,
    (Status.STOPPED, StopFailed): _stop_failed,
    (Status.STOPPED, Observed): _observed_after_end,
    (Status.STOPPED, Died): _ignored,
    (Status.STOPPED, Vanished): _gone,
    (Status.STOPPED, HealthChanged): _ignored,
}


# --- startTimeout -------------------------------------------------------------------------------------------


def _watches(plan: TaskPlan, state: TaskState, at: float) -> tuple[Command, ...]:
    running = (i for i, c in enumerate(state.containers) if c.known is Status.RUNNING)
    return tuple(command for i in running for command in _watch(plan, state, i, at))


def _watch(plan: TaskPlan, state: TaskState, position: int, at: float) -> tuple[Command, ...]:
    container, seen = plan.containers[position], state.containers[position]
    if container.start_timeout is None or not timed_dependents(plan, container.name):
        return ()
    passed = max(0.0, at - (seen.started_at or at))
    return (WatchStartTimeout(container=container.name, seconds=max(0.0, container.start_timeout - passed)),)


def _give_up_on(plan: TaskPlan, state: TaskState, event: StartTimedOut) -> TaskState:
    """End those that still wait for the container to do more than start."""
    timeout = plan.containers[plan.index(event.container)].start_timeout
    for dependent in timed_dependents(plan, event.container):
        position = plan.index(dependent.name)
        waiting = state.containers[position]
        if _can_still_wait(waiting) and readiness(plan, state, dependent)[0] == "WAITING":
            why = f"container {event.container} was not ready within its startTimeout of {timeout:g} s"
            state = _with(state, position, _dependency_failed(waiting, why, event.at))
    return state


def _can_still_wait(state: ContainerState) -> bool:
    return state.known < Status.CREATED and state.applied is not Status.CREATED


def _dependency_failed(state: ContainerState, why: str, at: float) -> ContainerState:
    reason = f"CannotStartContainerError: dependency graph: {why}"
    return _failed(state, reason, at, exit_code=DEPENDENCY_EXIT_CODE)


# --- what follows -------------------------------------------------------------------------------------------


def _settle(plan: TaskPlan, state: TaskState, at: float) -> tuple[TaskState, tuple[Command, ...]]:
    """Draw conclusions until there are none left. Statuses only grow, so that this ends."""
    commands: list[Command] = []
    while True:
        before = state
        state = _end_hopeless(plan, state, at)
        state = _wish(plan, state)
        for position in range(len(plan.containers)):
            state = _move(plan, state, position, at, commands)
        state = _known(state, at)
        if state == before:
            return state, tuple(commands)


def _end_hopeless(plan: TaskPlan, state: TaskState, at: float) -> TaskState:
    """End the containers whose dependencies can never be fulfilled."""
    if state.desired is Status.STOPPED:
        return state
    for position, container in enumerate(plan.containers):
        waiting = state.containers[position]
        if waiting.desired is Status.RUNNING and _can_still_wait(waiting):
            verdict, why = readiness(plan, state, container)
            if verdict == "NEVER":
                state = _with(state, position, _dependency_failed(waiting, why, at))
    return state


def _wish(plan: TaskPlan, state: TaskState) -> TaskState:
    """An essential container that ends, or has to, takes the task with it; a task that ends takes them
    all.
    """
    pairs = tuple(zip(plan.containers, state.containers, strict=True))
    if state.desired is not Status.STOPPED:
        ended = [c for p, c in pairs if p.essential and Status.STOPPED in (c.known, c.desired)]
        if not ended:
            return state
        failed = [c.reason for c in ended if c.reason and not c.ran]
        reason = state.reason or (failed or [ESSENTIAL_EXITED])[0]
        state = replace(state, desired=Status.STOPPED, reason=reason, waits_for="")
    if all(c.desired is Status.STOPPED for c in state.containers):
        return state
    return replace(state, containers=tuple(replace(c, desired=Status.STOPPED) for c in state.containers))


def _move(plan: TaskPlan, state: TaskState, position: int, at: float, commands: list[Command]) -> TaskState:
    """Give one container its next command, if it is its turn."""
    container, seen = plan.containers[position], state.containers[position]
    if seen.known is Status.STOPPED:
        return state
    if seen.desired is Status.STOPPED:
        return _move_down(plan, state, position, at, commands)
    if not state.admitted or seen.applied is not None:
        return state
    match seen.known:
        case Status.NONE:
            commands.append(PullImage(container=container.name))
            state = replace(state, pull_started_at=state.pull_started_at or at)
            return _with(state, position, replace(seen, applied=Status.PULLED))
        case Status.PULLED if readiness(plan, state, container)[0] == "READY":
            commands.append(CreateContainer(container=container.name))
            return _with(state, position, replace(seen, applied=Status.CREATED))
        case Status.CREATED:
            commands.append(StartContainer(container=container.name))
            return _with(state, position, replace(seen, applied=Status.RUNNING))
    return state


def _move_down(
    plan: TaskPlan, state: TaskState, position: int, at: float, commands: list[Command]
) -> TaskState:
    container, seen = plan.containers[position], state.containers[position]
    if seen.applied in (Status.CREATED, Status.RUNNING, Status.STOPPED):
        return state  # wait for the answer
    if seen.known is not Status.RUNNING:
        ended = replace(seen, known=Status.STOPPED, applied=None, finished_at=at)
        return _with(state, position, ended)
    if not may_stop(plan, state, container):
        return state
    commands.append(StopContainer(container=container.name, timeout=container.stop_timeout))
    return _with(state, position, replace(seen, applied=Status.STOPPED))


def _known(state: TaskState, at: float) -> TaskState:
    """A task is as far as the hindmost of its containers."""
    if not state.containers:
        known = Status.STOPPED if state.desired is Status.STOPPED else Status.NONE
        reason = state.reason or (NOT_PROGRESSING if known is Status.STOPPED else "")
    else:
        known, reason = min(c.known for c in state.containers), state.reason
    if known is Status.RUNNING and state.desired is Status.STOPPED:
        known = state.known  # what is about to end is not announced as running
    if known <= state.known:
        return state
    ran = known is Status.RUNNING or (known is Status.STOPPED and _all_ran(state))
    started_at = state.started_at or (at if ran else None)
    stopped_at = at if known is Status.STOPPED else None
    return replace(state, known=known, reason=reason, started_at=started_at, stopped_at=stopped_at)


def _all_ran(state: TaskState) -> bool:
    """A task whose containers have all run has been running, be it ever so shortly."""
    return bool(state.containers) and all(c.ran for c in state.containers)


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
