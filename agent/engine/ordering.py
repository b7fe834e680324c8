"""The order among a task's containers: dependsOn, links and volumesFrom, and the reverse of it at the end."""

from typing import Literal

from agent.engine.states import ContainerPlan, ContainerState, Dependency, Status, TaskPlan, TaskState

Verdict = Literal["READY", "WAITING", "NEVER"]

_TIMED = ("COMPLETE", "SUCCESS", "HEALTHY")


def find_cycle(plan: TaskPlan) -> tuple[str, ...]:
    """The containers that wait for each other in a circle, or nothing."""
    settled: set[str] = set()
    remaining = list(plan.containers)
    while remaining:
        free = [c for c in remaining if all(d.name in settled for d in c.depends_on)]
        if not free:
            return tuple(c.name for c in remaining)
        settled.update(c.name for c in free)
        remaining = [c for c in remaining if c.name not in settled]
    return ()


def readiness(plan: TaskPlan, state: TaskState, container: ContainerPlan) -> tuple[Verdict, str]:
    """Whether a container may be created now, and if not, why."""
    waiting = ""
    for dependency in container.depends_on:
        position = plan.index(dependency.name)
        verdict, why = _fulfilled(dependency, plan.containers[position], state.containers[position])
        if verdict == "NEVER":
            return verdict, why
        if verdict == "WAITING":
            waiting = why
    return ("WAITING", waiting) if waiting else ("READY", "")


def _fulfilled(dependency: Dependency, plan: ContainerPlan, state: ContainerState) -> tuple[Verdict, str]:
    ended = state.known is Status.STOPPED
    done = False
    if ended and not state.ran:
        return "NEVER", f"container {plan.name} never started"
    match dependency.condition:
        case "CREATE":
            done = state.known >= Status.CREATED
        case "START":
            done = state.known >= Status.RUNNING
        case "COMPLETE":
            done = ended
        case "SUCCESS":
            done = ended and state.exit_code == 0
            if ended and not done:
                return "NEVER", f"container {plan.name} exited with {state.exit_code} instead of 0"
        case "HEALTHY":
            done = state.health == "HEALTHY" and not ended
            if ended:
                return "NEVER", f"container {plan.name} ended before it was healthy"
            if not plan.health_checked:
                return "NEVER", f"container {plan.name} has no health check"
    return ("READY", "") if done else ("WAITING", f"waits for {plan.name} to be {dependency.condition}")


def may_stop(plan: TaskPlan, state: TaskState, container: ContainerPlan) -> bool:
    """A container is stopped only after every container that declares a dependency on it has stopped."""
    waiting = (plan.index(dependent.name) for dependent in plan.dependents(container.name))
    return all(state.containers[position].known is Status.STOPPED for position in waiting)


def timed_dependents(plan: TaskPlan, name: str) -> tuple[ContainerPlan, ...]:
    """The containers that wait for more than the mere start of container ``name``."""
    return tuple(
        c for c in plan.containers if any(d.name == name and d.condition in _TIMED for d in c.depends_on)
    )
