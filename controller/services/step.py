"""The one pure step of a service: from what is to what shall be done next.

Level-triggered: it looks at the whole service and decides everything anew each time, so that a lost notice
does no harm and a repeated one changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec
from msgspec.structs import replace

from controller.services import breaker, events
from controller.services.backoff import FREE_FAILURES, failed_rounds, launch_delay
from controller.services.bake import baked
from controller.services.balance import Balance, Budget, Place, balance
from controller.services.breaker_rules import watches
from controller.services.daemon import PlaceOn, balance_daemon
from controller.services.revisions import ended, settings_of, status_of
from controller.services.rollout import Outcomes, count_outcomes, settle_older
from controller.services.view import REPLACED_UNHEALTHY, Daemon, ServiceView, TaskView
from controller.state.entities import Deployment, Service, ServiceStatus, TaskSet

STARTS_PER_STEP = 500
"""Tasks that one step starts at most, so that one large service does not hold up all others."""

REPLACED_OUTDATED = "Task runs another image than the first task of its deployment"


class Stop(msgspec.Struct, frozen=True, gc=False):
    """A task to stop (stopCode ServiceSchedulerInitiated)."""

    task_id: str
    reason: str
    """stoppedReason."""
    was_running: bool
    task_set: str = ""
    """Id of its task set, if it is of one."""


class Announcement(msgspec.Struct, frozen=True, gc=False):
    """A service event. While a `cause` lasts it is not announced again for hours; without one it always
    is."""

    text: str
    cause: str = ""
    task_set: str = ""
    """Id of the task set that it is about, if it is about one."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done about a service."""

    summary: str
    """One sentence."""
    starts: tuple[str, ...] = ()
    """Ids of the instances that get one new task each, of the PRIMARY deployment or of `starter`."""
    starter: str = ""
    """Id of the task set that starts tasks: one at a time, since the next one's places depend on them."""
    replaces_unhealthy: int = 0
    """How many of the new tasks stand in for unhealthy ones."""
    stops: tuple[Stop, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    """Deployments to put, changed."""
    removed: tuple[Deployment, ...] = ()
    """Deployments to remove, as they are at last: their last task has ended."""
    task_sets: tuple[TaskSet, ...] = ()
    """Task sets to put, changed."""
    removed_task_sets: tuple[TaskSet, ...] = ()
    """Task sets to remove: they were deleted, and their last task has ended."""
    counted: tuple[str, ...] = ()
    """Ids of ended tasks whose failure is now counted."""
    seen_healthy: tuple[str, ...] = ()
    """Ids of tasks that a circuit breaker has now seen healthy."""
    restored: Service | None = None
    """The service with the settings of the deployment that it goes back to."""
    service_status: ServiceStatus = "ACTIVE"
    announcements: tuple[Announcement, ...] = ()
    steady: bool = False
    """Whether the service is as it should be; causes of earlier announcements are then over."""
    lacks_room: bool = False
    """Whether tasks wait for room on instances: look again when some may have come up."""
    wake_after_s: float | None = None
    """Look again after so many seconds, whatever happens."""


Arrange = Callable[[list[TaskView], list[TaskView], Budget], Balance]
"""The arithmetic of a scheduling strategy: tasks that are to stay, tasks to be replaced, and the budget."""


def step(view: ServiceView, place: Place) -> Decision:
    """Decide what to do about a service now. `place` asks the scheduler for places of the PRIMARY
    deployment's tasks."""
    return _step(view, partial(balance, place=place))


def step_daemon(view: ServiceView, daemon: Daemon, place_on: PlaceOn) -> Decision:
    """The same for a service with the scheduling strategy DAEMON."""
    return _step(view, partial(balance_daemon, daemon=daemon, place_on=place_on))


def _step(view: ServiceView, arrange: Arrange) -> Decision:
    if view.primary is None:
        return Decision(summary="has no deployment", service_status=view.service.status)
    outcomes = count_outcomes(view, view.primary)
    watched = watches(view.service, view.primary)
    if watched and (trip := breaker.trip(view, outcomes.primary)) is not None:
        return _tripped(view, outcomes, trip)
    live = [task for task in view.tasks if not task.stopping]
    keep = [task for task in live if _stays(task, outcomes.primary)]
    kept = {task.id for task in keep}
    replaced = [task for task in live if task.id not in kept]
    hold_s = launch_delay(outcomes.primary) if outcomes.newly_failed else view.launch_hold_s
    may_launch = hold_s <= 0 and not _has_failed(outcomes.primary)
    result = arrange(keep, replaced, _budget(view, outcomes.primary, may_launch=may_launch))
    steady = _is_steady(view, keep, outcomes.primary)
    if watched:
        outcomes = replace(outcomes, primary=breaker.with_results(view, outcomes.primary, result))
    primary, older, removed, status = _settle(view, outcomes, steady)
    return Decision(
        summary=summarise(result, keep, replaced, steady=steady, failed=_has_failed(primary), hold_s=hold_s),
        starts=result.starts,
        replaces_unhealthy=min(len(result.starts), sum(task.unhealthy for task in replaced)),
        stops=tuple(_stop(task, outcomes.primary) for task in result.stops),
        deployments=_changed(view, (primary, *older)),
        removed=removed,
        counted=_counted(view),
        seen_healthy=breaker.newly_healthy(view, primary) if watched else (),
        service_status=status,
        announcements=_announcements(view, result, outcomes, primary, keep),
        steady=steady,
        lacks_room=result.shortage is not None,
        wake_after_s=_earliest(
            wake_after(view, result, hold_s),
            breaker.looks_again_after(view, primary) if watched else None,
            view.bake_left_s or None,
        ),
    )


def _tripped(view: ServiceView, outcomes: Outcomes, trip: breaker.Trip) -> Decision:
    """Only book that the deployment has failed: the next step, which follows at once, acts on it."""
    return Decision(
        summary=trip.texts[0],
        deployments=_changed(view, (*trip.deployments, *_others(outcomes, trip))),
        counted=_counted(view),
        service_status=view.service.status,
        restored=trip.service if trip.service != view.service else None,
        announcements=tuple(map(Announcement, trip.texts)),
    )


def _others(outcomes: Outcomes, trip: breaker.Trip) -> tuple[Deployment, ...]:
    tripped = {deployment.id for deployment in trip.deployments}
    return tuple(deployment for deployment in outcomes.older if deployment.id not in tripped)


def _counted(view: ServiceView) -> tuple[str, ...]:
    return tuple(failure.task_id for failure in view.failures)


def _earliest(*waits: float | None) -> float | None:
    return min((wait for wait in waits if wait is not None), default=None)


def _stays(task: TaskView, primary: Deployment) -> bool:
    """Whether a task is to stay. A FAILED deployment replaces no task of an older one."""
    wanted = task.deployment == primary.id or _has_failed(primary)
    return wanted and not task.to_be_replaced


def _has_failed(primary: Deployment) -> bool:
    return primary.rollout_state == "FAILED"


def _budget(view: ServiceView, primary: Deployment, *, may_launch: bool) -> Budget:
    service = view.service
    return Budget(
        desired=service.desired_count if service.status == "ACTIVE" else 0,
        minimum_percent=service.minimum_healthy_percent,
        maximum_percent=service.maximum_percent,
        launches=STARTS_PER_STEP if may_launch else 0,
        strategy=tuple(settings_of(primary, service).get("capacityProviderStrategy", ())),
    )


def _is_steady(view: ServiceView, keep: list[TaskView], primary: Deployment) -> bool:
    """Whether exactly the desired tasks run, all healthy, all of the PRIMARY deployment and staying.

    Tasks of older deployments count until they have ended: clients see their deployment until then, and
    wait for it.
    """
    return (
        view.service.status == "ACTIVE"
        and len(keep) == view.service.desired_count
        and all(task.healthy for task in keep)
        and all(task.deployment == primary.id for task in view.tasks)
        and sum(not task.stopping for task in view.tasks) == len(keep)
    )


def _settle(
    view: ServiceView, outcomes: Outcomes, steady: bool
) -> tuple[Deployment, tuple[Deployment, ...], tuple[Deployment, ...], ServiceStatus]:
    """The PRIMARY deployment, older ones that stay and those that leave, and the service's status."""
    primary = replace(outcomes.primary, steady=steady)
    if steady:
        primary = baked(view, primary)
    status = view.service.status
    if status == "DRAINING" and not view.tasks:
        status = "INACTIVE"
        primary = replace(primary, status="INACTIVE", updated_at=view.now)
        if status_of(primary) == "IN_PROGRESS":
            primary = ended(primary, "STOPPED", "The service was deleted.", view.now)
    older, removed = settle_older(outcomes.older, primary, view.tasks, view.now)
    return primary, older, removed, status


def _changed(view: ServiceView, deployments: tuple[Deployment, ...]) -> tuple[Deployment, ...]:
    before = {deployment.id: deployment for deployment in (view.primary, *view.older) if deployment}
    return tuple(deployment for deployment in deployments if deployment != before[deployment.id])


def _stop(task: TaskView, primary: Deployment) -> Stop:
    scaling = f"Scaling activity initiated by (deployment {primary.id})"
    return Stop(task.id, replacement_reason(task) or scaling, task.has_run)


def replacement_reason(task: TaskView) -> str:
    """The stoppedReason of a task that is replaced for what it is itself; empty for any other."""
    if task.unhealthy:
        return REPLACED_UNHEALTHY
    return REPLACED_OUTDATED if task.outdated else ""


def _announcements(
    view: ServiceView, result: Balance, outcomes: Outcomes, primary: Deployment, keep: list[TaskView]
) -> tuple[Announcement, ...]:
    found: list[Announcement] = [
        Announcement(events.failed_health_check(task.id)) for task in result.stops if task.unhealthy
    ]
    stopping = any(task.stopping for task in view.tasks)
    if result.shortage is not None and not result.stops and not stopping:
        text = " ".join(filter(None, (result.shortage.sentence, result.shortage.histogram)))
        found.append(Announcement(text, f"room {result.shortage.cause}"))
    if result.blocked == "configuration" and not stopping and all(task.healthy for task in keep):
        found.append(Announcement(events.DEADLOCK, "configuration"))
    if result.too_many_protected:
        found.append(Announcement(events.cannot_scale_in(primary.id), "protection"))
    if outcomes.newly_failed and failed_rounds(outcomes.primary) > FREE_FAILURES:
        found.append(Announcement(events.START_IMPAIRED, "start impaired"))
    assert view.primary is not None
    if primary.rollout_state == "COMPLETED" and view.primary.rollout_state == "IN_PROGRESS":
        found.append(Announcement(events.deployment_completed(primary.id)))
    if primary.steady and (view.repeats_steady or not view.primary.steady):
        found.append(Announcement(events.STEADY))
    return tuple(item for item in found if item.cause not in view.announced)


def wake_after(view: ServiceView, result: Balance, hold_s: float) -> float | None:
    """Seconds after which to look again, whatever happens; None for not before something happens."""
    if len(result.starts) == STARTS_PER_STEP:
        return 0.0
    waits = [view.changes_in_s] if view.changes_in_s is not None else []
    if hold_s > 0 and result.wanted:
        waits.append(hold_s)
    return min(waits, default=None)


def summarise(
    result: Balance,
    keep: list[TaskView],
    replaced: list[TaskView],
    *,
    steady: bool,
    failed: bool,
    hold_s: float,
) -> str:
    """What is done, or waited for, in words."""
    if steady:
        return "is steady"
    parts = []
    if result.starts:
        parts.append(f"starts {len(result.starts)} of {result.wanted} missing tasks")
    if result.stops:
        parts.append(f"stops {len(result.stops)} tasks")
    match result.blocked:
        case "configuration":
            parts.append("waits: minimumHealthyPercent and maximumPercent leave nothing to start or stop")
        case "protection":
            parts.append("waits for the protection of tasks to end")
        case "room":
            parts.append("waits for room on container instances")
        case "hold" if failed:
            parts.append("starts nothing: its deployment has failed")
        case "hold":
            parts.append(f"waits {hold_s:.0f} s before it launches again after failed starts")
    if not parts:
        pending = sum(not task.healthy for task in keep)
        parts.append(f"waits for {pending} tasks to become healthy, {len(replaced)} to be replaced")
    return ", ".join(parts)
