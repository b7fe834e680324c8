"""What follows from a task's state: who has to end, whose turn it is, and how far the task has come."""

from msgspec.structs import replace

from agent.engine.dependencies import end_hopeless
from agent.engine.ordering import may_stop, readiness
from agent.engine.states import (
    Command,
    CreateContainer,
    PrepareResources,
    PullImage,
    ResourceStatus,
    StartContainer,
    Status,
    StopContainer,
    TaskPlan,
    TaskState,
)

ESSENTIAL_EXITED = "Essential container in task exited"
NOT_PROGRESSING = "TaskStateError: Agent could not progress task's state to stopped"


def settle(plan: TaskPlan, state: TaskState, at: float) -> tuple[TaskState, tuple[Command, ...]]:
    """Draw conclusions until there are none left. Statuses only grow, so that this ends."""
    commands: list[Command] = []
    while True:
        before = state
        state = end_hopeless(plan, state, at)
        state = _wish(plan, state)
        state = _prepare(state, commands)
        for position in range(len(plan.containers)):
            state = _move(plan, state, position, at, commands)
        state = _known(state, at)
        if state == before:
            return state, tuple(commands)


def _wish(plan: TaskPlan, state: TaskState) -> TaskState:
    """An essential container that ends, or has to, takes the task with it; a task that ends takes them
    all. Internal containers alone are no task.
    """
    pairs = tuple(zip(plan.containers, state.containers, strict=True))
    if state.desired is not Status.STOPPED:
        ended = [c for p, c in pairs if p.essential and Status.STOPPED in (c.known, c.desired)]
        alone = all(p.internal or c.known is Status.STOPPED for p, c in pairs)
        if not ended and not (pairs and alone):
            return state
        failed = [c.reason for c in ended if c.reason and not c.ran]
        reason = state.reason or (failed or [ESSENTIAL_EXITED])[0]
        state = replace(state, desired=Status.STOPPED, reason=reason, waits_for="")
    if all(c.desired is Status.STOPPED for c in state.containers):
        return state
    return replace(state, containers=tuple(replace(c, desired=Status.STOPPED) for c in state.containers))


def _prepare(state: TaskState, commands: list[Command]) -> TaskState:
    """Have what the task needs beside its containers made, while there are containers that may need it."""
    waiting = any(c.known < Status.CREATED and c.applied is not Status.CREATED for c in state.containers)
    wanted = state.admitted and state.desired is not Status.STOPPED and waiting
    if not wanted or state.resources is not ResourceStatus.NONE:
        return state
    commands.append(PrepareResources())
    return replace(state, resources=ResourceStatus.PREPARING)


def _move(plan: TaskPlan, state: TaskState, position: int, at: float, commands: list[Command]) -> TaskState:
    """Give one container its next command, if it is its turn."""
    container, seen = plan.containers[position], state.containers[position]
    if seen.known is Status.STOPPED:
        return state
    if seen.desired is Status.STOPPED:
        return _move_down(plan, state, position, at, commands)
    if not state.admitted or seen.applied is not None:
        return state
    ready = state.resources is ResourceStatus.READY
    to_be_started = seen.known is Status.CREATED or seen.restarting
    match seen.known:
        case Status.NONE if ready:
            commands.append(PullImage(container=container.name))
            state = replace(state, pull_started_at=state.pull_started_at or at)
            return state.with_container(position, replace(seen, applied=Status.PULLED))
        case Status.PULLED if ready and readiness(plan, state, container)[0] == "READY":
            commands.append(CreateContainer(container=container.name))
            return state.with_container(position, replace(seen, applied=Status.CREATED))
        case Status.CREATED | Status.RUNNING if to_be_started:
            commands.append(StartContainer(container=container.name))
            return state.with_container(position, replace(seen, applied=Status.RUNNING))
    return state


def _move_down(
    plan: TaskPlan, state: TaskState, position: int, at: float, commands: list[Command]
) -> TaskState:
    container, seen = plan.containers[position], state.containers[position]
    if seen.applied in (Status.CREATED, Status.RUNNING, Status.STOPPED):
        return state  # wait for the answer
    if seen.known is not Status.RUNNING:
        ended = replace(seen, known=Status.STOPPED, applied=None, finished_at=at)
        return state.with_container(position, ended)
    if not may_stop(plan, state, container):
        return state
    commands.append(StopContainer(container=container.name, timeout=container.stop_timeout))
    return state.with_container(position, replace(seen, applied=Status.STOPPED))


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
