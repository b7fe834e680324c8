"""The restart policy: a container that ends by itself is started again in place; only the count is told.

Its known status stays RUNNING meanwhile. Each life is told from the others by when the engine says that it
began: an account of a life whose restart was already decided is an old one.
"""

from msgspec.structs import replace

from agent.engine.records import ContainerInspection
from agent.engine.states import ContainerPlan, ContainerState, Status


def is_settled(state: ContainerState, seen: ContainerInspection) -> bool:
    """Whether ``seen`` is the end of a life whose restart was decided before.

    Of a restart that is to be stopped and whose start is not under way it is the truth all the same.
    """
    if seen.state == "RUNNING" or state.restarted_life is None or seen.started_at != state.restarted_life:
        return False
    stopping = state.desired is Status.STOPPED and state.restarting
    return state.applied is Status.RUNNING or not stopping


def may_restart(plan: ContainerPlan, state: ContainerState, seen: ContainerInspection) -> bool:
    """Whether a container that has ended is started again.

    It is not, if somebody wants it stopped, if its exit code is to be ignored, or if this life was shorter
    than the restart attempt period.
    """
    policy = plan.restart
    if policy is None or state.desired is Status.STOPPED or state.applied is Status.RUNNING:
        return False
    if seen.started_at is None or seen.finished_at is None or seen.exit_code in policy.ignored_exit_codes:
        return False
    return seen.finished_at - seen.started_at >= policy.attempt_period


def restarted(state: ContainerState, seen: ContainerInspection, at: float) -> ContainerState:
    """The state of a container whose restart is decided; the start itself is the next command."""
    return replace(
        state,
        known=Status.RUNNING,
        restarting=True,
        restarted_life=seen.started_at,
        restarts=state.restarts + 1,
        health="UNKNOWN",
        health_since=at,
    )
