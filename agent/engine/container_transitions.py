"""The table of a container's life: what becomes of it in each known status at each kind of event.

A pair that is missing cannot happen. Pairs that are harmless repeats, or come late, say so.
"""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from agent.engine.restarts import is_settled, may_restart, restarted
from agent.engine.states import (
    Command,
    ContainerEvent,
    ContainerPlan,
    ContainerState,
    Created,
    CreateFailed,
    Died,
    HealthChanged,
    Observed,
    Pulled,
    PullFailed,
    Started,
    StartFailed,
    Status,
    StopContainer,
    StopFailed,
    Vanished,
)

VANISHED = "ContainerVanishedError: No container matching saved ID found"
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
STOP_RETRY_S = 10.0

_Outcome = tuple[ContainerState, tuple[Command, ...]]


def failed(state: ContainerState, reason: str, at: float, exit_code: int | None = None) -> ContainerState:
    """It never came to run, or is gone: stopped without a call of the engine."""
    code = state.exit_code if exit_code is None else exit_code
    return replace(
        state,
        desired=Status.STOPPED,
        known=Status.STOPPED,
        applied=None,
        restarting=False,
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
    return failed(state, event.reason, event.at), ()


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
        network_interface=event.network_interface,
        started_at=state.started_at or event.at,
    )
    return running, ()


def _start_failed(_: ContainerPlan, state: ContainerState, event: StartFailed) -> _Outcome:
    if not event.may_run:
        return failed(state, event.reason, event.at), ()
    doubtful = replace(state, known=Status.RUNNING, applied=None, desired=Status.STOPPED, reason=event.reason)
    return doubtful, ()


def _start_answered(plan: ContainerPlan, state: ContainerState, event: Started | StartFailed) -> _Outcome:
    """The start was a restart, or the engine's events had told already that it runs."""
    if isinstance(event, StartFailed) and state.restarting:
        return _start_failed(plan, state, event)
    applied = None if state.applied is Status.RUNNING else state.applied
    answered = replace(state, applied=applied, restarting=False)
    if isinstance(event, Started):
        answered = replace(answered, network_bindings=event.network_bindings or state.network_bindings)
    return answered, ()


def _stop_failed(plan: ContainerPlan, state: ContainerState, event: StopFailed) -> _Outcome:
    again = StopContainer(container=plan.name, timeout=plan.stop_timeout, delay=STOP_RETRY_S)
    return replace(state, applied=Status.STOPPED, reason=state.reason or event.reason), (again,)


def _observed(plan: ContainerPlan, state: ContainerState, event: Observed) -> _Outcome:
    """What the engine says of a container that is not known to have stopped."""
    seen = event.inspection
    if state.applied in (Status.CREATED, Status.RUNNING) and not seen.ever_started:
        return state, ()  # the call in flight will tell
    if is_settled(state, seen):
        return state, ()
    facts = replace(
        state,
        docker_id=seen.docker_id,
        image_id=state.image_id or seen.image_id,
        network_bindings=event.network_bindings or state.network_bindings,
        network_interface=(seen.network_interface if plan.internal else None) or state.network_interface,
        ran=state.ran or seen.ever_started,
        created_at=state.created_at or seen.created_at,
        started_at=state.started_at or seen.started_at,
    )
    if seen.health != facts.health:
        facts = replace(facts, health=seen.health, health_since=event.at)
    if seen.state == "RUNNING":
        started_at = facts.started_at or event.at
        restarting = state.restarting and seen.started_at == state.restarted_life
        # Of a stop in flight only its own answer says that it is over.
        return replace(facts, known=Status.RUNNING, started_at=started_at, restarting=restarting), ()
    never_started = seen.state == "CREATED"
    if never_started and state.known < Status.RUNNING:
        return replace(facts, known=Status.CREATED), ()
    if never_started and state.ran and state.applied is not Status.STOPPED:
        return state, ()  # an account from before it started
    if may_restart(plan, facts, seen):
        return restarted(facts, seen, event.at), ()
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
        restarting=False,
        reason=reason,
        exit_code=seen.exit_code,
        finished_at=seen.finished_at or event.at,
    )


def _unasked(state: ContainerState, exit_code: int | None) -> bool:
    """Whether a container failed by itself. Where a task's memory runs out, cgroup v1 tells all of its
    containers, of which the kernel may have killed one only.
    """
    return state.desired is not Status.STOPPED and exit_code != 0


def _died(plan: ContainerPlan, state: ContainerState, event: Died) -> _Outcome:
    if plan.restart is not None:
        return state, ()  # which of its lives has ended is told by looking
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
    return failed(state, VANISHED, event.at), ()


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
