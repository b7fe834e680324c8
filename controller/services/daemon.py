"""The arithmetic of a daemon service: one task on each matching instance.

A task never stands in for another one elsewhere: an old task goes first, and the new one follows it on the
same instance, on so many instances at a time as minimumHealthyPercent allows.
"""

from __future__ import annotations

from collections.abc import Callable

from controller.services.balance import Balance, Blocked, Budget, Places
from controller.services.limits import minimum_healthy
from controller.services.view import Daemon, TaskView

PlaceOn = Callable[[frozenset[str]], Places]
"""Asks the scheduler for a place for one task on each of some instances."""


def balance_daemon(
    keep: list[TaskView], replaced: list[TaskView], budget: Budget, daemon: Daemon, place_on: PlaceOn
) -> Balance:
    """Decide starts and stops. `keep` are the live tasks that are as they should be, `replaced` the others.

    Protected tasks are stopped by none of this, unless they are unhealthy.
    """
    wanted_on = set(daemon.instances)
    staying: dict[str, TaskView] = {}
    stops = []
    for task in sorted(keep, key=lambda task: (task.created_at, task.id)):
        if task.instance in wanted_on and task.instance not in staying:
            staying[task.instance] = task
        else:
            stops.append(task)
    leaving = [task for task in replaced if task.displaced or task.instance not in wanted_on]
    stops += [task for task in leaving if task.instance not in daemon.needed and _may_stop(task)]
    old = [task for task in replaced if task not in leaving]
    stops += _old_to_stop(old, staying, budget)
    missing = wanted_on - set(staying)
    free = frozenset(missing - daemon.occupied)
    places = place_on(free) if free and budget.launches else Places()
    return Balance(
        starts=places.instances,
        stops=tuple(stops),
        wanted=len(missing),
        blocked=None if stops or places.instances else _blocked(missing, free, budget, old),
        shortage=places.shortage,
    )


def _old_to_stop(old: list[TaskView], staying: dict[str, TaskView], budget: Budget) -> list[TaskView]:
    """Old tasks that make place for new ones: those that are not healthy at once, while new ones can be
    started, and healthy ones as far as the minimum allows."""
    if not budget.launches:
        return [task for task in old if not task.has_run]
    healthy = [task for task in old if task.healthy and not task.protected]
    idle = [task for task in old if not task.healthy and _may_stop(task)]
    present = sum(task.healthy for task in (*old, *staying.values()))
    spare = max(0, present - minimum_healthy(budget.desired, budget.minimum_percent))
    return idle + sorted(healthy, key=lambda task: (task.created_at, task.id))[:spare]


def _may_stop(task: TaskView) -> bool:
    return task.unhealthy or not task.protected


def _blocked(missing: set[str], free: frozenset[str], budget: Budget, old: list[TaskView]) -> Blocked | None:
    if not missing:
        return None
    if not budget.launches:
        return "hold"
    if free:
        return "room"
    if any(task.protected for task in old):
        return "protection"
    return "configuration" if old else None
