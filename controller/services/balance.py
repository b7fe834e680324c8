"""The arithmetic of a service: what to start and what to stop, within minimumHealthyPercent and
maximumPercent.

Deployments, draining and health only decide which tasks are to stay and which are to be replaced.
Everything that is started or stopped is decided here, so that nobody else spends the budget.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from heapq import heapify, heappop, heappush

import msgspec

from controller.scheduler.capacity import distribute
from controller.scheduler.explain import Explanation
from controller.services.limits import maximum_live, minimum_healthy
from controller.services.view import TaskView
from controller.state.entities import Document

Blocked = str
"""What keeps a service from what it wants: `configuration` (MIN and MAX), `room`, `hold` (the back-off), or
`protection` (tasks that would make room may not be stopped)."""


class Places(msgspec.Struct, frozen=True):
    """The scheduler's answer: an instance id for each task that found a place, and why others did not."""

    instances: tuple[str, ...] = ()
    shortage: Explanation | None = None


Place = Callable[[int], Places]
"""Asks the scheduler for places for a number of tasks of one deployment or task set."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What the step may do."""

    desired: int
    minimum_percent: int
    maximum_percent: int
    launches: int
    """Tasks that may be started now: none while a back-off holds."""
    strategy: tuple[Document, ...] = ()
    """The capacity provider strategy whose shares scaling in keeps."""


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What the arithmetic comes to."""

    starts: tuple[str, ...] = ()
    """Ids of the instances that get a new task each."""
    stops: tuple[TaskView, ...] = ()
    wanted: int = 0
    """Tasks of the PRIMARY deployment that are missing, those started now included."""
    blocked: Blocked | None = None
    """Set when tasks are missing and nothing can be done about it now."""
    too_many_protected: bool = False
    """Whether more tasks are protected than are desired, so that there remain too many."""
    shortage: Explanation | None = None
    """Why some of the wanted tasks found no place."""


def balance(keep: list[TaskView], replaced: list[TaskView], budget: Budget, place: Place) -> Balance:
    """Decide starts and stops.

    `keep` are the live tasks that are to stay, `replaced` the live ones that are to go. New tasks come
    first where maximumPercent and the instances have room; where they have not, old ones make room, healthy
    ones only as far as minimumHealthyPercent allows. Each new task that has become healthy lets an old one
    go. Protected tasks are stopped by none of this, unless they are unhealthy.
    """
    desired = budget.desired
    minimum = minimum_healthy(desired, budget.minimum_percent)
    maximum = maximum_live(desired, budget.maximum_percent)
    never_ran = [task for task in replaced if not task.has_run]
    replaced = [task for task in replaced if task.has_run]

    wanted = max(0, desired - len(keep))
    possible = max(0, min(wanted, maximum - len(keep) - len(replaced)))
    attempt = min(possible, budget.launches)
    places = place(attempt) if attempt else Places()
    started = len(places.instances)

    healthy_kept = sum(task.healthy for task in keep)
    spare = max(0, healthy_kept + sum(task.healthy for task in replaced) - minimum)
    missing = wanted - started
    stops = never_ran
    if _stops_would_help(wanted, possible, attempt, budget.launches, places):
        stops += _first_to_go(replaced, missing, spare)
    else:
        stops += _first_to_go(replaced, max(0, healthy_kept + len(replaced) - desired), spare)
        if started < attempt:
            # No stop makes room elsewhere, but an instance that drains is to become empty all the same.
            rest = [task for task in replaced if task.displaced and task not in stops]
            stops += _first_to_go(rest, missing, spare - sum(task.healthy for task in stops))
    excess = _scale_in(keep, len(keep) - desired, budget.strategy)
    stops += excess
    return Balance(
        starts=places.instances,
        stops=tuple(stops),
        wanted=wanted,
        blocked=None if stops or started else _blocked(wanted, attempt, budget, replaced),
        too_many_protected=len(keep) - len(excess) > desired,
        shortage=places.shortage if started < attempt else None,
    )


def _stops_would_help(wanted: int, possible: int, attempt: int, launches: int, places: Places) -> bool:
    """Whether old tasks stand in the way of new ones: by maximumPercent, or by what they hold on
    instances."""
    started = len(places.instances)
    if not launches:
        return False
    if started < attempt:
        return places.shortage is None or places.shortage.room_would_help
    return started == possible < wanted


def _blocked(wanted: int, attempt: int, budget: Budget, replaced: list[TaskView]) -> Blocked | None:
    if not wanted:
        return None
    if not budget.launches:
        return "hold"
    if any(task.protected for task in replaced):
        return "protection"
    return "room" if attempt else "configuration"


def _scale_in(keep: list[TaskView], count: int, strategy: tuple[Document, ...]) -> list[TaskView]:
    """The tasks that go when there are `count` too many: first those of the capacity providers that have most
    beyond their share, then as any others."""
    if count <= 0 or not strategy:
        return _first_to_go(keep, count, len(keep))
    present = Counter(task.provider for task in keep)
    surplus = present - Counter(distribute(strategy, {}, len(keep) - count))
    chosen: list[TaskView] = []
    for name, number in surplus.most_common():
        own = [task for task in keep if task.provider == name]
        chosen += _first_to_go(own, min(number, count - len(chosen)), len(own))
    rest = [task for task in keep if task not in chosen]
    return chosen + _first_to_go(rest, count - len(chosen), len(rest))


def _first_to_go(tasks: list[TaskView], limit: int, spare: int) -> list[TaskView]:
    """Up to `limit` tasks in the order in which they go, among them at most `spare` healthy ones and no
    protected one that is not unhealthy.

    Unhealthy ones go first, then those not yet healthy. Among equals, as on ECS, the zone with the most of
    these tasks gives one up, in it the instance with the most, and there the oldest.
    """
    order = _SpreadOrder(tasks)
    chosen = order.take([task for task in tasks if task.unhealthy], limit)
    free = [task for task in tasks if not task.protected and not task.unhealthy]
    chosen += order.take([task for task in free if not task.healthy], limit - len(chosen))
    chosen += order.take([task for task in free if task.healthy], min(spare, limit - len(chosen)))
    return chosen


class _SpreadOrder:
    """Takes tasks so that the rest stays well spread."""

    def __init__(self, tasks: list[TaskView]) -> None:
        self._zones = Counter(task.zone for task in tasks)
        self._instances = Counter(task.instance for task in tasks)

    def take(self, tasks: list[TaskView], limit: int) -> list[TaskView]:
        """Take up to `limit` of some of the tasks."""
        if limit <= 0 or not tasks:
            return []
        oldest_last = sorted(tasks, key=lambda task: (task.created_at, task.id), reverse=True)
        waiting: dict[str, list[TaskView]] = {}
        heaps: dict[str, list[tuple[int, str]]] = {}
        for task in oldest_last:
            if task.instance not in waiting:
                heaps.setdefault(task.zone, []).append((-self._instances[task.instance], task.instance))
            waiting.setdefault(task.instance, []).append(task)
        for heap in heaps.values():
            heapify(heap)
        chosen: list[TaskView] = []
        while heaps and len(chosen) < limit:
            zone = max(heaps, key=lambda name: (self._zones[name], name))
            _, instance = heappop(heaps[zone])
            chosen.append(waiting[instance].pop())
            self._zones[zone] -= 1
            self._instances[instance] -= 1
            if waiting[instance]:
                heappush(heaps[zone], (-self._instances[instance], instance))
            elif not heaps[zone]:
                del heaps[zone]
        return chosen
