"""The part of a service's step that is for services with the deployment controller EXTERNAL.

Whoever deploys such a service makes task sets of it and gives each a share of its desired count. Every task
set is kept at its share like a service of its own, by the same arithmetic; nothing moves tasks from one to
another.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from math import ceil

import msgspec
from msgspec.structs import replace

from controller.services import events
from controller.services.backoff import FREE_FAILURES, failed_rounds, launch_delay
from controller.services.balance import Balance, Budget, Place, balance
from controller.services.rollout import counted
from controller.services.step import (
    STARTS_PER_STEP,
    Announcement,
    Decision,
    Stop,
    replacement_reason,
    summarise,
    wake_after,
)
from controller.services.view import ServiceView, TaskView
from controller.state.entities import Document, Service, StabilityStatus, TaskSet

PlaceFor = Callable[[TaskSet], Place]
"""The asking for places for one task set's tasks."""


class _Part(msgspec.Struct, frozen=True):
    """What the step comes to for one task set."""

    before: TaskSet
    after: TaskSet
    keep: list[TaskView]
    replaced: list[TaskView]
    result: Balance
    steady: bool
    hold_s: float
    wake_after_s: float | None


def is_external(service: Service) -> bool:
    """Whether a service has task sets in place of deployments."""
    return has_external_controller(service.options)


def has_external_controller(members: Document) -> bool:
    """Whether members of a service, as given or as kept, name the deployment controller EXTERNAL."""
    return bool(members.get("deploymentController", {}).get("type") == "EXTERNAL")


def computed_desired_count(service: Service, task_set: TaskSet) -> int:
    """Tasks that a task set is to have: its share of the service's desired count, rounded up.

    None while it is DRAINING.
    """
    if task_set.status == "DRAINING" or service.status != "ACTIVE":
        return 0
    # Decimal, because 55.1 % of 1,000 is 552 tasks in binary floating point.
    return ceil(Decimal(str(task_set.scale)) * service.desired_count / 100)


def draining(task_set: TaskSet, now: float) -> TaskSet:
    """A task set that is deleted: it leaves once its last task has ended."""
    return replace(
        task_set,
        status="DRAINING",
        scale=0.0,
        stability_status="STABILIZING",
        stability_status_at=now,
        updated_at=now,
    )


def step_task_sets(view: ServiceView, place_for: PlaceFor) -> Decision:
    """Decide what to do about a service with task sets now.

    One task set starts tasks at a time, the PRIMARY one first: the others look for places once these are
    taken.
    """
    parts: list[_Part] = []
    starter: _Part | None = None
    for task_set in view.task_sets:
        part = _part(view, task_set, place_for(task_set), may_start=starter is None)
        if part.result.starts:
            starter = part
        parts.append(part)
    leaving = {part.after.id for part in parts if _is_empty(view, part.after)}
    steady = view.service.status == "ACTIVE" and all(part.steady for part in parts)
    is_over = view.service.status == "DRAINING" and not view.tasks and len(leaving) == len(parts)
    return Decision(
        summary="; ".join(map(_summary, parts)) or "has no task set",
        starts=starter.result.starts if starter else (),
        starter=starter.after.id if starter else "",
        replaces_unhealthy=_unhealthy_replaced(starter) if starter else 0,
        stops=(
            *(_stop(task, part.after.id) for part in parts for task in part.result.stops),
            *(_stop(task, task.deployment) for task in _left_behind(view)),
        ),
        task_sets=tuple(
            part.after for part in parts if part.after != part.before and part.after.id not in leaving
        ),
        removed_task_sets=tuple(part.after for part in parts if part.after.id in leaving),
        counted=tuple(failure.task_id for failure in view.failed_starts),
        service_status="INACTIVE" if is_over else view.service.status,
        announcements=tuple(
            item for part in parts for item in _announcements(view, part) if item.cause not in view.announced
        ),
        steady=steady,
        lacks_room=any(part.result.shortage is not None for part in parts),
        wake_after_s=min(
            (part.wake_after_s for part in parts if part.wake_after_s is not None), default=None
        ),
    )


def _part(view: ServiceView, task_set: TaskSet, place: Place, *, may_start: bool) -> _Part:
    after = counted(task_set, view)
    newly_failed = after.launch_round != task_set.launch_round
    hold_s = launch_delay(after) if newly_failed else view.task_set_holds_s.get(task_set.id, 0.0)
    live = [task for task in view.tasks if task.deployment == task_set.id and not task.stopping]
    keep = [task for task in live if not task.to_be_replaced]
    replaced = [task for task in live if task.to_be_replaced]
    desired = computed_desired_count(view.service, task_set)
    result = balance(
        keep,
        replaced,
        Budget(
            desired=desired,
            minimum_percent=view.service.minimum_healthy_percent,
            maximum_percent=view.service.maximum_percent,
            launches=STARTS_PER_STEP if may_start and hold_s <= 0 else 0,
            strategy=tuple(task_set.settings.get("capacityProviderStrategy", ())),
        ),
        place,
    )
    steady = len(keep) == desired == len(live) and all(task.healthy for task in keep)
    waits_its_turn = result.wanted > 0 and hold_s <= 0 and not may_start
    return _Part(
        before=task_set,
        after=_with_stability(after, "STEADY_STATE" if steady else "STABILIZING", view.now),
        keep=keep,
        replaced=replaced,
        result=result,
        steady=steady,
        hold_s=hold_s,
        wake_after_s=0.0 if waits_its_turn else wake_after(view, result, hold_s),
    )


def _with_stability(task_set: TaskSet, status: StabilityStatus, now: float) -> TaskSet:
    if task_set.stability_status == status:
        return task_set
    return replace(task_set, stability_status=status, stability_status_at=now)


def _is_empty(view: ServiceView, task_set: TaskSet) -> bool:
    """Whether a deleted task set has nothing left."""
    is_deleted = task_set.status == "DRAINING" or view.service.status != "ACTIVE"
    return is_deleted and all(task.deployment != task_set.id for task in view.tasks)


def _unhealthy_replaced(part: _Part) -> int:
    return min(len(part.result.starts), sum(task.unhealthy for task in part.replaced))


def _left_behind(view: ServiceView) -> list[TaskView]:
    """Tasks of task sets that are gone: their host was lost when the task set left, and has returned."""
    present = {task_set.id for task_set in view.task_sets}
    return [task for task in view.tasks if task.deployment not in present and not task.stopping]


def _stop(task: TaskView, task_set_id: str) -> Stop:
    scaling = f"Scaling activity initiated by (taskSet {task_set_id})"
    return Stop(task.id, replacement_reason(task) or scaling, task.has_run, task_set_id)


def _announcements(view: ServiceView, part: _Part) -> list[Announcement]:
    task_set, result = part.after, part.result
    found = [
        Announcement(events.failed_health_check(task.id), task_set=task_set.id)
        for task in result.stops
        if task.unhealthy
    ]
    if result.shortage is not None and not result.stops:
        text = " ".join(filter(None, (result.shortage.sentence, result.shortage.histogram)))
        found.append(_lasting(task_set, text, f"room {result.shortage.cause}"))
    if result.blocked == "configuration" and all(task.healthy for task in part.keep):
        found.append(_lasting(task_set, events.DEADLOCK, "configuration"))
    if result.too_many_protected:
        found.append(_lasting(task_set, events.cannot_scale_in(task_set.id), "protection"))
    newly_failed = task_set.launch_round != part.before.launch_round
    if newly_failed and failed_rounds(task_set) > FREE_FAILURES:
        found.append(_lasting(task_set, events.START_IMPAIRED, "start impaired"))
    was_steady = part.before.stability_status == "STEADY_STATE"
    if part.steady and task_set.status != "DRAINING" and (view.repeats_steady or not was_steady):
        found.append(Announcement(events.STEADY, task_set=task_set.id))
    return found


def _lasting(task_set: TaskSet, text: str, cause: str) -> Announcement:
    return Announcement(text, f"{task_set.id} {cause}", task_set.id)


def _summary(part: _Part) -> str:
    words = summarise(
        part.result, part.keep, part.replaced, steady=part.steady, failed=False, hold_s=part.hold_s
    )
    return f"{part.after.id} {words}"
