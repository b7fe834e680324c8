"""Containers whose dependencies cannot be fulfilled, or not within a startTimeout: they end without having
run.
"""

from agent.engine.container_transitions import failed
from agent.engine.ordering import readiness, timed_dependents
from agent.engine.states import (
    Command,
    ContainerState,
    StartTimedOut,
    Status,
    TaskPlan,
    TaskState,
    WatchStartTimeout,
)

DEPENDENCY_EXIT_CODE = 143


def end_hopeless(plan: TaskPlan, state: TaskState, at: float) -> TaskState:
    """End the containers whose dependencies can never be fulfilled."""
    if state.desired is Status.STOPPED:
        return state
    for position, container in enumerate(plan.containers):
        waiting = state.containers[position]
        if waiting.desired is Status.RUNNING and _can_still_wait(waiting):
            verdict, why = readiness(plan, state, container)
            if verdict == "NEVER":
                state = state.with_container(position, _dependency_failed(waiting, why, at))
    return state


def watches(plan: TaskPlan, state: TaskState, at: float) -> tuple[Command, ...]:
    running = (i for i, c in enumerate(state.containers) if c.known is Status.RUNNING)
    return tuple(command for i in running for command in watch(plan, state, i, at))


def watch(plan: TaskPlan, state: TaskState, position: int, at: float) -> tuple[Command, ...]:
    container, seen = plan.containers[position], state.containers[position]
    if container.start_timeout is None or not timed_dependents(plan, container.name):
        return ()
    passed = max(0.0, at - (seen.started_at or at))
    return (WatchStartTimeout(container=container.name, seconds=max(0.0, container.start_timeout - passed)),)


def give_up_on(plan: TaskPlan, state: TaskState, event: StartTimedOut) -> TaskState:
    """End those that still wait for the container to do more than start."""
    timeout = plan.containers[plan.index(event.container)].start_timeout
    for dependent in timed_dependents(plan, event.container):
        position = plan.index(dependent.name)
        waiting = state.containers[position]
        if _can_still_wait(waiting) and readiness(plan, state, dependent)[0] == "WAITING":
            why = f"container {event.container} was not ready within its startTimeout of {timeout:g} s"
            state = state.with_container(position, _dependency_failed(waiting, why, event.at))
    return state


def _can_still_wait(state: ContainerState) -> bool:
    return state.known < Status.CREATED and state.applied is not Status.CREATED


def _dependency_failed(state: ContainerState, why: str, at: float) -> ContainerState:
    reason = f"CannotStartContainerError: dependency graph: {why}"
    return failed(state, reason, at, exit_code=DEPENDENCY_EXIT_CODE)
